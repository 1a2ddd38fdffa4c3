//! Documents in OTLP/JSON with every kind of field, and the messages that they stand for, written apart.
//! Their structure follows the examples that opentelemetry-proto has for each signal.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::rows::now;
use crate::support::signals::{LOGS, METRICS, Signal, TRACES};

/// A request in both forms.
pub(crate) struct Twins {
    pub(crate) signal: &'static Signal,
    pub(crate) rows: usize,
    pub(crate) json: String,
    pub(crate) protobuf: Vec<u8>,
}

/// All documents, their rows under this name, and of about now, since old rows are deleted at once.
pub(crate) fn twins(name: &str) -> [Twins; 4] {
    // In the files all times lie in these hundred seconds and in the ones before.
    let hundred = now() / (100 * SECOND);
    let (this, last) = (hundred.to_string(), (hundred - 1).to_string());
    let at = hundred * 100 * SECOND;
    let document = |signal, rows, json: &str, protobuf| Twins {
        signal,
        rows,
        json: json
            .replace("NAME", name)
            .replace("17672256", &this)
            .replace("17672255", &last),
        protobuf,
    };
    [
        document(&TRACES, 1, include_str!("traces.json"), traces(name, at)),
        document(&LOGS, 1, include_str!("logs.json"), logs(name, at)),
        document(&LOGS, 1, include_str!("events.json"), events(name, at)),
        document(&METRICS, 8, include_str!("metrics.json"), metrics(name, at)),
    ]
}

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;
const TRACE_ID: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN_ID: u64 = 0xb7ad_6b71_6920_3331;
const PARENT_ID: u64 = 0x00f0_67aa_0ba9_02b7;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.into())
}

fn array(values: Vec<AnyValue>) -> Value {
    Value::ArrayValue(ArrayValue { values })
}

fn map(values: Vec<KeyValue>) -> Value {
    Value::KvlistValue(KeyValueList { values })
}

fn service(name: &str) -> Resource {
    Resource {
        attributes: vec![attribute("service.name", text(name))],
        ..Resource::default()
    }
}

fn traces(name: &str, at: u64) -> Vec<u8> {
    let mut resource = service("checkout");
    resource
        .attributes
        .push(attribute("process.pid", Value::IntValue(4711)));
    resource.dropped_attributes_count = 1;
    let scope = InstrumentationScope {
        name: "shop.payments".into(),
        version: "2.1.0".into(),
        attributes: vec![attribute("team", text("money"))],
        dropped_attributes_count: 2,
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: vec![span(name, at)],
        schema_url: "https://opentelemetry.io/schemas/1.30.0".into(),
    };
    let resource_spans = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        schema_url: "https://opentelemetry.io/schemas/1.29.0".into(),
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    }
    .encode_to_vec()
}

fn span(name: &str, at: u64) -> Span {
    let inner = array(vec![any(Value::IntValue(1)), AnyValue::default()]);
    let nothing = KeyValue {
        key: "nothing".into(),
        value: Some(AnyValue::default()),
        ..KeyValue::default()
    };
    Span {
        trace_id: TRACE_ID.to_be_bytes().into(),
        span_id: SPAN_ID.to_be_bytes().into(),
        trace_state: "vendor=1".into(),
        parent_span_id: PARENT_ID.to_be_bytes().into(),
        flags: 0x101,
        name: name.into(),
        kind: 3,
        start_time_unix_nano: at + 123_456_789,
        end_time_unix_nano: at + 223_456_789,
        attributes: vec![
            attribute("http.request.method", text("POST")),
            attribute("retried", Value::BoolValue(false)),
            attribute("bytes", Value::IntValue(i64::MIN)),
            attribute("ratio", Value::DoubleValue(0.1)),
            attribute("limit", Value::DoubleValue(f64::INFINITY)),
            attribute("digest", Value::BytesValue(vec![0xde, 0xad, 0xbe, 0xef])),
            attribute("hosts", array(vec![any(text("a")), any(inner)])),
            attribute(
                "order",
                map(vec![attribute("paid", Value::BoolValue(true))]),
            ),
            nothing,
        ],
        dropped_attributes_count: 3,
        events: vec![Event {
            time_unix_nano: at + 150_000_000,
            name: "card accepted".into(),
            attributes: vec![attribute("card", text("gold"))],
            dropped_attributes_count: 4,
        }],
        dropped_events_count: 5,
        links: vec![Link {
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128
                .to_be_bytes()
                .into(),
            span_id: PARENT_ID.to_be_bytes().into(),
            trace_state: "other=2".into(),
            attributes: vec![attribute("why", text("batch"))],
            dropped_attributes_count: 6,
            flags: 1,
        }],
        dropped_links_count: 7,
        status: Some(Status {
            message: "declined".into(),
            code: 2,
        }),
    }
}

fn logs(name: &str, at: u64) -> Vec<u8> {
    let record = LogRecord {
        time_unix_nano: at + 123_456_789,
        observed_time_unix_nano: at + 999_999_999,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(any(text("the card was declined: ünïcode ✓"))),
        attributes: vec![
            attribute("exception.type", text("Declined")),
            attribute("attempt", Value::IntValue(3)),
            attribute("final", Value::BoolValue(true)),
            attribute("load", Value::DoubleValue(f64::NAN)),
            attribute(
                "codes",
                array(vec![any(Value::IntValue(5)), any(Value::IntValue(1))]),
            ),
            attribute("card", map(vec![attribute("kind", text("gold"))])),
        ],
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: TRACE_ID.to_be_bytes().into(),
        span_id: SPAN_ID.to_be_bytes().into(),
        event_name: name.into(),
    };
    let scope = InstrumentationScope {
        name: "shop.log".into(),
        version: "1".into(),
        ..InstrumentationScope::default()
    };
    let schema_url = "https://opentelemetry.io/schemas/1.30.0";
    one_record(service("checkout"), scope, schema_url, record)
}

