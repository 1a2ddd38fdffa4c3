//! Rows of `otel_metrics`, and what `otel_metric_series` must say of them.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint, exemplar, number_data_point,
};
use spanmill_schema::{MetricType, NumberType, Tables};

use super::common::{attributes, byte, correlation, float, lists, number, text, time};
use super::{Broken, Place, RowResult, Stored, in_time};
use crate::decode::Arrival;
use crate::decode::tests::block::{Row, Value, row};

pub(in crate::decode::tests) fn rows(
    metric: &Metric,
    place: &Place,
    _: &Tables,
    arrival: Arrival,
) -> Vec<RowResult> {
    // Kind, temporality, monotonic.
    let (kind, points) = match &metric.data {
        None => return Vec::new(),
        Some(Data::Gauge(data)) => (
            (MetricType::Gauge, 0, false),
            data.data_points.iter().map(number_point).collect(),
        ),
        Some(Data::Sum(data)) => (
            (
                MetricType::Sum,
                data.aggregation_temporality,
                data.is_monotonic,
            ),
            data.data_points.iter().map(number_point).collect(),
        ),
        Some(Data::Histogram(data)) => (
            (MetricType::Histogram, data.aggregation_temporality, false),
            data.data_points.iter().map(histogram_point).collect(),
        ),
        Some(Data::ExponentialHistogram(data)) => (
            (
                MetricType::ExponentialHistogram,
                data.aggregation_temporality,
                false,
            ),
            data.data_points.iter().map(exponential_point).collect(),
        ),
        Some(Data::Summary(data)) => (
            (MetricType::Summary, 0, false),
            data.data_points
                .iter()
                .map(summary_point)
                .collect::<Vec<_>>(),
        ),
    };
    let kind = [
        ("MetricType", number(kind.0 as u8)),
        ("AggregationTemporality", byte(kind.1)),
        ("IsMonotonic", Value::Bool(kind.2)),
    ];
    let stored = |point: Point<'_>| stored(metric, &kind, place, &point, arrival);
    points.into_iter().map(stored).collect()
}

/// What points of every kind have.
struct Point<'a> {
    attributes: &'a [KeyValue],
    start: u64,
    time: u64,
    flags: u32,
    number: [Value; 3],
    distribution: Distribution,
    exemplars: &'a [Exemplar],
}

#[derive(Default)]
struct Distribution {
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bounds: Vec<f64>,
    counts: Vec<u64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Buckets,
    negative: Buckets,
    quantiles: Vec<[Value; 2]>,
}

fn number_point(point: &NumberDataPoint) -> Point<'_> {
    use number_data_point::Value::{AsDouble, AsInt};
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        number: match point.value {
            None => none(),
            Some(AsDouble(value)) => double(value),
            Some(AsInt(value)) => int(value),
        },
        distribution: Distribution::default(),
        exemplars: &point.exemplars,
    }
}

fn histogram_point(point: &HistogramDataPoint) -> Point<'_> {
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        number: none(),
        distribution: Distribution {
            count: point.count,
            sum: point.sum,
            min: point.min,
            max: point.max,
            bounds: point.explicit_bounds.clone(),
            counts: point.bucket_counts.clone(),
            ..Distribution::default()
        },
        exemplars: &point.exemplars,
    }
}

fn exponential_point(point: &ExponentialHistogramDataPoint) -> Point<'_> {
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        number: none(),
        distribution: Distribution {
            count: point.count,
            sum: point.sum,
            min: point.min,
            max: point.max,
            scale: point.scale,
            zero_count: point.zero_count,
            zero_threshold: point.zero_threshold,
            positive: point.positive.clone().unwrap_or_default(),
            negative: point.negative.clone().unwrap_or_default(),
            ..Distribution::default()
        },
        exemplars: &point.exemplars,
    }
}

fn summary_point(point: &SummaryDataPoint) -> Point<'_> {
    let quantiles = point.quantile_values.iter();
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        number: none(),
        distribution: Distribution {
            count: point.count,
            // protobuf cannot say that a summary's sum is absent.
            sum: Some(point.sum),
            quantiles: quantiles
                .map(|at| [float(at.quantile), float(at.value)])
                .collect(),
            ..Distribution::default()
        },
        exemplars: &[],
    }
}

fn none() -> [Value; 3] {
    [number(NumberType::None as u8), float(0.0), Value::Int(0)]
}

fn double(value: f64) -> [Value; 3] {
    [
        number(NumberType::Double as u8),
        float(value),
        Value::Int(0),
    ]
}

