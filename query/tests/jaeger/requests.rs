//! Each endpoint, answered and refused.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::known::{CHECKOUT, MINUTE, OLDER, apart, known};
use crate::support::Stack;

fn ids(answer: &Value) -> Vec<&str> {
    let traces = answer["data"].as_array().expect("a list");
    traces
        .iter()
        .map(|trace| trace["traceID"].as_str().expect("an id"))
        .collect()
}

/// A JSON error whose words name what is wrong.
fn complaint(answer: &crate::support::Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let json = answer.json();
    let error = &json["errors"][0];
    assert!(json["data"].is_null() && error["code"] == status, "{json}");
    assert!(
        error["msg"].as_str().is_some_and(|msg| msg.contains(word)),
        "{json}"
    );
}

/// Scenario: services, operations by both paths, and dependencies, over known spans.
/// Guarantees: the names and kinds that are stored in Jaeger's envelope, `[]` where there are none, also
/// under `/jaeger`; 400 names the parameter that is missing or wrong.
#[test]
fn lists() {
    let known = known();
    let stack = &known.stack;
    let services =
        json!({"data": ["db", "shop"], "total": 2, "limit": 0, "offset": 0, "errors": null});
    assert_eq!(stack.json("/api/services"), services);
    assert_eq!(stack.json("/jaeger/api/services"), services);

    let names = stack.json("/api/services/shop/operations");
    assert_eq!(names["data"], json!(["GET /items", "POST /checkout"]));
    // No hour is over yet, so this is read from spans.
    let edge = json!({"parent": "shop", "child": "db", "callCount": 1});
    assert_eq!(stack.json("/api/dependencies")["data"], json!([edge]));
    assert_eq!(
        stack.json("/api/dependencies?service=db")["data"],
        json!([edge])
    );
    let operations = stack.json("/api/operations?service=db");
    assert_eq!(
        operations["data"],
        json!([{"name": "SELECT", "spanKind": "client"}])
    );
    for none in [
        "/api/operations?service=db&spanKind=server",
        "/api/operations?service=nobody",
        "/api/services/no%2Fbody/operations",
        "/api/dependencies?endTs=1700000000000&lookback=86400000",
        "/api/dependencies?service=nobody",
    ] {
        assert_eq!(stack.json(none)["data"], json!([]), "{none}");
    }
    for (target, parameter) in [
        ("/api/operations", "service"),
        ("/api/operations?service=", "service"),
        ("/api/operations?service=db&spanKind=sideways", "spanKind"),
        ("/api/dependencies?endTs=soon", "endTs"),
        ("/api/dependencies?lookback=-1", "lookback"),
    ] {
        complaint(&stack.get(target), 400, parameter);
    }
}

/// Scenario: edges of two hours are stored as the database computes them, and asked for by time.
/// Guarantees: counts add up over the hours that the range touches, and only those.
#[test]
fn dependencies() {
    let known = known();
    let stack = &known.stack;
    // Yesterday: hours of a year ago are not kept.
    let hour = known.start / 3_600_000_000_000 * 3_600 - 86_400;
    stack.sql(&format!(
        "INSERT INTO spanmill.otel_service_dependencies_hours VALUES \
         (toDateTime({hour}), now(), ['shop', 'shop'], ['db', 'mail'], [5, 2], [0, 0]), \
         (toDateTime({}), now(), ['shop'], ['db'], [7], [1])",
        hour + 3_600
    ));
    let edge =
        |child: &str, count: u64| json!({"parent": "shop", "child": child, "callCount": count});
    let both = stack.json(&format!(
        "/api/dependencies?endTs={}&lookback=7200000",
        (hour + 5_200) * 1000
    ));
    assert_eq!(both["data"], json!([edge("db", 12), edge("mail", 2)]));
    let later = stack.json(&format!(
        "/api/dependencies?endTs={}&lookback=600000",
        (hour + 5_200) * 1000
    ));
    assert_eq!(later["data"], json!([edge("db", 7)]));
}

/// Scenario: a system begins to send in the midst of an hour, 300,000 spans in its last five seconds, of which every
/// other one is the child of the one before it.
/// Guarantees: edges come from about 100,000 of the newest, however few seconds those took, and each call counts once.
#[test]
fn dependencies_of_a_sudden_load() {
    let stack = Stack::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let end = now.expect("a time").as_secs() * 1_000_000_000;
    // Pairs of the same time.
    stack.sql(&format!(
        "INSERT INTO spanmill.otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, ServiceName, SpanName) \
         SELECT fromUnixTimestamp64Nano({end} - 5000000000 + intDiv(number, 2) * 33333), \
            reinterpretAsFixedString(toUInt128(intDiv(number, 2) + 1)), toFixedString(if(number % 2, 'child', 'parent'), 8), \
            if(number % 2, toFixedString('parent', 8), ''), if(number % 2, 'db', 'shop'), 'call' \
         FROM numbers(300000)"
    ));
    let answer = stack.json(&format!(
        "/api/dependencies?endTs={}&lookback=3600000",
        end / 1_000_000
    ));
    let edges = answer["data"].as_array().expect("a list");
    assert_eq!((edges.len(), &edges[0]["child"]), (1, &json!("db")));
    let calls = edges[0]["callCount"].as_u64().expect("a count");
    assert!((49_000..=51_000).contains(&calls), "{calls}");
}

