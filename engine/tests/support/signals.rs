//! The three signals from outside: where each goes in, and where its rows are.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use super::Stack;

/// One signal.
#[derive(Debug)]
pub struct Signal {
    /// gRPC method.
    pub method: &'static str,
    /// HTTP path.
    pub path: &'static str,
    /// Table of its rows.
    table: &'static str,
    /// Column that holds a row's name: of its span, its event or its metric.
    name: &'static str,
    /// What JSON calls the count of rejected rows.
    pub rejected: &'static str,
}

/// Spans.
pub static TRACES: Signal = Signal {
    method: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    path: "/v1/traces",
    table: "otel_traces",
    name: "SpanName",
    rejected: "rejectedSpans",
};

/// Log records.
pub static LOGS: Signal = Signal {
    method: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    path: "/v1/logs",
    table: "otel_logs",
    name: "EventName",
    rejected: "rejectedLogRecords",
};

/// Points.
pub static METRICS: Signal = Signal {
    method: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    path: "/v1/metrics",
    table: "otel_metrics",
    name: "MetricName",
    rejected: "rejectedDataPoints",
};

/// All three.
pub static SIGNALS: [&Signal; 3] = [&TRACES, &LOGS, &METRICS];

/// A name that no other test's rows have.
pub fn new_name() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl Signal {
    /// Rows stored under this name, and how many of them differ.
    pub fn stored(&self, stack: &Stack, name: &str) -> (usize, usize) {
        let Signal {
            table,
            name: column,
            ..
        } = self;
        let rows = format!("spanmill.{table} WHERE {column} = '{name}'");
        let sql = format!(
            "SELECT (SELECT count() FROM {rows}), (SELECT count() FROM (SELECT DISTINCT * FROM {rows}))"
        );
        let answer = stack.query(&sql);
        let (all, distinct) = answer.split_once('\t').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        (number(all), number(distinct))
    }

    /// What a response in protobuf says of rows left out: how many, and why.
    pub fn partial_success(&self, response: &[u8]) -> Option<(i64, String)> {
        match self.table {
            "otel_traces" => {
                let response = ExportTraceServiceResponse::decode(response);
                let partial = response.expect("a response").partial_success;
                partial.map(|partial| (partial.rejected_spans, partial.error_message))
            }
            "otel_logs" => {
                let response = ExportLogsServiceResponse::decode(response);
                let partial = response.expect("a response").partial_success;
                partial.map(|partial| (partial.rejected_log_records, partial.error_message))
            }
            _ => {
                let response = ExportMetricsServiceResponse::decode(response);
                let partial = response.expect("a response").partial_success;
                partial.map(|partial| (partial.rejected_data_points, partial.error_message))
            }
        }
    }
}