/// The float that the decimal text reads as, and how far the integer is from it.
fn int(value: i64) -> [Value; 3] {
    let nearest: f64 = value.to_string().parse().unwrap();
    let remainder = i128::from(value) - nearest as i128;
    let remainder = Value::Int(remainder.try_into().unwrap());
    [number(NumberType::Int as u8), float(nearest), remainder]
}

fn stored(
    metric: &Metric,
    kind: &[(&'static str, Value); 3],
    place: &Place,
    point: &Point<'_>,
    arrival: Arrival,
) -> RowResult {
    let name = ("MetricName", text(&metric.name)?);
    let service = ("ServiceName", place.service.clone());
    let [value_type, value, remainder] = point.number.clone();
    let mut columns = row([name.clone(), service.clone()]);
    columns.extend(row(kind.clone()));
    columns.extend(row([
        ("Timestamp", in_time(point.time, arrival)?),
        ("StartTimestamp", time(point.start)),
        ("Flags", number(point.flags)),
        ("ValueType", value_type),
        ("Value", value),
        ("IntRemainder", remainder),
    ]));
    columns.extend(distribution_columns(&point.distribution));
    columns.extend(exemplar_columns(point.exemplars)?);

    let [metadata, metadata_types] = attributes(&metric.metadata)?;
    let [map, types] = attributes(point.attributes)?;
    let mut series = row([name]);
    series.extend(row(kind.clone()));
    series.extend(row([
        ("MetricUnit", text(&metric.unit)?),
        ("MetricDescription", text(&metric.description)?),
        ("MetricMetadata", metadata),
        ("MetricMetadataTypes", metadata_types),
        service,
    ]));
    series.extend(place.scope.iter().cloned());
    series.extend(row([("Attributes", map), ("AttributeTypes", types)]));
    Ok(Stored {
        row: columns,
        series: Some(series),
    })
}

fn distribution_columns(of: &Distribution) -> Row {
    let given = [of.sum, of.min, of.max].map(|value| u8::from(value.is_some()));
    let counts = |counts: &[u64]| Value::List(counts.iter().map(|c| number(*c)).collect());
    let [sum, min, max] = [of.sum, of.min, of.max].map(|value| float(value.unwrap_or(0.0)));
    let bounds = of.bounds.iter().map(|bound| float(*bound)).collect();
    let mut columns = row([
        ("Count", number(of.count)),
        ("Sum", sum),
        ("Min", min),
        ("Max", max),
        ("Given", number(given[0] + 2 * given[1] + 4 * given[2])),
        ("ExplicitBounds", Value::List(bounds)),
        ("BucketCounts", counts(&of.counts)),
        ("Scale", Value::Int(of.scale.into())),
        ("ZeroCount", number(of.zero_count)),
        ("ZeroThreshold", float(of.zero_threshold)),
        ("PositiveOffset", Value::Int(of.positive.offset.into())),
        ("PositiveBucketCounts", counts(&of.positive.bucket_counts)),
        ("NegativeOffset", Value::Int(of.negative.offset.into())),
        ("NegativeBucketCounts", counts(&of.negative.bucket_counts)),
    ]);
    let names = ["ValueAtQuantiles.Quantile", "ValueAtQuantiles.Value"];
    columns.extend(lists(names, of.quantiles.clone()));
    columns
}

fn exemplar_columns(exemplars: &[Exemplar]) -> Result<Row, Broken> {
    use exemplar::Value::{AsDouble, AsInt};
    let names = [
        "Exemplars.Timestamp",
        "Exemplars.ValueType",
        "Exemplars.Value",
        "Exemplars.IntRemainder",
        "Exemplars.TraceId",
        "Exemplars.SpanId",
        "Exemplars.FilteredAttributes",
        "Exemplars.FilteredAttributeTypes",
    ];
    let row = |exemplar: &Exemplar| -> Result<_, Broken> {
        let [kind, value, remainder] = match exemplar.value {
            None => none(),
            Some(AsDouble(value)) => double(value),
            Some(AsInt(value)) => int(value),
        };
        let [map, types] = attributes(&exemplar.filtered_attributes)?;
        Ok([
            time(exemplar.time_unix_nano),
            kind,
            value,
            remainder,
            correlation(&exemplar.trace_id, 16),
            correlation(&exemplar.span_id, 8),
            map,
            types,
        ])
    };
    let rows: Result<Vec<_>, _> = exemplars.iter().map(row).collect();
    Ok(lists(names, rows?))
}
