//! What the corpus promises: that a seed decides every byte, and that its mixes are those of real traffic.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spanmill_loadgen::corpus::{Corpus, Pace};

const START: u64 = 1_767_225_600_000_000_000;
const PACE: Pace = Pace {
    start: START,
    spans_per_second: 100_000,
};
const MANY: usize = 60_000;

/// Scenario: two corpora of one seed and one of another, a few requests of each signal.
/// Guarantees: equal seeds give equal bytes, however the requests are cut; another seed gives others.
#[test]
fn a_seed_decides_every_byte() {
    let bytes = |seed: u64| {
        let corpus = Corpus::new(seed);
        let (mut traces, mut logs) = (corpus.traces(PACE), corpus.logs(PACE));
        let mut metrics = corpus.metrics(START, 2);
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(traces.request(500).encode_to_vec());
            all.push(logs.request(500).encode_to_vec());
            all.push(metrics.request(500).encode_to_vec());
        }
        all
    };
    let first = bytes(1);
    assert!(first == bytes(1));
    let other = bytes(2);
    assert!(first.iter().zip(&other).all(|(one, other)| one != other));

    let corpus = Corpus::new(1);
    let (mut one, mut other) = (corpus.traces(PACE), corpus.traces(PACE));
    let cut: Vec<Span> = (0..10)
        .flat_map(|_| spans(&mut one, 100))
        .map(|s| s.1)
        .collect();
    let whole = spans(&mut other, 1000);
    let sorted = |spans: Vec<Span>| -> BTreeMap<Vec<u8>, Span> {
        spans
            .into_iter()
            .map(|span| (span.span_id.clone(), span))
            .collect()
    };
    assert_eq!(
        sorted(cut),
        sorted(whole.into_iter().map(|span| span.1).collect())
    );
}

/// Scenario: 60,000 spans at 100,000 a second.
/// Guarantees: 40 services with skewed shares, about 200 names, traces of about ten spans, 1 to 2 % errors,
/// 8 to 12 attributes on average, 10 to 12 of a resource, some events and links, and the pace.
#[test]
fn spans_are_mixed_like_real_ones() {
    let corpus = Corpus::new(7);
    let all = spans(&mut corpus.traces(PACE), MANY);
    let mut by_service: HashMap<String, usize> = HashMap::new();
    for (resource, _) in &all {
        *by_service.entry(service(resource)).or_default() += 1;
        assert!((10..=12).contains(&resource.attributes.len()));
    }
    let mut shares: Vec<usize> = by_service.into_values().collect();
    shares.sort_unstable();
    assert!(shares.len() >= 38, "{} services", shares.len());
    assert!(
        shares[shares.len() - 1] > 5 * shares[shares.len() / 2],
        "{shares:?}"
    );

    let names: BTreeSet<&str> = all.iter().map(|(_, span)| span.name.as_str()).collect();
    assert!((150..450).contains(&names.len()), "{} names", names.len());
    let traces: BTreeSet<&[u8]> = all.iter().map(|(_, span)| &span.trace_id[..]).collect();
    between("spans a trace", MANY, traces.len(), 8.0, 12.0);
    let count = |is: &dyn Fn(&Span) -> bool| all.iter().filter(|(_, span)| is(span)).count();
    between(
        "errors",
        count(&|span| span.status.is_some()),
        MANY,
        0.01,
        0.02,
    );
    between(
        "events",
        count(&|span| !span.events.is_empty()),
        MANY,
        0.01,
        0.05,
    );
    between(
        "links",
        count(&|span| !span.links.is_empty()),
        MANY,
        0.005,
        0.1,
    );
    between(
        "leaves",
        count(&|span| span.attributes.iter().any(|a| a.key == "db.query.text")),
        MANY,
        0.15,
        0.5,
    );
    for kind in 1..=5 {
        assert!(count(&|span| span.kind == kind) > MANY / 200, "kind {kind}");
    }
    let attributes = all.iter().map(|(_, span)| span.attributes.len()).sum();
    between("attributes", attributes, MANY, 8.0, 12.0);
    let roots = all
        .iter()
        .filter(|(_, span)| span.parent_span_id.is_empty());
    let last = roots.map(|(_, span)| span.start_time_unix_nano).max();
    let last = last.unwrap();
    let paced = PACE.spans_per_second as usize * (last - START) as usize / 1_000_000_000;
    between("pace", paced, MANY, 0.9, 1.1);
}

