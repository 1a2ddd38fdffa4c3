//! The requests that clients send, made from their numbers: each signal in turn, each row with an id that
//! no other row has, over two partitions of its table.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// Rows of a request.
pub(crate) const ROWS: u64 = 3;
/// Requests that share a resource, so that new ones come all the time; each is inserted before the first
/// rows that name it.
const REQUESTS_OF_A_RESOURCE: u64 = 4;
/// OTLP's severity ERROR, so that the rollup of errors takes every record.
const ERROR: i32 = 17;
const CUMULATIVE: i32 = 2;

pub(crate) enum Request {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

/// What request `number` holds: 0 spans, 1 log records, 2 points.
pub(crate) fn signal(number: u64) -> usize {
    (number % 3) as usize
}

/// The ids of a request's rows.
pub(crate) fn ids(number: u64) -> impl Iterator<Item = u64> {
    (0..ROWS).map(move |row| number * ROWS + row)
}

/// What tells the rows of request `number` apart from all others in the rollups.
pub(crate) fn name(number: u64) -> String {
    format!("request.{number}")
}

impl Request {
    pub(crate) fn new(number: u64) -> Self {
        match signal(number) {
            0 => Request::Traces(traces(number)),
            1 => Request::Logs(logs(number)),
            _ => Request::Metrics(metrics(number)),
        }
    }

    pub(crate) fn path(&self) -> &'static str {
        match self {
            Request::Traces(_) => "/v1/traces",
            Request::Logs(_) => "/v1/logs",
            Request::Metrics(_) => "/v1/metrics",
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Traces(request) => request.encode_to_vec(),
            Request::Logs(request) => request.encode_to_vec(),
            Request::Metrics(request) => request.encode_to_vec(),
        }
    }
}

/// Unix nanoseconds of a row, no two alike: now, or a day ago for the last row of each request, which thus
/// lies in another partition and in a window that rollups hold to be closed.
fn time(id: u64) -> u64 {
    let days = u64::from(id % ROWS == ROWS - 1);
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    let time = time.duration_since(UNIX_EPOCH).expect("a clock");
    time.as_nanos() as u64 / 1_000_000 * 1_000_000 + id % 1_000_000
}

/// What a row carries: of any length from nothing to some hundred bytes, and unlike any other's.
pub(crate) fn payload(id: u64) -> String {
    let mut random = fastrand::Rng::with_seed(id);
    let length = random.usize(..300);
    std::iter::repeat_with(|| random.alphanumeric())
        .take(length)
        .collect()
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn resource(number: u64) -> Option<Resource> {
    let instance = format!("{}", number / REQUESTS_OF_A_RESOURCE);
    Some(Resource {
        attributes: vec![
            attribute("service.name", "outage".into()),
            attribute("service.instance.id", instance),
        ],
        ..Resource::default()
    })
}

fn traces(number: u64) -> ExportTraceServiceRequest {
    let span = |id: u64| Span {
        trace_id: u128::from(number).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: name(number),
        attributes: vec![attribute("payload", payload(id))],
        start_time_unix_nano: time(id),
        end_time_unix_nano: time(id),
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(number),
            scope_spans: vec![ScopeSpans {
                spans: ids(number).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn logs(number: u64) -> ExportLogsServiceRequest {
    let record = |id: u64| LogRecord {
        time_unix_nano: time(id),
        severity_number: ERROR,
        span_id: id.to_be_bytes().to_vec(),
        event_name: name(number),
        attributes: vec![attribute("payload", payload(id))],
        ..LogRecord::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(number),
            scope_logs: vec![ScopeLogs {
                log_records: ids(number).map(record).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

fn metrics(number: u64) -> ExportMetricsServiceRequest {
    let point = |id: u64| NumberDataPoint {
        time_unix_nano: time(id),
        value: Some(number_data_point::Value::AsInt(id as i64)),
        ..NumberDataPoint::default()
    };
    let sum = Sum {
        data_points: ids(number).map(point).collect(),
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(number),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: name(number),
                    data: Some(metric::Data::Sum(sum)),
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}
