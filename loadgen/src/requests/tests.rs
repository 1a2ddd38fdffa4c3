//! Requests that are sent are compared with what was generated, decoded by prost.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::*;

const NOW: u64 = 1_790_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const RUN: u64 = 42;

fn options(signals: &str, protocol: Protocol, encoding: Encoding) -> Options {
    Options {
        signals: signals.parse().unwrap(),
        protocol,
        encoding,
        items_per_request: 300,
        distinct: 3,
        ..Options::default()
    }
}

fn encoded(options: &Options, signal: Signal) -> Vec<Template> {
    let [traces, logs, metrics] = encode(options, RUN, NOW).unwrap();
    [traces, logs, metrics]
        .into_iter()
        .nth(signal as usize)
        .unwrap()
}

/// What was sent, without gRPC's five bytes.
fn message<M: Message + Default + for<'a> serde::Deserialize<'a>>(
    options: &Options,
    sent: &Bytes,
) -> M {
    match (options.protocol, options.encoding) {
        (Protocol::Grpc, _) => {
            assert_eq!(
                sent[..5],
                [&[0][..], &(sent.len() as u32 - 5).to_be_bytes()].concat()
            );
            M::decode(&sent[5..]).unwrap()
        }
        (Protocol::Http, Encoding::Protobuf) => M::decode(&sent[..]).unwrap(),
        (Protocol::Http, Encoding::Json) => serde_json::from_slice(sent).unwrap(),
    }
}

const WAYS: [(Protocol, Encoding); 3] = [
    (Protocol::Grpc, Encoding::Protobuf),
    (Protocol::Http, Encoding::Protobuf),
    (Protocol::Http, Encoding::Json),
];

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// Scenario: requests of spans are sent three rounds, in each encoding. Guarantees: the latest time is what was
/// asked for, durations, parents within a trace and everything else stay, ids never come twice, and ids of one
/// trace that lies in two requests stay equal within a round.
#[test]
fn spans_are_new_in_each_round() {
    for (protocol, encoding) in WAYS {
        let options = options("traces", protocol, encoding);
        let mut templates = encoded(&options, Signal::Traces);
        let mut ids = HashSet::new();
        let mut first_round: Vec<Span> = Vec::new();
        for round in 0..3 {
            let mut all = Vec::new();
            for template in &mut templates {
                assert_eq!(template.items(), 300);
                let latest = NOW + round * 7 * SECOND;
                let sent = spans(message(&options, &template.next(RUN, latest)));
                assert_eq!(sent.len(), 300);
                let ends = sent.iter().map(|span| {
                    let events = span.events.iter().map(|event| event.time_unix_nano);
                    events
                        .chain([span.end_time_unix_nano, span.start_time_unix_nano])
                        .max()
                        .unwrap()
                });
                assert_eq!(ends.max(), Some(latest));
                all.extend(sent);
            }
            for span in &all {
                assert!(span.trace_id.len() == 16 && span.span_id.len() == 8);
                assert!(ids.insert(span.span_id.clone()), "an id came twice");
                assert!(NOW - 3600 * SECOND < span.start_time_unix_nano);
            }
            let parents: HashSet<_> = all
                .iter()
                .map(|span| (&span.trace_id, &span.span_id))
                .collect();
            let children = all.iter().filter(|span| !span.parent_span_id.is_empty());
            let found = children
                .clone()
                .filter(|span| parents.contains(&(&span.trace_id, &span.parent_span_id)));
            // Only the last trace may lack what no request holds.
            assert!(found.count() + 60 > children.count());
            if round == 0 {
                first_round = all;
                continue;
            }
            for (span, first) in all.into_iter().zip(&first_round) {
                let later = round * 7 * SECOND;
                let mut expected = first.clone();
                expected.trace_id = span.trace_id.clone();
                expected.span_id = span.span_id.clone();
                expected.parent_span_id = span.parent_span_id.clone();
                expected.start_time_unix_nano += later;
                expected.end_time_unix_nano += later;
                expected
                    .events
                    .iter_mut()
                    .for_each(|event| event.time_unix_nano += later);
                for (link, sent) in expected.links.iter_mut().zip(&span.links) {
                    assert!(link.span_id != sent.span_id && link.trace_id != sent.trace_id);
                    link.trace_id = sent.trace_id.clone();
                    link.span_id = sent.span_id.clone();
                }
                assert_eq!(
                    span.parent_span_id.is_empty(),
                    first.parent_span_id.is_empty()
                );
                assert_eq!(span, expected);
            }
        }
    }
}

