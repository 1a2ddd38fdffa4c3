//! Reads stored points with their series by SQL and compares them with what was sent.

use serde_json::{Value, json};

use crate::origin::origin_columns;
use crate::rows::{assert_same, json_rows, map, typed, typed_each, with};
use crate::support::Stack;

pub(crate) fn assert_stored(stack: &Stack, service: &str, sent: &[Value]) {
    let stored = json_rows(stack, &base_rows(service));
    assert_all_same(service, sent.to_vec(), stored);

    let series = stack.query(&format!(
        "SELECT count() FROM spanmill.otel_metric_series FINAL WHERE ServiceName = '{service}'"
    ));
    let points = stack.query(&format!(
        "SELECT uniqExact(SeriesId), count() FROM spanmill.otel_metrics
        WHERE ServiceName = '{service}'"
    ));
    // Each series has a point of both rounds.
    let expected = sent.len() / 2;
    assert_eq!(series, expected.to_string(), "{service}: series");
    assert_eq!(points, format!("{expected}\t{}", sent.len()), "{service}");

    for (kind, view) in (1..).zip(VIEWS) {
        let of_kind = sent.iter().filter(|row| row["type"] == kind);
        let expected = of_kind.map(|row| as_shown(kind, row)).collect();
        let shown = json_rows(stack, &view_rows(kind, view, service));
        assert_all_same(&format!("{service}, in {view}"), expected, shown);
    }
}

/// By type.
const VIEWS: [&str; 4] = [
    "otel_metrics_gauge",
    "otel_metrics_sum",
    "otel_metrics_histogram",
    "otel_metrics_exponential_histogram",
];

fn assert_all_same(way: &str, mut sent: Vec<Value>, mut stored: Vec<Value>) {
    assert_eq!(sent.len(), stored.len(), "{way}: points");
    for rows in [&mut sent, &mut stored] {
        rows.sort_by_key(place);
    }
    for (sent, stored) in sent.iter().zip(&stored) {
        let name = sent.get("metric").or(sent.get("MetricName"));
        let name = name.and_then(Value::as_str).expect("a name");
        assert_same(way, name, sent, stored);
    }
}

/// Unique among the points of a service, and among those that a view shows of them.
fn place(row: &Value) -> String {
    const BASE: [&str; 5] = ["metric", "time", "scope", "attributes", "number"];
    const VIEW: [&str; 6] = [
        "MetricName",
        "TimeUnix",
        "ScopeName",
        "Attributes",
        "Value",
        "Sum",
    ];
    let fields = BASE.iter().chain(&VIEW);
    fields.map(|field| row[field].to_string()).collect()
}

/// The bits of floats, which JSON does not carry exactly.
fn bits(floats: &str) -> String {
    format!("arrayMap(x -> reinterpretAsUInt64(x), {floats})")
}

fn base_rows(service: &str) -> String {
    let sort = |entries: String| format!("arraySort(entry -> entry.1, {entries})");
    format!(
        "SELECT m.MetricName AS metric, m.ServiceName AS service, m.MetricType AS type,
            m.AggregationTemporality AS temporality, m.IsMonotonic AS monotonic,
            toUnixTimestamp64Nano(m.Timestamp) AS time,
            toUnixTimestamp64Nano(m.StartTimestamp) AS start, m.Flags AS flags,
            tuple(m.ValueType, reinterpretAsUInt64(m.Value),
                if(m.ValueType = 2, toInt64(toInt128(m.Value) + m.IntRemainder), m.IntRemainder)
            ) AS number,
            m.Count AS count, reinterpretAsUInt64(m.Sum) AS sum, reinterpretAsUInt64(m.Min) AS min,
            reinterpretAsUInt64(m.Max) AS max, m.Given AS given,
            {bounds} AS bounds, m.BucketCounts AS counts,
            m.Scale AS scale, m.ZeroCount AS zero_count,
            reinterpretAsUInt64(m.ZeroThreshold) AS zero_threshold,
            tuple(m.PositiveOffset, m.PositiveBucketCounts) AS positive,
            tuple(m.NegativeOffset, m.NegativeBucketCounts) AS negative,
            arrayZip(m.`ValueAtQuantiles.Quantile`, m.`ValueAtQuantiles.Value`) AS quantiles,
            arrayZip(m.`Exemplars.Timestamp`, m.`Exemplars.ValueType`, m.`Exemplars.Value`,
                m.`Exemplars.IntRemainder`, m.`Exemplars.TraceId`, m.`Exemplars.SpanId`,
                {filtered}) AS exemplars,
            tuple(s.MetricType, s.AggregationTemporality, s.IsMonotonic) AS series,
            s.MetricUnit AS unit, s.MetricDescription AS description, {metadata} AS metadata,
            {attributes} AS attributes,
            toDate(m.Timestamp, 'UTC') BETWEEN s.FirstDay AND s.LastDay AS within_days,
            {origin}
        FROM spanmill.otel_metrics AS m
        LEFT JOIN (SELECT * FROM spanmill.otel_metric_series FINAL) AS s
            ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName
                AND s.SeriesId = m.SeriesId
        LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = s.ResourceId
        WHERE m.ServiceName = '{service}'",
        bounds = bits("m.ExplicitBounds"),
        filtered = typed_each(
            "m.`Exemplars.FilteredAttributes`",
            "m.`Exemplars.FilteredAttributeTypes`"
        ),
        metadata = typed("s.MetricMetadata", "s.MetricMetadataTypes"),
        attributes = sort(typed("s.Attributes", "s.AttributeTypes")),
        origin = origin_columns("s"),
    )
}

