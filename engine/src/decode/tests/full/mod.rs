//! Requests that hold another value in every field, and the parts that tests build requests from.

pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod spans;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::tree::{Group, Telemetry, one_group};

pub(super) fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        key_strindex: 0,
    }
}

pub(super) fn string(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

/// `depth` arrays or maps (where `map` says so) inside one another.
pub(super) fn nested(depth: usize, map: fn(usize) -> bool) -> AnyValue {
    let mut value = any(Any::StringValue("core".to_owned()));
    for level in 0..depth {
        value = any(if map(level) {
            Any::KvlistValue(KeyValueList {
                values: vec![KeyValue {
                    key: "in".to_owned(),
                    value: Some(value),
                    key_strindex: 0,
                }],
            })
        } else {
            Any::ArrayValue(ArrayValue {
                values: vec![value],
            })
        });
    }
    value
}

/// A request that has another value in every field.
pub(super) fn full<S: Telemetry>() -> Vec<Group<S::Item>> {
    let resource = Resource {
        attributes: vec![
            string("service.name", "service"),
            string("r-key", "r-value"),
        ],
        dropped_attributes_count: 11,
        entity_refs: Vec::new(),
    };
    let scope = InstrumentationScope {
        name: "scope".to_owned(),
        version: "version".to_owned(),
        attributes: vec![attribute("s-key", Any::BoolValue(true))],
        dropped_attributes_count: 12,
    };
    one_group(resource, scope, S::full())
}
