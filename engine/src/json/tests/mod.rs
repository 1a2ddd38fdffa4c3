//! JSON against the protobuf that it stands for.

pub(crate) mod encode;
mod random;

use std::sync::Arc;

use fastrand::Rng;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;
use serde_json::json;
use spanmill_schema::Tables;

use super::{JsonError, to_protobuf};
use crate::columns::Columns;
use crate::decode::{Arrival, Signal, VALUE_DEPTH_MAX, walk};
use encode::Sender;
use random::Dice;

const LIMIT: usize = 1 << 20;

fn read<M: Message + Default>(signal: Signal, json: &str) -> Result<M, JsonError> {
    let mut protobuf = Vec::new();
    to_protobuf(signal, json.as_bytes(), &mut protobuf, LIMIT)?;
    Ok(M::decode(&protobuf[..]).expect("protobuf that prost reads"))
}

/// Asserts that JSON holds a message; in protobuf, where every NaN equals itself.
fn assert_twins<M: Message + Default + std::fmt::Debug>(signal: Signal, json: &str, message: &M) {
    let found: M = read(signal, json).unwrap_or_else(|error| panic!("{error}: {json}"));
    if found.encode_to_vec() != message.encode_to_vec() {
        panic!("{json}\nfound: {found:#?}\nexpected: {message:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Scenario: random requests of each signal, written as JSON by an encoder of its own: numbers as
    /// numbers or strings, defaults left out or not, nulls, enums as integers or names, hex in both cases,
    /// fields in any order and unknown ones.
    /// Guarantee: the same messages come out in protobuf.
    #[test]
    fn json_and_protobuf_are_twins(seed: u64) {
        let mut dice = Dice(Rng::with_seed(seed));
        let mut sender = Sender(Rng::with_seed(seed));
        let traces = dice.traces();
        assert_twins(Signal::Traces, &sender.traces(&traces).to_string(), &traces);
        let logs = dice.logs();
        assert_twins(Signal::Logs, &sender.logs(&logs).to_string(), &logs);
        let metrics = dice.metrics();
        assert_twins(Signal::Metrics, &sender.metrics(&metrics).to_string(), &metrics);
    }
}

fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = ScopeSpans {
        spans,
        ..ScopeSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    }
}

/// A request in JSON with one span of these fields.
fn one_span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

/// Scenario: what is empty, or empty inside, of each signal.
/// Guarantee: the same emptiness, and no fault.
#[test]
fn nothing_is_taken() {
    let empty = ExportTraceServiceRequest::default();
    for json in [
        "{}",
        " {\n} ",
        r#"{"resourceSpans":[]}"#,
        r#"{"resourceSpans":null}"#,
    ] {
        assert_twins(Signal::Traces, json, &empty);
    }
    assert_twins(
        Signal::Logs,
        r#"{"resourceSpans":[{}]}"#,
        &ExportLogsServiceRequest::default(),
    );
    assert_twins(
        Signal::Metrics,
        "{}",
        &ExportMetricsServiceRequest::default(),
    );
    assert_twins(
        Signal::Traces,
        &one_span(""),
        &traces(vec![Span::default()]),
    );
}

/// Scenario: forms that some senders use and few expect: whole numbers with a point or an exponent, numbers
/// for enums as text, escapes in keys and values, null for elements, keys that come twice.
/// Guarantee: each means what ProtoJSON and protobuf say.
#[test]
fn unusual_forms_are_taken() {
    let named = |name: &str| Span {
        name: name.into(),
        ..Span::default()
    };
    let started = |start_time_unix_nano| Span {
        start_time_unix_nano,
        ..Span::default()
    };
    for (fields, span) in [
        (
            r#""startTimeUnixNano":1.7e18"#,
            started(1_700_000_000_000_000_000),
        ),
        (r#""startTimeUnixNano":"1e3""#, started(1000)),
        (r#""startTimeUnixNano":5.0"#, started(5)),
        (
            r#""kind":"3""#,
            Span {
                kind: 3,
                ..Span::default()
            },
        ),
        (
            r#""kind":-1"#,
            Span {
                kind: -1,
                ..Span::default()
            },
        ),
        (r#""n\u0061me":"\u00fc\ud83e\udd80""#, named("ü🦀")),
        (r#""name":"first","name":"second""#, named("second")),
        (r#""name":"first","name":null"#, named("first")),
        (
            r#""attributes":[null]"#,
            Span {
                attributes: vec![Default::default()],
                ..Span::default()
            },
        ),
        (r#""trace_id":"00","Name":"x","name ":"y""#, Span::default()),
    ] {
        assert_twins(Signal::Traces, &one_span(fields), &traces(vec![span]));
    }
}

/// Scenario: ids that are no hex.
/// Guarantee: they become ids that the walk refuses for the span that has them, and no other.
#[test]
fn ids_that_are_no_hex_pass_for_no_id() {
    for id in ["zz", "AAAAAAAAAAAAAAAAAAAAAQ==", "sixteen letters!", "0"] {
        let json = one_span(&format!(r#""traceId":"{id}","name":"x""#));
        let found: ExportTraceServiceRequest = read(Signal::Traces, &json).unwrap();
        let span = &found.resource_spans[0].scope_spans[0].spans[0];
        assert!(![0, 16].contains(&span.trace_id.len()), "{id}");
        assert_eq!(span.name, "x");
    }
}

/// Scenario: texts that are no JSON, or JSON of other shapes than OTLP's.
/// Guarantee: each is refused with the line and the column where it goes wrong, and the field's name where
/// it has one.
#[test]
fn faults_are_shown_where_they_are() {
    let span = |fields: &str| one_span(fields);
    let cases = [
        (String::new(), "line 1 column 0"),
        ("{".into(), "line 1 column 1"),
        ("[]".into(), "an Export request"),
        ("null".into(), "an Export request"),
        ("{}\n x".into(), "line 2 column 2"),
        (
            r#"{"resourceSpans":{}}"#.into(),
            "an array for \"resourceSpans\"",
        ),
        (
            r#"{"resourceSpans":[[]]}"#.into(),
            "an object for \"resourceSpans\"",
        ),
        (
            r#"{"resourceSpans":[{"resource":[]}]}"#.into(),
            "\"resource\"",
        ),
        (
            r#"{"resourceSpans":[{"schemaUrl":[""]}]}"#.into(),
            "\"schemaUrl\"",
        ),
        (r#"{"unknown":[}"#.into(), "line 1 column 13"),
        (
            "{\"resourceSpans\":[{\"schemaUrl\":\"\\ud800\"}]}".into(),
            "line 1",
        ),
        (span(r#""name":5"#), "a string for \"name\""),
        (span(r#""startTimeUnixNano":-1"#), "\"startTimeUnixNano\""),
        (span(r#""startTimeUnixNano":1.5"#), "\"startTimeUnixNano\""),
        (
            span(r#""startTimeUnixNano":"2026-01-01""#),
            "\"startTimeUnixNano\"",
        ),
        (
            span(r#""startTimeUnixNano":18446744073709551616"#),
            "\"startTimeUnixNano\"",
        ),
        (span(r#""startTimeUnixNano":true"#), "\"startTimeUnixNano\""),
        (span(r#""flags":4294967296"#), "\"flags\""),
        (span(r#""kind":"server""#), "\"kind\""),
        (span(r#""kind":2147483648"#), "\"kind\""),
        (span(r#""traceId":7"#), "\"traceId\""),
        (
            span(r#""attributes":[{"value":{"boolValue":"true"}}]"#),
            "\"boolValue\"",
        ),
        (
            span(r#""attributes":[{"value":{"doubleValue":"inf"}}]"#),
            "\"doubleValue\"",
        ),
        (
            span(r#""attributes":[{"value":{"doubleValue":1e400}}]"#),
            "line 1",
        ),
        (
            span(r#""attributes":[{"value":{"bytesValue":"A"}}]"#),
            "\"bytesValue\"",
        ),
        (
            span(r#""attributes":[{"value":{"intValue":"9223372036854775808"}}]"#),
            "\"intValue\"",
        ),
    ];
    for (json, expected) in cases {
        let error = read::<ExportTraceServiceRequest>(Signal::Traces, &json).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains(" at line "),
            "{json}: {text}"
        );
    }
    let long = span(&format!(r#""kind":"{}""#, "ü".repeat(10_000)));
    let error = read::<ExportTraceServiceRequest>(Signal::Traces, &long).unwrap_err();
    assert!(
        error.to_string().len() < 500,
        "where it is must not be cut off"
    );
    let mut protobuf = Vec::new();
    let not_utf8 = b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}";
    assert!(to_protobuf(Signal::Traces, not_utf8, &mut protobuf, LIMIT).is_err());
}

/// Scenario: every point where whole requests of each signal could be cut.
/// Guarantee: an error, never a part of the request as if it were all.
#[test]
fn cut_requests_are_refused() {
    let mut dice = Dice(Rng::with_seed(7));
    let mut sender = Sender(Rng::with_seed(7));
    let (traces, logs, metrics) = (dice.traces(), dice.logs(), dice.metrics());
    for (signal, json) in [
        (Signal::Traces, sender.traces(&traces)),
        (Signal::Logs, sender.logs(&logs)),
        (Signal::Metrics, sender.metrics(&metrics)),
    ] {
        let json = json.to_string();
        assert!(
            json.len() > 1000,
            "seed 7 makes a request that is too small"
        );
        for cut in 0..json.len() {
            let mut protobuf = Vec::new();
            let result = to_protobuf(signal, &json.as_bytes()[..cut], &mut protobuf, LIMIT);
            assert!(result.is_err(), "{signal:?} cut at {cut}");
        }
    }
}

/// Scenario: arrays and maps as deep as the walk takes them, one level deeper, and tens of thousands of
/// levels, also in fields that nobody knows; and brackets without end.
/// Guarantee: what is too deep reaches the walk, which refuses that row and no other, but never more of it
/// than that takes; nothing runs out of stack.
#[test]
fn depth_is_bounded() {
    let array = (r#"{"arrayValue":{"values":["#, "]}}");
    let map = (r#"{"kvlistValue":{"values":[{"value":"#, "}]}}");
    for (open, close) in [array, map] {
        for levels in [VALUE_DEPTH_MAX, VALUE_DEPTH_MAX + 1, 20_000] {
            let value = format!("{}{{}}{}", open.repeat(levels), close.repeat(levels));
            let ids = format!(r#""traceId":"{:032x}","spanId":"{:016x}""#, 1, 2);
            let json = one_span(&format!(
                r#""attributes":[{{"value":{value}}}],{ids}}},{{{ids}"#
            ));
            let mut protobuf = Vec::new();
            to_protobuf(Signal::Traces, json.as_bytes(), &mut protobuf, LIMIT).unwrap();
            assert!(protobuf.len() < 1000);
            let deep = usize::from(levels > VALUE_DEPTH_MAX);
            let mut columns = Columns::new(Arc::new(Tables::default()));
            let always = Arrival {
                now: 0,
                earliest: 0,
                latest: u64::MAX,
                column_bytes_max: usize::MAX,
            };
            let walked = walk(Signal::Traces, &protobuf, &mut columns, always).unwrap();
            assert_eq!((walked.rows, walked.rejected.rows), (2 - deep, deep));
        }
    }
    let unknown = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_twins(
        Signal::Traces,
        &unknown,
        &ExportTraceServiceRequest::default(),
    );
    for endless in ["[", "{\"x\":", r#"{"resourceSpans":["#] {
        assert!(
            read::<ExportTraceServiceRequest>(Signal::Traces, &endless.repeat(100_000)).is_err()
        );
    }
}

/// Scenario: numbers that take a few times more bytes in protobuf than in JSON, of which there are many.
/// Guarantee: the limit is met, and no more memory is taken than about twice of it.
#[test]
fn protobuf_is_bounded_too() {
    let json = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"histogram": {
        "dataPoints": [{"explicitBounds": vec![0; 100_000]}]
    }}]}]}]});
    let json = json.to_string();
    let mut protobuf = Vec::new();
    to_protobuf(Signal::Metrics, json.as_bytes(), &mut protobuf, LIMIT).unwrap();
    let length = protobuf.len();
    assert!(length > 4 * json.len());
    for (limit, fits) in [(length, true), (length - 1, false), (length / 4, false)] {
        let mut protobuf = Vec::new();
        let result = to_protobuf(Signal::Metrics, json.as_bytes(), &mut protobuf, limit);
        match result {
            Ok(()) => assert!(fits),
            Err(error) => assert!(!fits && matches!(error, JsonError::TooLarge), "{error}"),
        }
        assert!(protobuf.capacity() <= 2 * limit + 64);
    }
}