fn view_rows(kind: u8, view: &str, service: &str) -> String {
    let of_kind = match kind {
        1 | 2 => "reinterpretAsUInt64(Value) AS Value",
        3 => {
            "reinterpretAsUInt64(Sum) AS Sum, reinterpretAsUInt64(Min) AS Min,
            reinterpretAsUInt64(Max) AS Max,
            arrayMap(x -> reinterpretAsUInt64(x), ExplicitBounds) AS ExplicitBounds"
        }
        _ => {
            "reinterpretAsUInt64(Sum) AS Sum, reinterpretAsUInt64(Min) AS Min,
            reinterpretAsUInt64(Max) AS Max"
        }
    };
    format!(
        "SELECT * REPLACE (
            toUnixTimestamp64Nano(TimeUnix) AS TimeUnix,
            toUnixTimestamp64Nano(StartTimeUnix) AS StartTimeUnix, {of_kind})
        FROM otel.{view} AS v WHERE v.ServiceName = '{service}'"
    )
}

/// The same point as the Collector's exporter would have stored it.
fn as_shown(kind: u8, sent: &Value) -> Value {
    let shared = json!({
        "ResourceAttributes": map(&sent["resource_attributes"]),
        "ResourceSchemaUrl": sent["resource"][1],
        "ScopeName": sent["scope"][0],
        "ScopeVersion": sent["scope"][1],
        "ScopeAttributes": map(&sent["scope_attributes"]),
        "ScopeDroppedAttrCount": sent["scope"][3],
        "ScopeSchemaUrl": sent["scope"][2],
        "ServiceName": sent["service"],
        "MetricName": sent["metric"],
        "MetricDescription": sent["description"],
        "MetricUnit": sent["unit"],
        "Attributes": map(&sent["attributes"]),
        "StartTimeUnix": sent["start"],
        "TimeUnix": sent["time"],
        "Flags": sent["flags"],
        "Exemplars.FilteredAttributes": [],
        "Exemplars.TimeUnix": [],
        "Exemplars.Value": [],
        "Exemplars.SpanId": [],
        "Exemplars.TraceId": [],
    });
    let number = json!({"Value": sent["number"][1]});
    let distribution = json!({
        "Count": sent["count"],
        "Sum": sent["sum"],
        "Min": sent["min"],
        "Max": sent["max"],
        "AggregationTemporality": sent["temporality"],
    });
    match kind {
        1 => with(shared, number),
        2 => {
            let sum = json!({
                "AggregationTemporality": sent["temporality"],
                "IsMonotonic": sent["monotonic"],
            });
            with(with(shared, number), sum)
        }
        3 => {
            let buckets = json!({"ExplicitBounds": sent["bounds"], "BucketCounts": sent["counts"]});
            with(with(shared, distribution), buckets)
        }
        _ => {
            let buckets = json!({
                "Scale": sent["scale"],
                "ZeroCount": sent["zero_count"],
                "PositiveOffset": sent["positive"][0],
                "PositiveBucketCounts": sent["positive"][1],
                "NegativeOffset": sent["negative"][0],
                "NegativeBucketCounts": sent["negative"][1],
            });
            with(with(shared, distribution), buckets)
        }
    }
}