/// Scenario: the known trace by its id, in full, in capitals; ids of nothing and no ids.
/// Guarantees: every field in Jaeger's form with its type; 404 for what is not stored, 400 for no id.
#[test]
fn trace_by_id() {
    let known = known();
    let stack = &known.stack;
    let answer = stack.json(&format!("/api/traces/{CHECKOUT}"));
    assert_eq!(ids(&answer), [CHECKOUT]);
    let trace = &answer["data"][0];
    let (checkout, select) = (&trace["spans"][0], &trace["spans"][1]);
    let micros = known.start / 1000;
    assert_eq!(checkout["operationName"], "POST /checkout");
    assert_eq!(checkout["spanID"], "636865636b6f7574");
    assert_eq!(
        (&checkout["startTime"], &checkout["duration"]),
        (&json!(micros), &json!(250_000))
    );
    assert_eq!(checkout["flags"], 1);
    for (key, kind, value) in [
        ("user", "string", json!("it's \\ \"ü\"\t✓")),
        ("cached", "bool", json!(true)),
        ("items", "int64", json!(3)),
        ("total", "float64", json!(12.5)),
        ("http.route", "string", json!("/checkout")),
        ("http.response.status_code", "int64", json!(500)),
        ("otel.scope.name", "string", json!("tests")),
        ("otel.scope.version", "string", json!("1.2")),
        ("span.kind", "string", json!("server")),
        ("otel.status_code", "string", json!("ERROR")),
        ("otel.status_description", "string", json!("declined")),
        ("w3c.tracestate", "string", json!("vendor=1")),
        ("error", "bool", json!(true)),
    ] {
        let tag = json!({"key": key, "type": kind, "value": value});
        let tags = checkout["tags"].as_array().expect("tags");
        assert!(tags.contains(&tag), "{tag} is not in {tags:?}");
    }
    let link =
        json!([{"refType": "FOLLOWS_FROM", "traceID": OLDER[0], "spanID": "0101010101010101"}]);
    assert_eq!(checkout["references"], link);
    let parent =
        json!([{"refType": "CHILD_OF", "traceID": CHECKOUT, "spanID": "636865636b6f7574"}]);
    assert_eq!(select["references"], parent);
    assert_eq!(checkout["logs"][0]["timestamp"], micros + 5000);
    let fields = checkout["logs"][0]["fields"].as_array().expect("fields");
    assert!(fields.contains(&json!({"key": "event", "type": "string", "value": "exception"})));
    let process = &trace["processes"][checkout["processID"].as_str().expect("a process")];
    assert_eq!(process["serviceName"], "shop");
    let tags = process["tags"].as_array().expect("tags");
    assert!(
        tags.contains(&json!({"key": "replica", "type": "int64", "value": 7})),
        "{tags:?}"
    );
    assert_ne!(checkout["processID"], select["processID"]);

    let capitals = stack.json(&format!(
        "/jaeger/api/traces/{}",
        CHECKOUT.to_ascii_uppercase()
    ));
    assert_eq!(capitals, answer);
    assert_eq!(ids(&stack.json("/api/traces/1")), [OLDER[0]]);
    complaint(&stack.get("/api/traces/ffff"), 404, "not found");
    complaint(&stack.get("/api/traces/nonsense"), 400, "traceID");
}