/// Scenario: the same spans as a forest.
/// Guarantees: each trace has one root, every parent is a span of the same trace that began no later.
#[test]
fn traces_are_trees() {
    let corpus = Corpus::new(7);
    let mut traces: HashMap<Vec<u8>, HashMap<Vec<u8>, Span>> = HashMap::new();
    for (_, span) in spans(&mut corpus.traces(PACE), 20_000) {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        let spans = traces.entry(span.trace_id.clone()).or_default();
        assert!(spans.insert(span.span_id.clone(), span).is_none());
    }
    let cut_at_the_end = 1;
    let mut broken = 0;
    for spans in traces.values() {
        let roots = spans.values().filter(|span| span.parent_span_id.is_empty());
        let has_parents = spans
            .values()
            .filter(|span| !span.parent_span_id.is_empty())
            .all(|span| {
                let parent = spans.get(&span.parent_span_id);
                parent
                    .is_some_and(|parent| parent.start_time_unix_nano <= span.start_time_unix_nano)
            });
        broken += usize::from(roots.count() != 1 || !has_parents);
    }
    assert!(broken <= cut_at_the_end, "{broken} of {}", traces.len());
}

/// Scenario: 60,000 log records beside the spans of the same pace.
/// Guarantees: severities, correlation with those very spans, JSON, maps and exceptions as stated.
#[test]
fn records_are_mixed_like_real_ones() {
    let corpus = Corpus::new(7);
    let ids: BTreeSet<Vec<u8>> = spans(&mut corpus.traces(PACE), 2 * MANY)
        .into_iter()
        .map(|(_, span)| span.span_id)
        .collect();
    let request = corpus.logs(PACE).request(MANY);
    let scopes = request
        .resource_logs
        .iter()
        .flat_map(|resource| &resource.scope_logs);
    let all: Vec<&LogRecord> = scopes.flat_map(|scope| &scope.log_records).collect();
    assert_eq!(all.len(), MANY);
    let count = |is: &dyn Fn(&LogRecord) -> bool| all.iter().filter(|record| is(record)).count();
    between(
        "debug",
        count(&|record| record.severity_number == 5),
        MANY,
        0.12,
        0.18,
    );
    between(
        "info",
        count(&|record| record.severity_number == 9),
        MANY,
        0.68,
        0.82,
    );
    between(
        "warn",
        count(&|record| record.severity_number == 13),
        MANY,
        0.05,
        0.1,
    );
    between(
        "error",
        count(&|record| record.severity_number == 17),
        MANY,
        0.01,
        0.05,
    );
    between(
        "traced",
        count(&|record| !record.trace_id.is_empty()),
        MANY,
        0.75,
        0.9,
    );
    assert!(
        all.iter()
            .all(|record| record.span_id.is_empty() || ids.contains(&record.span_id))
    );
    let body = |record: &LogRecord| match &record.body {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => text.clone(),
        _ => String::new(),
    };
    between(
        "JSON",
        count(&|record| body(record).starts_with("{\"")),
        MANY,
        0.03,
        0.4,
    );
    between(
        "maps",
        count(&|record| body(record).is_empty()),
        MANY,
        0.01,
        0.03,
    );
    between(
        "stacks",
        count(&|record| has(&record.attributes, "exception.stacktrace")),
        MANY,
        0.005,
        0.03,
    );
    // A place that nobody fills would show its braces.
    assert_eq!(
        count(&|record| body(record).contains("{i") || body(record).contains("{n")),
        0
    );
}

