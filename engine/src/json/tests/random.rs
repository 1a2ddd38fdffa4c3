//! Random Export requests of all three signals: every field, every kind of value, extremes often.

use fastrand::Rng;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

const STRINGS: [&str; 8] = [
    "",
    "a",
    "http.request.method",
    "quotes \" and \\ and \u{0}\u{1f}\n",
    "ümläut, 日本語, 🦀",
    "NaN",
    "1",
    "a rather long string: more than one hundred and twenty-seven bytes, so that the length before it \
     needs a second byte in protobuf",
];
const DOUBLES: [f64; 10] = [
    0.0,
    -0.0,
    0.1,
    -1.5e-300,
    f64::MAX,
    5e-324,
    9_007_199_254_740_993.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Rolls dice for each field.
pub(super) struct Dice(pub(super) Rng);

impl Dice {
    pub(super) fn traces(&mut self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest {
            resource_spans: self.some(|dice| ResourceSpans {
                resource: dice.resource(),
                scope_spans: dice.some(|dice| ScopeSpans {
                    scope: dice.scope(),
                    spans: dice.some(Self::span),
                    schema_url: dice.string(),
                }),
                schema_url: dice.string(),
            }),
        }
    }

    pub(super) fn logs(&mut self) -> ExportLogsServiceRequest {
        ExportLogsServiceRequest {
            resource_logs: self.some(|dice| ResourceLogs {
                resource: dice.resource(),
                scope_logs: dice.some(|dice| ScopeLogs {
                    scope: dice.scope(),
                    log_records: dice.some(Self::record),
                    schema_url: dice.string(),
                }),
                schema_url: dice.string(),
            }),
        }
    }

    pub(super) fn metrics(&mut self) -> ExportMetricsServiceRequest {
        ExportMetricsServiceRequest {
            resource_metrics: self.some(|dice| ResourceMetrics {
                resource: dice.resource(),
                scope_metrics: dice.some(|dice| ScopeMetrics {
                    scope: dice.scope(),
                    metrics: dice.some(Self::metric),
                    schema_url: dice.string(),
                }),
                schema_url: dice.string(),
            }),
        }
    }

    fn some<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.0.usize(..4)).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.bool().then(|| make(self))
    }

    fn string(&mut self) -> String {
        STRINGS[self.0.usize(..STRINGS.len())].into()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.0.u8(..)).collect()
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        let length = if self.0.bool() { length } else { 0 };
        self.bytes(length)
    }

    fn u64(&mut self) -> u64 {
        [0, 1, u64::MAX, self.0.u64(..)][self.0.usize(..4)]
    }

    fn i64(&mut self) -> i64 {
        [0, -1, i64::MIN, i64::MAX, self.0.i64(..)][self.0.usize(..5)]
    }

    fn u32(&mut self) -> u32 {
        [0, 1, u32::MAX, self.0.u32(..)][self.0.usize(..4)]
    }

    fn i32(&mut self) -> i32 {
        [0, -1, i32::MIN, i32::MAX][self.0.usize(..4)]
    }

    fn double(&mut self) -> f64 {
        match self.0.usize(..DOUBLES.len() + 5) {
            known if known < DOUBLES.len() => DOUBLES[known],
            _ => f64::from_bits(self.0.u64(..) & 0xbfff_ffff_ffff_ffff),
        }
    }

    fn resource(&mut self) -> Option<Resource> {
        self.maybe(|dice| Resource {
            attributes: dice.attributes(),
            dropped_attributes_count: dice.u32(),
            ..Resource::default()
        })
    }

    fn scope(&mut self) -> Option<InstrumentationScope> {
        self.maybe(|dice| InstrumentationScope {
            name: dice.string(),
            version: dice.string(),
            attributes: dice.attributes(),
            dropped_attributes_count: dice.u32(),
        })
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.some(|dice| dice.attribute(3))
    }

    fn attribute(&mut self, depth: usize) -> KeyValue {
        KeyValue {
            key: self.string(),
            value: self.maybe(|dice| dice.value(depth)),
            ..KeyValue::default()
        }
    }

    fn value(&mut self, depth: usize) -> AnyValue {
        let value = match self.0.usize(..if depth > 0 { 8 } else { 6 }) {
            0 => None,
            1 => Some(Value::StringValue(self.string())),
            2 => Some(Value::BoolValue(self.0.bool())),
            3 => Some(Value::IntValue(self.i64())),
            4 => Some(Value::DoubleValue(self.double())),
            5 => {
                let length = self.0.usize(..40);
                Some(Value::BytesValue(self.bytes(length)))
            }
            6 => Some(Value::ArrayValue(ArrayValue {
                values: self.some(|dice| dice.value(depth - 1)),
            })),
            _ => Some(Value::KvlistValue(KeyValueList {
                values: self.some(|dice| dice.attribute(depth - 1)),
            })),
        };
        AnyValue { value }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.string(),
            parent_span_id: self.id(8),
            flags: self.u32(),
            name: self.string(),
            kind: self.0.i32(0..6),
            start_time_unix_nano: self.u64(),
            end_time_unix_nano: self.u64(),
            attributes: self.attributes(),
            dropped_attributes_count: self.u32(),
            events: self.some(|dice| Event {
                time_unix_nano: dice.u64(),
                name: dice.string(),
                attributes: dice.attributes(),
                dropped_attributes_count: dice.u32(),
            }),
            dropped_events_count: self.u32(),
            links: self.some(|dice| Link {
                trace_id: dice.id(16),
                span_id: dice.id(8),
                trace_state: dice.string(),
                attributes: dice.attributes(),
                dropped_attributes_count: dice.u32(),
                flags: dice.u32(),
            }),
            dropped_links_count: self.u32(),
            status: self.maybe(|dice| Status {
                message: dice.string(),
                code: dice.0.i32(0..3),
            }),
        }
    }

    fn record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.u64(),
            observed_time_unix_nano: self.u64(),
            severity_number: self.0.i32(0..25),
            severity_text: self.string(),
            body: self.maybe(|dice| dice.value(3)),
            attributes: self.attributes(),
            dropped_attributes_count: self.u32(),
            flags: self.u32(),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.string(),
        }
    }

    fn metric(&mut self) -> Metric {
        let data = match self.0.usize(..6) {
            0 => None,
            1 => Some(metric::Data::Gauge(Gauge {
                data_points: self.some(Self::number_point),
            })),
            2 => Some(metric::Data::Sum(Sum {
                data_points: self.some(Self::number_point),
                aggregation_temporality: self.0.i32(0..3),
                is_monotonic: self.0.bool(),
            })),
            3 => Some(metric::Data::Histogram(Histogram {
                data_points: self.some(Self::histogram_point),
                aggregation_temporality: self.0.i32(0..3),
            })),
            4 => Some(metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.some(Self::exponential_point),
                aggregation_temporality: self.0.i32(0..3),
            })),
            _ => Some(metric::Data::Summary(Summary {
                data_points: self.some(Self::summary_point),
            })),
        };
        Metric {
            name: self.string(),
            description: self.string(),
            unit: self.string(),
            metadata: self.attributes(),
            data,
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            exemplars: self.some(Self::exemplar),
            flags: self.u32(),
            value: self.maybe(|dice| {
                if dice.0.bool() {
                    number_data_point::Value::AsDouble(dice.double())
                } else {
                    number_data_point::Value::AsInt(dice.i64())
                }
            }),
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            count: self.u64(),
            sum: self.maybe(Self::double),
            bucket_counts: self.some(Self::u64),
            explicit_bounds: self.some(Self::double),
            exemplars: self.some(Self::exemplar),
            flags: self.u32(),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
        }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            count: self.u64(),
            sum: self.maybe(Self::double),
            scale: self.i32(),
            zero_count: self.u64(),
            positive: self.maybe(Self::buckets),
            negative: self.maybe(Self::buckets),
            flags: self.u32(),
            exemplars: self.some(Self::exemplar),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
            zero_threshold: self.double(),
        }
    }

    fn buckets(&mut self) -> Buckets {
        Buckets {
            offset: self.i32(),
            bucket_counts: self.some(Self::u64),
        }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            count: self.u64(),
            sum: self.double(),
            quantile_values: self.some(|dice| ValueAtQuantile {
                quantile: dice.double(),
                value: dice.double(),
            }),
            flags: self.u32(),
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.u64(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value: self.maybe(|dice| {
                if dice.0.bool() {
                    exemplar::Value::AsDouble(dice.double())
                } else {
                    exemplar::Value::AsInt(dice.i64())
                }
            }),
        }
    }
}
