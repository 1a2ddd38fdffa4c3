//! Metrics of every kind that together have another value in every field.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};

use super::{attribute, string};

pub(in crate::decode::tests) fn items() -> Vec<Metric> {
    let metric = |name: &str, data| Metric {
        name: name.to_owned(),
        description: format!("{name} description"),
        unit: format!("{name} unit"),
        metadata: vec![string("m-key", name)],
        data: Some(data),
    };
    vec![
        metric(
            "gauge",
            Data::Gauge(Gauge {
                data_points: vec![gauge_point()],
            }),
        ),
        metric(
            "sum",
            Data::Sum(Sum {
                data_points: vec![number_point(number_data_point::Value::AsDouble(2.5))],
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
        ),
        metric(
            "histogram",
            Data::Histogram(Histogram {
                data_points: vec![histogram_point()],
                aggregation_temporality: 1,
            }),
        ),
        metric(
            "exponential",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential_point()],
                aggregation_temporality: 3,
            }),
        ),
        metric(
            "summary",
            Data::Summary(Summary {
                data_points: vec![summary_point()],
            }),
        ),
    ]
}

/// A point with a value and nothing else.
pub(in crate::decode::tests) fn number_point(value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![string("p-key", "number")],
        time_unix_nano: 16,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn gauge_point() -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: 15,
        flags: 1,
        exemplars: vec![exemplar(exemplar::Value::AsInt(i64::MAX))],
        ..number_point(number_data_point::Value::AsInt(i64::MIN + 1))
    }
}

fn exemplar(value: exemplar::Value) -> Exemplar {
    Exemplar {
        filtered_attributes: vec![attribute("x-key", Any::BoolValue(false))],
        time_unix_nano: 14,
        span_id: vec![0x1b; 8],
        trace_id: vec![0x1a; 16],
        value: Some(value),
    }
}

fn histogram_point() -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: vec![string("p-key", "histogram")],
        start_time_unix_nano: 21,
        time_unix_nano: 22,
        count: 23,
        sum: Some(24.0),
        bucket_counts: vec![25, 26],
        explicit_bounds: vec![27.0],
        exemplars: vec![exemplar(exemplar::Value::AsDouble(28.0))],
        flags: 29,
        min: Some(30.0),
        max: Some(31.0),
    }
}

fn exponential_point() -> ExponentialHistogramDataPoint {
    let buckets = |offset, bucket_counts| {
        Some(Buckets {
            offset,
            bucket_counts,
        })
    };
    ExponentialHistogramDataPoint {
        attributes: vec![string("p-key", "exponential")],
        start_time_unix_nano: 41,
        time_unix_nano: 42,
        count: 43,
        sum: Some(44.0),
        scale: -45,
        zero_count: 46,
        positive: buckets(-47, vec![48, 49]),
        negative: buckets(50, vec![51, 300]),
        flags: 52,
        exemplars: Vec::new(),
        min: Some(53.0),
        max: Some(54.0),
        zero_threshold: 55.0,
    }
}

fn summary_point() -> SummaryDataPoint {
    SummaryDataPoint {
        attributes: vec![string("p-key", "summary")],
        start_time_unix_nano: 61,
        time_unix_nano: 62,
        count: 63,
        sum: 64.0,
        quantile_values: vec![ValueAtQuantile {
            quantile: 0.65,
            value: 66.0,
        }],
        flags: 67,
    }
}