/// Scenario: searches by every filter that there is, alone and together.
/// Guarantees: the traces that fit and no other, whole, newest first, at most as many as asked for.
#[test]
fn search() {
    let known = known();
    let (stack, start) = (&known.stack, known.start);
    let all = [CHECKOUT, OLDER[0], OLDER[1], OLDER[2]];
    let at = |nanos: u64| nanos / 1000;
    for (filter, found) in [
        (String::new(), &all[..]),
        ("&limit=2".into(), &all[..2]),
        ("&operation=GET+%2Fitems".into(), &all[1..]),
        ("&minDuration=2ms".into(), &[all[0], all[2], all[3]]),
        ("&minDuration=1.5ms&maxDuration=2500us".into(), &all[2..3]),
        (format!("&end={}", at(start - MINUTE)), &all[1..]),
        (format!("&start={}", at(start - 20 * MINUTE)), &all[..2]),
        (
            format!(
                "&start={}&end={}",
                at(start - 200 * MINUTE),
                at(start - 20 * MINUTE)
            ),
            &all[2..3],
        ),
        ("&tag=error:true".into(), &all[..1]),
        ("&tag=http.route:/items".into(), &all[1..]),
        ("&tag=http.response.status_code:500".into(), &all[..1]),
        ("&tag=items:3&tag=cached:true".into(), &all[..1]),
        ("&tag=host.name:a".into(), &all[..]),
        ("&tag=host.name:b".into(), &[]),
        ("&tag=span.kind:server&limit=1".into(), &all[..1]),
        ("&tag=nothing:".into(), &[]),
        (
            r#"&tags=%7B%22total%22:%2212.5%22,%22error%22:%22true%22%7D"#.into(),
            &all[..1],
        ),
        (
            "&tag=user:it%27s+%5C+%22%C3%BC%22%09%E2%9C%93".into(),
            &all[..1],
        ),
        ("&operation=SELECT".into(), &[]),
    ] {
        let answer = stack.json(&format!("/api/traces?service=shop{filter}"));
        assert_eq!(ids(&answer), found, "{filter}");
    }
    let by_db = stack.json("/api/traces?service=db&tag=db.system.name:postgresql");
    assert_eq!(
        by_db["data"][0]["spans"].as_array().map(Vec::len),
        Some(2),
        "the whole trace"
    );
    let by_ids = stack.json(&format!(
        "/api/traces?traceID={}&traceID={CHECKOUT}&traceID=ff",
        OLDER[2]
    ));
    assert_eq!(ids(&by_ids), [CHECKOUT, OLDER[2]]);
    assert_eq!(stack.json("/api/traces?service=nobody")["data"], json!([]));
}

/// Scenario: searches that make no sense, and paths and methods that are not there.
/// Guarantees: 400 that names the parameter, 404, 405; all in Jaeger's shape, with a request id.
#[test]
fn refused() {
    let known = known();
    let stack = &known.stack;
    for (query, parameter) in [
        ("", "service"),
        ("?service=shop&limit=0", "limit"),
        ("?service=shop&limit=many", "limit"),
        ("?service=shop&start=yesterday", "start"),
        ("?service=shop&end=99999999999999999999", "end"),
        ("?service=shop&start=2000&end=1000", "start"),
        ("?service=shop&minDuration=fast", "minDuration"),
        ("?service=shop&maxDuration=1d", "maxDuration"),
        ("?service=shop&minDuration=2s&maxDuration=1s", "maxDuration"),
        ("?service=shop&tag=alone", "tag"),
        ("?service=shop&tags=%7B", "tags"),
        ("?service=shop&tags=%7B%22a%22:1%7D", "tags"),
        ("?traceID=xyz", "traceID"),
    ] {
        complaint(&stack.get(&format!("/api/traces{query}")), 400, parameter);
    }
    let missing = stack.get_with("/api/nothing", "x-request-id: mine-1\r\n");
    complaint(&missing, 404, "404");
    assert!(
        missing.headers.contains("x-request-id: mine-1"),
        "{missing:?}"
    );
    let post =
        b"POST /api/services HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    complaint(&crate::support::exchange(stack.addr(), post), 405, "405");
}

/// Scenario: a search finds spans whose insert does not show in the trace index yet, as happened beside ingest: it
/// answered that there were none.
/// Guarantees: what was found is shown.
#[test]
fn spans_that_the_index_does_not_know_yet_are_shown() {
    let known = known();
    let stack = &known.stack;
    stack.sql("TRUNCATE TABLE spanmill.otel_trace_index");
    let answer = stack.json("/api/traces?service=shop&limit=2");
    assert_eq!(ids(&answer), [CHECKOUT, OLDER[0]]);
    complaint(
        &stack.get(&format!("/api/traces/{CHECKOUT}")),
        404,
        "not found",
    );
}

/// Scenario: a trace of two services whose spans begin 20 minutes apart is searched for by the first service, in the
/// minutes around its span.
/// Guarantees: it is listed whole, and its summary counts both spans.
#[test]
fn a_trace_longer_than_its_search_is_whole() {
    let known = known();
    let begun = known.start - 30 * MINUTE;
    known.stack.store(&apart(begun, 20 * MINUTE));
    let (start, end) = ((begun - MINUTE) / 1_000, (begun + MINUTE) / 1_000);
    let list = format!("/api/traces?service=waits&start={start}&end={end}");
    let listed = known.stack.json(&list);
    assert_eq!(ids(&listed), [CHECKOUT.replace('4', "5")]);
    assert_eq!(listed["data"][0]["spans"].as_array().unwrap().len(), 2);

    let time = |micros: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(micros);
        humantime::format_rfc3339_micros(time)
    };
    let summaries = format!(
        "/api/v3/trace-summaries?query.serviceName=waits&query.startTimeMin={}&query.startTimeMax={}",
        time(start),
        time(end)
    );
    let summaries = known.stack.json(&summaries);
    assert_eq!(summaries["summaries"][0]["spanCount"], 2, "{summaries}");
}
