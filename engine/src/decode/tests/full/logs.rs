//! A log record that has another value in every field.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::{any, attribute, string};

pub(in crate::decode::tests) fn items() -> Vec<LogRecord> {
    vec![LogRecord {
        time_unix_nano: 16,
        observed_time_unix_nano: 17,
        severity_number: 18,
        severity_text: "severity".to_owned(),
        body: Some(any(Any::DoubleValue(1.5))),
        attributes: vec![
            string("exception.type", "exception"),
            attribute("a-key", Any::IntValue(-2)),
        ],
        dropped_attributes_count: 19,
        flags: 20,
        trace_id: vec![0x1a; 16],
        span_id: vec![0x1b; 8],
        event_name: "event".to_owned(),
    }]
}