/// Scenario: the points of some hours.
/// Guarantees: a few thousand series, each type of metric, integers and doubles, both temporalities,
/// exemplars, counters that never fall but when their start moves, and some resets.
#[test]
fn points_are_mixed_like_real_ones() {
    let corpus = Corpus::new(7);
    let mut metrics = corpus.metrics(START, 1);
    assert!(
        (3_000..8_000).contains(&metrics.series()),
        "{} series",
        metrics.series()
    );
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut last: HashMap<Vec<u8>, (u64, i64)> = HashMap::new();
    let (mut resets, mut exemplars) = (0, 0);
    let request = metrics.request(400_000);
    for resource in &request.resource_metrics {
        for metric in resource
            .scope_metrics
            .iter()
            .flat_map(|scope| &scope.metrics)
        {
            match metric.data.as_ref().unwrap() {
                Data::Gauge(_) => *kinds.entry("gauge").or_default() += 1,
                Data::Histogram(data) => {
                    *kinds
                        .entry(if data.aggregation_temporality == 1 {
                            "delta"
                        } else {
                            "histogram"
                        })
                        .or_default() += 1;
                    for point in &data.data_points {
                        exemplars += point.exemplars.len();
                        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                    }
                }
                Data::ExponentialHistogram(data) => {
                    *kinds.entry("exponential").or_default() += 1;
                    for point in &data.data_points {
                        let buckets = point.positive.as_ref().unwrap();
                        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), point.count);
                    }
                }
                Data::Summary(_) => *kinds.entry("summary").or_default() += 1,
                Data::Sum(sum) if !sum.is_monotonic => *kinds.entry("up-down").or_default() += 1,
                Data::Sum(sum) => {
                    for point in &sum.data_points {
                        let Some(number_data_point::Value::AsInt(value)) = point.value else {
                            *kinds.entry("double").or_default() += 1;
                            continue;
                        };
                        *kinds.entry("int").or_default() += 1;
                        let series = (
                            resource.resource.as_ref().unwrap(),
                            &metric.name,
                            &point.attributes,
                        );
                        let key = format!("{series:?}").into_bytes();
                        let now = (point.start_time_unix_nano, value);
                        if let Some(before) = last
                            .insert(key, now)
                            .filter(|_| sum.aggregation_temporality == 2)
                        {
                            resets += usize::from(now.0 != before.0);
                            assert!(now.0 != before.0 || now.1 >= before.1);
                        }
                    }
                }
            }
        }
    }
    let expected = [
        "delta",
        "double",
        "exponential",
        "gauge",
        "histogram",
        "int",
        "summary",
        "up-down",
    ];
    assert!(kinds.keys().copied().eq(expected), "{kinds:?}");
    assert!(
        resets > 0 && exemplars > 100,
        "{resets} resets, {exemplars} exemplars"
    );
}

fn spans(traces: &mut spanmill_loadgen::corpus::Traces<'_>, count: usize) -> Vec<(Resource, Span)> {
    let mut all = Vec::new();
    for resource in traces.request(count).resource_spans {
        let by = resource.resource.unwrap_or_default();
        let spans = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| (by.clone(), span)));
    }
    assert_eq!(all.len(), count);
    all
}

fn service(resource: &Resource) -> String {
    let name = resource
        .attributes
        .iter()
        .find(|attribute| attribute.key == "service.name");
    format!("{name:?}")
}

fn has(attributes: &[KeyValue], key: &str) -> bool {
    attributes.iter().any(|attribute| attribute.key == key)
}

#[track_caller]
fn between(what: &str, part: usize, whole: usize, least: f64, most: f64) {
    let share = part as f64 / whole as f64;
    assert!((least..=most).contains(&share), "{what}: {share}");
}