fn events(name: &str, at: u64) -> Vec<u8> {
    let body = map(vec![
        attribute("type", Value::IntValue(0)),
        attribute("url", text("https://shop.example/cart")),
        attribute("title", text("Cart")),
        attribute("seen", array(vec![])),
        attribute("image", Value::BytesValue(vec![])),
    ]);
    let record = LogRecord {
        observed_time_unix_nano: at,
        severity_number: 9,
        body: Some(any(body)),
        event_name: name.into(),
        ..LogRecord::default()
    };
    let scope = InstrumentationScope {
        name: "shop.events".into(),
        ..InstrumentationScope::default()
    };
    one_record(service("browser"), scope, "", record)
}

fn one_record(
    resource: Resource,
    scope: InstrumentationScope,
    schema_url: &str,
    record: LogRecord,
) -> Vec<u8> {
    let scope_logs = ScopeLogs {
        scope: Some(scope),
        log_records: vec![record],
        schema_url: schema_url.into(),
    };
    let resource_logs = ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![scope_logs],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![resource_logs],
    }
    .encode_to_vec()
}

fn metrics(name: &str, at: u64) -> Vec<u8> {
    let metric = |unit: &str, data| Metric {
        name: name.into(),
        unit: unit.into(),
        data: Some(data),
        ..Metric::default()
    };
    let sum = Metric {
        description: "payments tried".into(),
        metadata: vec![attribute("origin", text("till"))],
        ..metric("1", sum(at))
    };
    let scope = InstrumentationScope {
        name: "shop.meter".into(),
        version: "3".into(),
        attributes: vec![attribute("team", text("money"))],
        ..InstrumentationScope::default()
    };
    let scope_metrics = ScopeMetrics {
        scope: Some(scope),
        metrics: vec![
            sum,
            metric("Cel", gauge(at)),
            metric("s", histogram(at)),
            metric("By", exponential_histogram(at)),
            metric("ms", summary(at)),
        ],
        ..ScopeMetrics::default()
    };
    let resource_metrics = ResourceMetrics {
        resource: Some(service("checkout")),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![resource_metrics],
    }
    .encode_to_vec()
}

fn sum(at: u64) -> Data {
    let integer = Exemplar {
        time_unix_nano: at - 50 * SECOND,
        value: Some(exemplar::Value::AsInt(-7)),
        span_id: SPAN_ID.to_be_bytes().into(),
        trace_id: TRACE_ID.to_be_bytes().into(),
        filtered_attributes: vec![attribute("till", Value::IntValue(4))],
    };
    let double = Exemplar {
        time_unix_nano: at - 40 * SECOND,
        value: Some(exemplar::Value::AsDouble(0.5)),
        ..Exemplar::default()
    };
    Data::Sum(Sum {
        aggregation_temporality: 2,
        is_monotonic: true,
        data_points: vec![NumberDataPoint {
            start_time_unix_nano: at - 100 * SECOND,
            time_unix_nano: at,
            value: Some(number_data_point::Value::AsInt(9_007_199_254_740_993)),
            flags: 1,
            attributes: vec![attribute("card", text("gold"))],
            exemplars: vec![integer, double],
        }],
    })
}

fn gauge(at: u64) -> Data {
    let point = |second, value, flags| NumberDataPoint {
        time_unix_nano: at + second * SECOND,
        value,
        flags,
        ..NumberDataPoint::default()
    };
    let double = |value| Some(number_data_point::Value::AsDouble(value));
    Data::Gauge(Gauge {
        data_points: vec![
            point(1, double(21.5), 0),
            point(2, double(f64::NEG_INFINITY), 0),
            point(3, None, 1),
        ],
    })
}

fn histogram(at: u64) -> Data {
    let full = HistogramDataPoint {
        start_time_unix_nano: at - 100 * SECOND,
        time_unix_nano: at + 4 * SECOND,
        count: 3,
        sum: Some(4.5),
        bucket_counts: vec![1, 2, 0],
        explicit_bounds: vec![1.0, 2.5],
        min: Some(0.5),
        max: Some(2.0),
        ..HistogramDataPoint::default()
    };
    let empty = HistogramDataPoint {
        time_unix_nano: at + 5 * SECOND,
        ..HistogramDataPoint::default()
    };
    Data::Histogram(Histogram {
        aggregation_temporality: 1,
        data_points: vec![full, empty],
    })
}

fn exponential_histogram(at: u64) -> Data {
    let buckets = |offset, bucket_counts| {
        Some(Buckets {
            offset,
            bucket_counts,
        })
    };
    Data::ExponentialHistogram(ExponentialHistogram {
        aggregation_temporality: 2,
        data_points: vec![ExponentialHistogramDataPoint {
            start_time_unix_nano: at - 100 * SECOND,
            time_unix_nano: at + 6 * SECOND,
            count: 10,
            sum: Some(100.25),
            scale: -3,
            zero_count: 2,
            zero_threshold: 1e-9,
            positive: buckets(-1, vec![1, 2, 4]),
            negative: buckets(5, vec![1]),
            min: Some(-64.0),
            max: Some(4096.0),
            ..ExponentialHistogramDataPoint::default()
        }],
    })
}

fn summary(at: u64) -> Data {
    let quantile = |quantile, value| ValueAtQuantile { quantile, value };
    Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            time_unix_nano: at + 7 * SECOND,
            count: 8,
            sum: 16.5,
            quantile_values: vec![quantile(0.5, 1.5), quantile(0.99, f64::NAN)],
            ..SummaryDataPoint::default()
        }],
    })
}