/// Scenario: points and spans of a run of 30 s that is spread over a day. Guarantees: as encoded they lie where the
/// run begins, a day ago, points not before their start times; and spans of a request are as far apart as they
/// would be on such a day.
#[test]
fn a_spread_run_begins_in_the_past() {
    let day = Duration::from_secs(86_400);
    let mut options = options("traces,metrics", Protocol::Grpc, Encoding::Protobuf);
    options.spread = day;
    let begin = NOW - day.as_nanos() as u64;
    let [mut traces, _, mut metrics] = encode(&options, RUN, NOW).unwrap();
    let sent = spans(message(&options, &traces[0].next(RUN, begin)));
    let starts = sent.iter().map(|span| span.start_time_unix_nano);
    let length = starts.clone().max().unwrap() - starts.min().unwrap();
    // 300,000 spans in 86,430 s: 300 take 86 s.
    assert!((20 * SECOND..400 * SECOND).contains(&length), "{length}");
    let request: ExportMetricsServiceRequest = message(&options, &metrics[0].next(RUN, begin));
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|of| &of.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics);
    let mut points = metrics.flat_map(|metric| times(metric.data.as_ref().unwrap()));
    assert!(points.all(|(start, time)| start <= time && time <= begin));
}

/// Scenario: traces and logs of equal shares, two rounds. Guarantees: the records' trace ids are those of the
/// spans of the same round, and both of their times move.
#[test]
fn logs_keep_to_their_traces() {
    for (protocol, encoding) in WAYS {
        let options = options("traces,logs", protocol, encoding);
        let [mut traces, mut logs, _] = encode(&options, RUN, NOW).unwrap();
        for latest in [NOW, NOW + SECOND] {
            let mut known = HashSet::new();
            for template in &mut traces {
                let sent = spans(message(&options, &template.next(RUN, latest)));
                known.extend(sent.into_iter().map(|span| span.trace_id));
            }
            let request: ExportLogsServiceRequest = message(&options, &logs[0].next(RUN, latest));
            let scopes = request
                .resource_logs
                .iter()
                .flat_map(|resource| &resource.scope_logs);
            let records: Vec<_> = scopes.flat_map(|scope| &scope.log_records).collect();
            assert_eq!(records.len(), 300);
            let traced = records.iter().filter(|record| !record.trace_id.is_empty());
            assert!(traced.clone().count() > 100);
            assert!(
                traced
                    .clone()
                    .all(|record| known.contains(&record.trace_id))
            );
            let times = records
                .iter()
                .map(|record| record.time_unix_nano.max(record.observed_time_unix_nano));
            assert_eq!(times.max(), Some(latest));
        }
    }
}

/// Scenario: points of all kinds, two sends. Guarantees: as many items are counted as there are points, their
/// times move and their start times stay.
#[test]
fn points_move_and_their_starts_stay() {
    for (protocol, encoding) in WAYS {
        let options = options("metrics", protocol, encoding);
        let mut templates = encoded(&options, Signal::Metrics);
        let template = &mut templates[0];
        let mut seen: Vec<Vec<(u64, u64)>> = Vec::new();
        for latest in [NOW, NOW + SECOND] {
            let request: ExportMetricsServiceRequest =
                message(&options, &template.next(RUN, latest));
            let scopes = request
                .resource_metrics
                .iter()
                .flat_map(|resource| &resource.scope_metrics);
            let metrics = scopes.flat_map(|scope| &scope.metrics);
            let points: Vec<_> = metrics
                .flat_map(|metric| times(metric.data.as_ref().unwrap()))
                .collect();
            assert_eq!(points.len() as u64, template.items());
            assert!(
                points
                    .iter()
                    .all(|(start, time)| start <= time && *time <= latest)
            );
            seen.push(points);
        }
        for (one, other) in seen[0].iter().zip(&seen[1]) {
            assert_eq!((one.0, one.1 + SECOND), *other);
        }
    }
}

