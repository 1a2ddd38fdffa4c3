//! Which path takes which signal, on either transport.

use crate::decode::Signal;

/// The gRPC method that takes a signal.
fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// The HTTP path that takes a signal.
fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
        Signal::Metrics => "/v1/metrics",
    }
}

/// The signal that this gRPC method takes.
pub(super) fn of_method(given: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|of| method(*of) == given)
}

/// The signal that this HTTP path takes.
pub(super) fn of_path(given: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|of| path(*of) == given)
}
