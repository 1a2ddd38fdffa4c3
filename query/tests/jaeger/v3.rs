//! Version 3 of Jaeger's API, answered and refused.

use serde_json::{Value, json};

use crate::known::{CHECKOUT, Known, MINUTE, OLDER, known};
use crate::support::Answer;

/// RFC 3339 of a time in nanoseconds since 1970, in whole seconds.
fn time(nanos: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(nanos / 1_000_000_000);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// A search from three days before the checkout until a minute behind it.
fn search(known: &Known, path: &str, more: &str) -> String {
    let (start, end) = (
        time(known.start - 3 * 1_440 * MINUTE),
        time(known.start + MINUTE),
    );
    format!("{path}?query.startTimeMin={start}&query.startTimeMax={end}{more}")
}

fn complaint(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let json = answer.json();
    let error = &json["error"];
    assert_eq!(error["httpCode"], status, "{json}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(word), "{word}: {json}");
}

/// Scenario: services, operations and dependencies of known spans.
/// Guarantees: version 3's shapes under both prefixes; numbers of calls are texts; 400 names the parameter in
/// version 3's error.
#[test]
fn lists() {
    let known = known();
    let stack = &known.stack;
    assert_eq!(
        stack.json("/api/v3/services"),
        json!({"services": ["db", "shop"]})
    );
    let operations = json!({"operations": [{"name": "SELECT", "spanKind": "client"}]});
    assert_eq!(
        stack.json("/jaeger/api/v3/operations?service=db"),
        operations
    );
    for none in [
        "service=db&spanKind=server",
        "service=db&span_kind=server",
        "service=nobody",
    ] {
        let answer = stack.json(&format!("/api/v3/operations?{none}"));
        assert_eq!(answer, json!({"operations": []}), "{none}");
    }
    let range = format!(
        "startTime={}&endTime={}",
        time(known.start - MINUTE),
        time(known.start + MINUTE)
    );
    let edge = json!({"parent": "shop", "child": "db", "callCount": "1"});
    assert_eq!(
        stack.json(&format!("/api/v3/dependencies?{range}")),
        json!({"dependencies": [edge]})
    );
    complaint(&stack.get("/api/v3/operations"), 400, "service");
    complaint(
        &stack.get("/api/v3/operations?service=db&spanKind=x"),
        400,
        "spanKind",
    );
    complaint(&stack.get("/api/v3/dependencies"), 400, "startTime");
    complaint(
        &stack.get("/api/v3/dependencies?startTime=1&endTime=2"),
        400,
        "RFC 3339",
    );
    complaint(&stack.get("/jaeger/api/v3/nothing"), 404, "404");
}

/// Scenario: the known trace by its id.
/// Guarantees: OTLP's JSON as it was sent: hex ids, numbers for kinds and codes, values with their types,
/// resources and scopes apart; 404 in version 3's words for what is not stored.
#[test]
fn trace_by_id() {
    let known = known();
    let stack = &known.stack;
    let answer = stack.json(&format!("/api/v3/traces/{CHECKOUT}?rawTraces=true"));
    let groups = answer["result"]["resourceSpans"]
        .as_array()
        .expect("groups");
    assert_eq!(groups.len(), 2);
    let shop = &groups[0];
    let attributes = shop["resource"]["attributes"]
        .as_array()
        .expect("attributes");
    assert!(
        attributes.contains(&json!({"key": "replica", "value": {"intValue": "7"}})),
        "{shop}"
    );
    let scope = &shop["scopeSpans"][0]["scope"];
    assert_eq!(
        (&scope["name"], &scope["version"]),
        (&json!("tests"), &json!("1.2"))
    );
    let module = json!([{"key": "module", "value": {"intValue": "5"}}]);
    assert_eq!(scope["attributes"], module);
    let span = &shop["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], CHECKOUT);
    assert_eq!(span["spanId"], "636865636b6f7574");
    assert_eq!(
        (&span["kind"], &span["status"]["code"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(span["status"]["message"], "declined");
    assert_eq!(span["startTimeUnixNano"], known.start.to_string());
    assert_eq!(
        span["endTimeUnixNano"],
        (known.start + 250_000_000).to_string()
    );
    assert_eq!(span["traceState"], "vendor=1");
    let attributes = span["attributes"].as_array().expect("attributes");
    for (key, value) in [
        ("user", json!({"stringValue": "it's \\ \"ü\"\t✓"})),
        ("cached", json!({"boolValue": true})),
        ("items", json!({"intValue": "3"})),
        ("total", json!({"doubleValue": 12.5})),
        ("http.route", json!({"stringValue": "/checkout"})),
        ("http.response.status_code", json!({"intValue": "500"})),
    ] {
        let attribute = json!({"key": key, "value": value});
        assert!(
            attributes.contains(&attribute),
            "{attribute} is not in {attributes:?}"
        );
    }
    assert_eq!(span["events"][0]["name"], "exception");
    let links = json!([{
        "traceId": OLDER[0], "spanId": "0101010101010101", "traceState": "vendor=2", "flags": 257,
        "attributes": [{"key": "retry", "value": {"intValue": "2"}}], "droppedAttributesCount": 4,
    }]);
    assert_eq!(span["links"], links);
    let others = &groups[1]["scopeSpans"][0];
    assert!(
        others["scope"]["attributes"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
    let child = &others["spans"][0];
    assert!(child["links"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(child["parentSpanId"], "636865636b6f7574");

    complaint(&stack.get("/api/v3/traces/ffff"), 404, "No traces found");
    complaint(&stack.get("/api/v3/traces/nonsense"), 400, "trace_id");
    for (query, name) in [
        ("startTime=soon", "startTime"),
        ("raw_traces=maybe", "raw_traces"),
    ] {
        complaint(
            &stack.get(&format!("/api/v3/traces/{CHECKOUT}?{query}")),
            400,
            name,
        );
    }
}

fn ids(answer: &Value) -> Vec<String> {
    let summaries = answer["summaries"].as_array().expect("summaries");
    let id = |summary: &Value| summary["traceId"].as_str().expect("an id").to_owned();
    summaries.iter().map(id).collect()
}

/// Scenario: lists of traces by every filter, in camel case and in snake case.
/// Guarantees: those that fit, newest first, with their root, times and counts; an empty list where none does.
#[test]
fn summaries() {
    let known = known();
    let stack = &known.stack;
    let all = [CHECKOUT, OLDER[0], OLDER[1], OLDER[2]];
    let older = time(known.start - 20 * MINUTE);
    for (filter, found) in [
        (String::new(), &all[..]),
        ("&query.serviceName=db".into(), &all[..1]),
        (
            "&query.service_name=shop&query.search_depth=2".into(),
            &all[..2],
        ),
        ("&query.num_traces=1".into(), &all[..1]),
        ("&query.operationName=GET+%2Fitems".into(), &all[1..]),
        (
            "&query.durationMin=2ms&query.duration_max=3ms".into(),
            &all[2..],
        ),
        (
            r#"&query.attributes=%7B%22items%22:%223%22%7D"#.into(),
            &all[..1],
        ),
        (
            r#"&query.attributes=%7B%22host.name%22:%22b%22%7D"#.into(),
            &[],
        ),
        (format!("&query.startTimeMin={older}"), &all[..]),
    ] {
        let target = search(&known, "/api/v3/trace-summaries", &filter);
        assert_eq!(ids(&stack.json(&target)), found, "{filter}");
    }
    let target = search(&known, "/api/v3/trace-summaries", "&query.searchDepth=1");
    let expected = json!({
        "traceId": CHECKOUT,
        "rootServiceName": "shop",
        "rootOperationName": "POST /checkout",
        "minStartTimeUnixNano": known.start.to_string(),
        "maxEndTimeUnixNano": (known.start + 250_000_000).to_string(),
        "spanCount": 2,
        "errorSpanCount": 1,
        "orphanSpanCount": 0,
        "services": [
            {"name": "db", "spanCount": 1, "errorSpanCount": 0},
            {"name": "shop", "spanCount": 1, "errorSpanCount": 1},
        ],
    });
    assert_eq!(stack.json(&target), json!({"summaries": [expected]}));
}

/// Scenario: searches for whole traces, one of which finds none, and searches that make no sense.
/// Guarantees: whole traces, newest first; 404 where none is found; 400 names the parameter.
#[test]
fn search_for_traces() {
    let known = known();
    let stack = &known.stack;
    let found = stack.json(&search(&known, "/api/v3/traces", "&query.serviceName=db"));
    let groups = found["result"]["resourceSpans"].as_array().expect("groups");
    assert_eq!(groups.len(), 2, "the whole trace");
    let all = stack.json(&search(&known, "/api/v3/traces", "&query.serviceName=shop"));
    let spans = all["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array();
    let starts = spans
        .expect("spans")
        .iter()
        .map(|span| span["traceId"].as_str());
    let newest_first: Vec<_> = starts.flatten().collect();
    assert_eq!(newest_first, [CHECKOUT, OLDER[0], OLDER[1], OLDER[2]]);

    let none = search(&known, "/api/v3/traces", "&query.serviceName=nobody");
    complaint(&stack.get(&none), 404, "No traces found");
    complaint(&stack.get("/api/v3/traces"), 400, "query.startTimeMin");
    let half = format!("/api/v3/traces?query.start_time_min={}", time(known.start));
    complaint(&stack.get(&half), 400, "query.startTimeMax");
    for (more, name) in [
        ("&query.searchDepth=0", "query.searchDepth"),
        ("&query.search_depth=many", "query.search_depth"),
        ("&query.durationMin=fast", "query.durationMin"),
        ("&query.attributes=%5B%5D", "query.attributes"),
        ("&query.rawTraces=maybe", "query.rawTraces"),
        ("&query.filter=%7B%7D", "query.filter"),
    ] {
        let target = search(&known, "/api/v3/traces", more);
        complaint(&stack.get(&target), 400, name);
    }
}
