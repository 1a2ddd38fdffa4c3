//! Strategies for log records.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::values::{attributes, code, count, text, time, value};

pub(in crate::decode::tests) fn item() -> BoxedStrategy<LogRecord> {
    let times = prop_oneof![
        3 => (time(), time()),
        1 => (Just(0), time()),
        1 => Just((0, 0)),
    ];
    let head = (times, code(), text(), text(), any::<u32>());
    let lists = (option::of(value()), attributes(), count());
    let ids = (correlation(16), correlation(8));
    (head, lists, ids)
        .prop_map(|(head, lists, ids)| LogRecord {
            time_unix_nano: head.0.0,
            observed_time_unix_nano: head.0.1,
            severity_number: head.1,
            severity_text: head.2,
            event_name: head.3,
            flags: head.4,
            body: lists.0,
            attributes: lists.1,
            dropped_attributes_count: lists.2,
            trace_id: ids.0,
            span_id: ids.1,
        })
        .boxed()
}

pub(in crate::decode::tests) fn set_time(record: &mut LogRecord, time: u64) {
    record.time_unix_nano = time;
    record.observed_time_unix_nano = time;
}

/// An id of something that the row belongs to: none, or of any length.
pub(super) fn correlation(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => vec(any::<u8>(), length),
        1 => Just(Vec::new()),
        1 => Just(vec![0; length]),
        1 => vec(any::<u8>(), 0..20),
    ]
}
