//! What makes a log record bad.

use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::{Fault, too_deep};

pub(in crate::decode::tests) const FAULTS: &[Fault<LogRecord>] = &[
    |record| record.attributes.push(too_deep()),
    |record| record.body = too_deep().value,
    |record| record.time_unix_nano = u64::MAX,
    |record| {
        record.time_unix_nano = 0;
        record.observed_time_unix_nano = u64::MAX;
    },
];
