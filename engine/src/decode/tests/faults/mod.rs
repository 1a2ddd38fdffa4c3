//! Changes that make rows bad, each in one way.

pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod spans;

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::full::nested;
use super::tree::Fault;
use crate::decode::VALUE_DEPTH_MAX;

/// An attribute that is nested too deep.
pub(super) fn too_deep() -> KeyValue {
    KeyValue {
        key: "deep".to_owned(),
        value: Some(nested(VALUE_DEPTH_MAX + 1, |depth| depth % 2 == 0)),
        key_strindex: 0,
    }
}