fn times(data: &Data) -> Vec<(u64, u64)> {
    match data {
        Data::Gauge(of) => of
            .data_points
            .iter()
            .map(|p| (p.start_time_unix_nano, p.time_unix_nano))
            .collect(),
        Data::Sum(of) => of
            .data_points
            .iter()
            .map(|p| (p.start_time_unix_nano, p.time_unix_nano))
            .collect(),
        Data::Histogram(of) => of
            .data_points
            .iter()
            .map(|p| (p.start_time_unix_nano, p.time_unix_nano))
            .collect(),
        Data::ExponentialHistogram(of) => of
            .data_points
            .iter()
            .map(|p| (p.start_time_unix_nano, p.time_unix_nano))
            .collect(),
        Data::Summary(of) => of
            .data_points
            .iter()
            .map(|p| (p.start_time_unix_nano, p.time_unix_nano))
            .collect(),
    }
}

/// Scenario: a request is sent again while an earlier send of it is still held, and once nothing holds it.
/// Guarantees: what is held never changes, and without a holder the bytes are stamped where they lie.
#[test]
fn what_is_in_flight_never_changes() {
    let options = options("traces", Protocol::Grpc, Encoding::Protobuf);
    let template = &mut encoded(&options, Signal::Traces)[0];
    let held = template.next(RUN, NOW);
    let copy = held.to_vec();
    let second = template.next(RUN, NOW + SECOND);
    assert!(held == copy && second != copy);
    let place = second.as_ptr();
    drop((held, second));
    assert_eq!(template.next(RUN, NOW + 2 * SECOND).as_ptr(), place);
}

/// Scenario: compressed requests, two sends, and another run. Guarantees: they unpack to what was counted, are
/// repeated byte by byte within a run, and have other ids in another.
#[test]
fn compressed_requests_repeat_within_a_run() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut options = options("traces", Protocol::Grpc, Encoding::Protobuf);
        options.compression = compression;
        let template = &mut encoded(&options, Signal::Traces)[0];
        let sent = template.next(RUN, NOW);
        assert_eq!(sent, template.next(RUN, NOW + SECOND));
        assert_eq!(sent[0], 1);
        let trace = |sent: &[u8]| {
            let mut plain = Vec::with_capacity(1 << 20);
            match compression {
                Compression::Gzip => {
                    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(sent), &mut plain)
                        .unwrap();
                }
                _ => {
                    zstd_safe::decompress(&mut plain, sent).unwrap();
                }
            }
            let spans = spans(ExportTraceServiceRequest::decode(&plain[..]).unwrap());
            assert_eq!(spans.len(), 300);
            spans[0].trace_id.clone()
        };
        let other = encode(&options, RUN + 1, NOW).unwrap()[0][0].next(RUN + 1, NOW);
        assert_ne!(trace(&sent[5..]), trace(&other[5..]));
    }
}

/// Scenario: attributes that look like keys of JSON. Guarantees: nothing within a value is taken for a field.
#[test]
fn values_are_not_taken_for_keys() {
    let body = serde_json::json!({
        "a": format!("\"traceId\":\"{}\"", "0".repeat(32)),
        "traceId": "0".repeat(32),
        "spanId": "",
        "timeUnixNano": "0",
    });
    let found = offsets::in_json(body.to_string().as_bytes());
    let expected = body.to_string().rfind(&"0".repeat(32)).unwrap() as u32;
    assert_eq!(found.traces, [expected]);
    assert!(found.spans.is_empty() && found.times.is_empty());
}
