//! OTLP/JSON: what is good is stored as its protobuf twin is; what is bad is refused in JSON.

use serde_json::{Value, json};
use spanmill_engine::ReactorChoice;

use crate::documents::twins;
use crate::rows::now;
use crate::support::http1::{Answer, HttpClient, post, post_to};
use crate::support::packed::{PACKINGS, gzip};
use crate::support::signals::{LOGS, METRICS, SIGNALS, Signal, TRACES, new_name};
use crate::support::spans::new_trace_id;
use crate::support::{RunningEngine, Stack, closed_port, config_for};
use crate::{assert_http_goes_on, code, on_each_reactor};

on_each_reactor! {
    documents_are_stored_as_their_twins
    bad_rows_cost_only_themselves
    faults_are_refused_in_json
    sizes_are_refused_in_json
    retries_are_asked_for_in_json
}

/// The body of an answer in JSON.
fn body(answer: &Answer) -> Value {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{answer:?}"
    );
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn ask(client: &mut HttpClient, signal: &Signal, json: &[u8]) -> Answer {
    client.ask(&post_to(
        signal.path,
        &[("content-type", "application/json")],
        json,
    ))
}

/// Scenario: documents of each signal with every kind of field, as JSON, plain and packed in every encoding,
/// and as the protobuf that they stand for.
/// Guarantee: success with an empty response in JSON; every column of every row is the same as its twin's.
fn documents_are_stored_as_their_twins(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    // A name of its own for each: two of them are of one signal.
    for at in 0..twins("").len() {
        let name = new_name();
        let twins = &twins(&name)[at];
        let path = twins.signal.path;
        let of_protobuf = client.ask(&post_to(path, &[], &twins.protobuf));
        assert_eq!((of_protobuf.status, of_protobuf.body.len()), (200, 0));
        let kinds = ["application/json", "Application/JSON; charset=utf-8"];
        let mut answers = Vec::from(kinds.map(|kind| {
            let headers = [("content-type", kind)];
            client.ask(&post_to(path, &headers, twins.json.as_bytes()))
        }));
        for (encoding, pack) in PACKINGS {
            let headers = [("content-type", kinds[0]), ("content-encoding", encoding)];
            answers.push(client.ask(&post_to(path, &headers, &pack(twins.json.as_bytes()))));
        }
        for answer in &answers {
            assert_eq!(
                (answer.status, body(answer)),
                (200, json!({})),
                "{answer:?}"
            );
        }
        let rows = twins.rows * (1 + answers.len());
        assert_eq!(
            twins.signal.stored(&stack, &name),
            (rows, twins.rows),
            "{path}"
        );
    }
}

