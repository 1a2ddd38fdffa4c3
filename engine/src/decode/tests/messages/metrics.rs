//! Strategies for metrics of every kind and their points.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::logs::correlation;
use super::values::{attributes, code, double, int, text, time};
use crate::decode::tests::texts::each_point;

pub(in crate::decode::tests) fn item() -> BoxedStrategy<Metric> {
    let parts = (
        text(),
        text(),
        text(),
        attributes(),
        option::weighted(0.95, data()),
    );
    parts
        .prop_map(|(name, description, unit, metadata, data)| Metric {
            name,
            description,
            unit,
            metadata,
            data,
        })
        .boxed()
}

pub(in crate::decode::tests) fn set_time(metric: &mut Metric, time: u64) {
    each_point!(metric, |point| point.time_unix_nano = time);
}

fn data() -> impl Strategy<Value = Data> {
    let temporality = || code().boxed();
    prop_oneof![
        vec(number_point(), 0..4).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..4), temporality(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic,
            })
        ),
        (vec(histogram_point(), 0..3), temporality()).prop_map(
            |(data_points, aggregation_temporality)| Data::Histogram(Histogram {
                data_points,
                aggregation_temporality,
            })
        ),
        (vec(exponential_point(), 0..3), temporality()).prop_map(
            |(data_points, aggregation_temporality)| Data::ExponentialHistogram(
                ExponentialHistogram {
                    data_points,
                    aggregation_temporality,
                }
            )
        ),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    use number_data_point::Value;
    let value = option::weighted(
        0.9,
        prop_oneof![
            int().prop_map(Value::AsInt),
            double().prop_map(Value::AsDouble)
        ],
    );
    let parts = (
        attributes(),
        time(),
        time(),
        exemplars(),
        any::<u32>(),
        value,
    );
    parts.prop_map(|parts| NumberDataPoint {
        attributes: parts.0,
        start_time_unix_nano: parts.1,
        time_unix_nano: parts.2,
        exemplars: parts.3,
        flags: parts.4,
        value: parts.5,
    })
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    use exemplar::Value;
    let value = option::of(prop_oneof![
        int().prop_map(Value::AsInt),
        double().prop_map(Value::AsDouble)
    ]);
    let parts = (attributes(), time(), correlation(8), correlation(16), value);
    let exemplar = parts.prop_map(|parts| Exemplar {
        filtered_attributes: parts.0,
        time_unix_nano: parts.1,
        span_id: parts.2,
        trace_id: parts.3,
        value: parts.4,
    });
    prop_oneof![2 => Just(Vec::new()), 1 => vec(exemplar, 1..3)]
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let head = (attributes(), time(), time(), exemplars(), any::<u32>());
    let optional = || option::of(double());
    let values = (any::<u64>(), optional(), optional(), optional());
    let buckets = (vec(any::<u64>(), 0..5), vec(double(), 0..5));
    (head, values, buckets).prop_map(|(head, values, buckets)| HistogramDataPoint {
        attributes: head.0,
        start_time_unix_nano: head.1,
        time_unix_nano: head.2,
        exemplars: head.3,
        flags: head.4,
        count: values.0,
        sum: values.1,
        min: values.2,
        max: values.3,
        bucket_counts: buckets.0,
        explicit_bounds: buckets.1,
    })
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let head = (attributes(), time(), time(), exemplars(), any::<u32>());
    let optional = || option::of(double());
    let values = (any::<u64>(), optional(), optional(), optional());
    let buckets = || option::of(buckets());
    let rest = (signed(), any::<u64>(), plain_double(), buckets(), buckets());
    (head, values, rest).prop_map(|(head, values, rest)| ExponentialHistogramDataPoint {
        attributes: head.0,
        start_time_unix_nano: head.1,
        time_unix_nano: head.2,
        exemplars: head.3,
        flags: head.4,
        count: values.0,
        sum: values.1,
        min: values.2,
        max: values.3,
        scale: rest.0,
        zero_count: rest.1,
        zero_threshold: rest.2,
        positive: rest.3,
        negative: rest.4,
    })
}

fn buckets() -> impl Strategy<Value = Buckets> {
    let count = prop_oneof![0..300u64, any::<u64>()];
    (signed(), vec(count, 0..5)).prop_map(|(offset, bucket_counts)| Buckets {
        offset,
        bucket_counts,
    })
}

fn signed() -> impl Strategy<Value = i32> {
    prop_oneof![-20..20i32, Just(i32::MIN), Just(i32::MAX), any::<i32>()]
}

/// A double that prost writes: of a field that is not optional it leaves -0 out with 0.
fn plain_double() -> impl Strategy<Value = f64> {
    double().prop_map(|value| if value == 0.0 { 0.0 } else { value })
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = (plain_double(), plain_double());
    let quantile = quantile.prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let head = (attributes(), time(), time(), any::<u32>());
    let values = (any::<u64>(), plain_double(), vec(quantile, 0..4));
    (head, values).prop_map(|(head, values)| SummaryDataPoint {
        attributes: head.0,
        start_time_unix_nano: head.1,
        time_unix_nano: head.2,
        flags: head.3,
        count: values.0,
        sum: values.1,
        quantile_values: values.2,
    })
}
