//! Traces become OTLP's messages again: spans grouped by resource and scope, values with their types.

use std::sync::Arc;

use base64::Engine as _;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde_json::Value as Json;
use spanmill_schema::ValueType;

use super::{Attribute, Event, Link, Resource, Scope, Span, Trace};

type OfScope = (Arc<Scope>, Vec<trace::Span>);
type OfResource = (Arc<Resource>, Vec<OfScope>);

/// All spans of the traces. Groups stand in the order of their first span, spans within them by trace and
/// start.
pub(crate) fn resource_spans(traces: &[Trace]) -> Vec<trace::ResourceSpans> {
    let mut groups: Vec<OfResource> = Vec::new();
    for one in traces {
        for span in &one.spans {
            let of_resource = index_of(
                &mut groups,
                |(resource, _)| resource.id == span.resource.id,
                || (Arc::clone(&span.resource), Vec::new()),
            );
            let of_scope = index_of(
                &mut of_resource.1,
                |(scope, _)| *scope == span.scope,
                || (Arc::clone(&span.scope), Vec::new()),
            );
            of_scope.1.push(message(one, span));
        }
    }
    groups.into_iter().map(of_resource).collect()
}

/// The element that fits, which is made if there is none.
fn index_of<T>(list: &mut Vec<T>, fits: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let index = list.iter().position(fits).unwrap_or_else(|| {
        list.push(make());
        list.len() - 1
    });
    &mut list[index]
}

fn of_resource((resource, scopes): OfResource) -> trace::ResourceSpans {
    let scope_spans = scopes.into_iter().map(|(scope, spans)| trace::ScopeSpans {
        scope: Some(InstrumentationScope {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attributes: key_values(&scope.attributes),
            dropped_attributes_count: scope.dropped_attributes,
        }),
        spans,
        schema_url: scope.schema_url.clone(),
    });
    trace::ResourceSpans {
        resource: Some(resource::Resource {
            attributes: key_values(&resource.attributes),
            dropped_attributes_count: resource.dropped_attributes,
            ..resource::Resource::default()
        }),
        scope_spans: scope_spans.collect(),
        schema_url: resource.schema_url.clone(),
    }
}

fn message(of: &Trace, span: &Span) -> trace::Span {
    let parent = match span.parent == [0; 8] {
        true => Vec::new(),
        false => span.parent.to_vec(),
    };
    let start = unsigned(span.start);
    trace::Span {
        trace_id: of.id.0.to_vec(),
        span_id: span.id.to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: parent,
        flags: span.flags,
        name: span.name.clone(),
        kind: span.kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(span.duration),
        attributes: key_values(&span.attributes),
        dropped_attributes_count: span.dropped_attributes,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links,
        status: Some(trace::Status {
            message: span.status_message.clone(),
            code: span.status.into(),
        }),
    }
}

fn event(event: &Event) -> trace::span::Event {
    trace::span::Event {
        time_unix_nano: unsigned(event.time),
        name: event.name.clone(),
        attributes: key_values(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn link(link: &Link) -> trace::span::Link {
    trace::span::Link {
        trace_id: link.trace.0.to_vec(),
        span_id: link.span.to_vec(),
        trace_state: link.trace_state.clone(),
        attributes: key_values(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags,
    }
}

/// Times before 1970 do not exist in OTLP.
fn unsigned(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or(0)
}

fn key_values(attributes: &[Attribute]) -> Vec<KeyValue> {
    let key_value = |attribute: &Attribute| KeyValue {
        key: attribute.key.clone(),
        value: Some(AnyValue {
            value: value(attribute),
        }),
        ..KeyValue::default()
    };
    attributes.iter().map(key_value).collect()
}

/// What does not read as its type stays a text.
fn value(attribute: &Attribute) -> Option<Value> {
    let text = &attribute.text;
    let parsed = match attribute.kind {
        ValueType::Empty => return None,
        ValueType::String => None,
        ValueType::Bool => text.parse().ok().map(Value::BoolValue),
        ValueType::Int => text.parse().ok().map(Value::IntValue),
        ValueType::Double => text.parse().ok().map(Value::DoubleValue),
        ValueType::Bytes => {
            let bytes = base64::prelude::BASE64_STANDARD.decode(text);
            bytes.ok().map(Value::BytesValue)
        }
        ValueType::Array | ValueType::Map => serde_json::from_str(text).ok().and_then(from_json),
    };
    Some(parsed.unwrap_or_else(|| Value::StringValue(text.clone())))
}

/// Inner values were JSON when they were stored: bytes among them are base64 texts and stay so.
fn from_json(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(bool) => Value::BoolValue(bool),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::IntValue(integer),
            None => Value::DoubleValue(number.as_f64()?),
        },
        Json::String(text) => Value::StringValue(text),
        Json::Array(values) => Value::ArrayValue(ArrayValue {
            values: values.into_iter().map(any_value).collect(),
        }),
        Json::Object(map) => Value::KvlistValue(KeyValueList {
            values: map
                .into_iter()
                .map(|(key, json)| KeyValue {
                    key,
                    value: Some(any_value(json)),
                    ..KeyValue::default()
                })
                .collect(),
        }),
    })
}

fn any_value(json: Json) -> AnyValue {
    AnyValue {
        value: from_json(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: ValueType, text: &str) -> Attribute {
        Attribute {
            key: "k".into(),
            text: text.into(),
            kind,
        }
    }

    /// Scenario: stored texts of every type, and texts that are not of the type beside them.
    /// Guarantees: the value that was sent; a text where there is none.
    #[test]
    fn values_have_their_types_again() {
        let text = |text: &str| Some(Value::StringValue(text.into()));
        for (kind, stored, sent) in [
            (ValueType::String, "a", text("a")),
            (ValueType::Bool, "true", Some(Value::BoolValue(true))),
            (ValueType::Bool, "yes", text("yes")),
            (ValueType::Int, "-3", Some(Value::IntValue(-3))),
            (ValueType::Double, "0.5", Some(Value::DoubleValue(0.5))),
            (
                ValueType::Bytes,
                "AAE=",
                Some(Value::BytesValue(vec![0, 1])),
            ),
            (ValueType::Empty, "", None),
            (ValueType::Array, "[", text("[")),
        ] {
            assert_eq!(value(&attribute(kind, stored)), sent, "{kind:?} {stored}");
        }
        let Some(Value::KvlistValue(list)) = value(&attribute(ValueType::Map, r#"{"a":[1,null]}"#))
        else {
            panic!("no map");
        };
        assert_eq!(list.values[0].key, "a");
        let Some(Value::ArrayValue(array)) =
            list.values[0].value.as_ref().and_then(|v| v.value.clone())
        else {
            panic!("no array");
        };
        assert_eq!(array.values[0].value, Some(Value::IntValue(1)));
        assert_eq!(array.values[1].value, None);
    }
}