/// Scenario: ids that are no hex, of another length or of zeros, or values nested too deep, each between
/// good rows.
/// Guarantee: 200 with the count as text and the reason, in JSON; the good rows are stored.
fn bad_rows_cost_only_themselves(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let mut deep = json!({ "intValue": 1 });
    for _ in 0..40 {
        deep = json!({ "kvlistValue": { "values": [{ "key": "k", "value": deep }] } });
    }
    let deep = json!([{ "key": "deep", "value": deep }]);
    let (good_id, span_id) = ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174");
    let span = |name: &str, trace_id: &str, span_id: &str| {
        json!({ "name": name,
        "traceId": trace_id, "spanId": span_id, "startTimeUnixNano": now().to_string() })
    };
    let with = |mut row: Value, key: &str, value: Value| {
        row[key] = value;
        row
    };
    let record = |name: &str| json!({ "eventName": name, "timeUnixNano": now() });
    let metric = |name: &str, attributes: Value| {
        json!({ "name": name, "gauge": { "dataPoints": [
        { "asInt": "1", "timeUnixNano": now(), "attributes": attributes }] } })
    };
    let zeros = "0".repeat(32);
    let orphan = with(span("bad", good_id, span_id), "parentSpanId", json!("x"));
    let deep_span = with(span("bad", good_id, span_id), "attributes", deep.clone());
    let deep_record = with(record("bad"), "attributes", deep.clone());
    let cases = [
        (&TRACES, span("bad", "no hex", span_id), "span.trace_id"),
        (
            &TRACES,
            span("bad", "W47/95gDgQPSabYzgT/GDA==", span_id),
            "span.trace_id",
        ),
        (
            &TRACES,
            span("bad", "sixteen letters!", span_id),
            "span.trace_id",
        ),
        (&TRACES, span("bad", good_id, "eee1"), "span.span_id"),
        (&TRACES, span("bad", &zeros, span_id), "all zeros"),
        (&TRACES, orphan, "span.parent_span_id"),
        (&TRACES, deep_span, "nested deeper"),
        (&LOGS, deep_record, "nested deeper"),
        (&METRICS, metric("bad", deep), "nested deeper"),
    ];
    for (signal, bad, told) in cases {
        let name = new_name();
        let good = || match signal.path {
            "/v1/traces" => span(&name, good_id, span_id),
            "/v1/logs" => record(&name),
            _ => metric(&name, json!([])),
        };
        let request = request(signal, &[good(), bad, good()]);
        let answer = ask(&mut client, signal, request.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = body(&answer);
        let partial = &body["partialSuccess"];
        assert_eq!(partial[signal.rejected], "1", "{signal:?}: {body}");
        let why = partial["errorMessage"].as_str().expect("a text");
        assert!(why.contains(told), "{why}");
        assert_eq!(signal.stored(&stack, &name).0, 2, "{signal:?}: {told}");
    }
}

/// A request of these spans, records or metrics.
fn request(signal: &Signal, rows: &[Value]) -> Value {
    let names = match signal.path {
        "/v1/traces" => ["resourceSpans", "scopeSpans", "spans"],
        "/v1/logs" => ["resourceLogs", "scopeLogs", "logRecords"],
        _ => ["resourceMetrics", "scopeMetrics", "metrics"],
    };
    json!({ names[0]: [{ names[1]: [{ names[2]: rows }] }] })
}

/// Scenario: what is no JSON, is cut short, has other shapes than OTLP's, or is damaged after packing; a type
/// that nobody knows.
/// Guarantee: 400 with a `google.rpc.Status` in JSON that says where in the body the fault is; nothing is
/// stored and the connection goes on.
fn faults_are_refused_in_json(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut client = HttpClient::connect(stack.http_addr());
    let id = new_trace_id();
    let hex = uuid::Uuid::from_bytes(id).simple().to_string();
    let span = json!({ "traceId": hex, "spanId": "eee19b7ec3c1b174", "startTimeUnixNano": now() });
    let mut unfit = span.clone();
    unfit["name"] = json!(["text"]);
    let good = request(&TRACES, std::slice::from_ref(&span)).to_string();
    let unfit = request(&TRACES, &[span, unfit]).to_string();
    let cases = [
        ("nothing", ""),
        ("no JSON", "\u{1}\u{2}"),
        ("protobuf's text", "resource_spans {}"),
        ("an array", "[]"),
        ("cut short", &good[..good.len() - 1]),
        ("two requests", &good.repeat(2)),
        ("a list for a text", &unfit),
        ("a text for a list", "{\n\"resourceSpans\": \"\"}"),
    ];
    for (fault, json) in cases {
        let answer = ask(&mut client, &TRACES, json.as_bytes());
        assert_eq!(answer.status, 400, "{fault}: {answer:?}");
        let status = body(&answer);
        assert_eq!(status["code"], code::INVALID_ARGUMENT, "{fault}");
        let text = status["message"].as_str().expect("a text");
        assert!(
            text.contains(" at line ") && text.contains(" column "),
            "{fault}: {text}"
        );
        assert!(answer.header("retry-after").is_none());
        assert_http_goes_on(&stack, &mut client, id, fault);
    }
    let packed = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let answer = client.ask(&post(&packed, good.as_bytes()));
    assert_eq!(
        (answer.status, &body(&answer)["code"]),
        (400, &json!(code::INVALID_ARGUMENT))
    );
    assert_http_goes_on(&stack, &mut client, id, "plain JSON called gzip");
    for signal in SIGNALS {
        let answer = ask(&mut client, signal, b"{");
        assert_eq!(answer.status, 400, "{signal:?}: {answer:?}");
    }
}

/// Scenario: JSON past the limit on the wire, past it when decompressed, and past it as protobuf only.
/// Guarantee: 413 in JSON each time, nothing stored.
fn sizes_are_refused_in_json(reactor: ReactorChoice) {
    const LIMIT: usize = 64 << 10;
    let stack = Stack::shared_with("64 KiB", reactor, |config| config.request_bytes_max = LIMIT);
    let mut client = HttpClient::connect(stack.http_addr());
    let json_type = ("content-type", "application/json");
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(LIMIT));
    let packed = [json_type, ("content-encoding", "gzip")];
    let point = json!({ "explicitBounds": vec![0; 20_000], "timeUnixNano": now() });
    let metric = json!({ "name": "x", "histogram": { "dataPoints": [point] } });
    let growing = request(&METRICS, &[metric]).to_string();
    assert!(growing.len() < LIMIT);
    for request in [
        post(&[json_type], long.as_bytes()),
        post(&packed, &gzip(long.as_bytes())),
        post(&packed, &gzip(&vec![b' '; 10 << 20])),
        post_to("/v1/metrics", &[json_type], growing.as_bytes()),
    ] {
        let answer = client.ask(&request);
        assert_eq!(answer.status, 413, "{answer:?}");
        let status = body(&answer);
        assert_eq!(status["code"], code::RESOURCE_EXHAUSTED);
        assert!(status.get("details").is_none() && answer.header("retry-after").is_none());
        assert_http_goes_on(&stack, &mut client, new_trace_id(), "JSON past the limit");
    }
}

/// Scenario: JSON comes while there is no ClickHouse.
/// Guarantee: 503 whose status in JSON asks for a retry, in the words of google.rpc.RetryInfo.
fn retries_are_asked_for_in_json(reactor: ReactorChoice) {
    let (_hold, nowhere) = closed_port();
    let mut config = config_for(nowhere, format!("http://{nowhere}"));
    config.reactor = reactor;
    let engine = RunningEngine::start(config);
    let mut client = HttpClient::connect(engine.get().http_addr());
    let answer = ask(&mut client, &LOGS, b"{}");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    let status = body(&answer);
    assert_eq!(status["code"], code::UNAVAILABLE);
    let detail = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s" });
    assert_eq!(status["details"], json!([detail]));
}
