//! Spans as stored become Jaeger's: what OTLP has fields for and Jaeger has not is shown as tags, under
//! the names that OpenTelemetry gives for that.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use spanmill_schema::ValueType;

use super::model::{LogJson, ProcessJson, ReferenceJson, SpanJson, TagJson, TraceJson};
use crate::traces::{Attribute, Event, Link, Span, SpanId, Trace, TraceId, kind_name};

/// All of them, in their order.
pub(crate) fn traces(traces: &[Trace]) -> Vec<TraceJson> {
    traces.iter().map(trace).collect()
}

fn trace(trace: &Trace) -> TraceJson {
    let mut processes = BTreeMap::new();
    let mut process_ids: HashMap<(u64, &str), String> = HashMap::new();
    let mut spans = Vec::with_capacity(trace.spans.len());
    for one in &trace.spans {
        let number = process_ids.len() + 1;
        let process_id = process_ids.entry((one.resource.id, &one.service));
        let process_id = process_id.or_insert_with(|| {
            let id = format!("p{number}");
            processes.insert(id.clone(), process(one));
            id
        });
        spans.push(span(trace.id, one, process_id.clone()));
    }
    TraceJson {
        trace_id: trace.id.to_string(),
        spans,
        processes,
        warnings: None,
    }
}

fn process(span: &Span) -> ProcessJson {
    let attributes = span.resource.attributes.iter();
    let others = attributes.filter(|attribute| attribute.key != "service.name");
    ProcessJson {
        service_name: span.service.clone(),
        tags: others.map(tag).collect(),
    }
}

fn span(trace: TraceId, span: &Span, process_id: String) -> SpanJson {
    let mut tags: Vec<_> = span.attributes.iter().map(tag).collect();
    tags.extend(fields_as_tags(span));
    SpanJson {
        trace_id: trace.to_string(),
        span_id: span_id(span.id),
        flags: span.flags & 0xff,
        operation_name: span.name.clone(),
        references: references(trace, span),
        start_time: span.start / 1000,
        duration: span.duration / 1000,
        tags,
        logs: span.events.iter().map(log).collect(),
        process_id,
        warnings: None,
    }
}

fn references(trace: TraceId, span: &Span) -> Vec<ReferenceJson> {
    let parent = (span.parent != [0; 8]).then(|| ReferenceJson {
        ref_type: "CHILD_OF",
        trace_id: trace.to_string(),
        span_id: span_id(span.parent),
    });
    parent
        .into_iter()
        .chain(span.links.iter().map(reference))
        .collect()
}

fn reference(link: &Link) -> ReferenceJson {
    let is_child = |attribute: &Attribute| {
        attribute.key == "opentracing.ref_type" && attribute.text == "child_of"
    };
    ReferenceJson {
        ref_type: match link.attributes.iter().any(is_child) {
            true => "CHILD_OF",
            false => "FOLLOWS_FROM",
        },
        trace_id: link.trace.to_string(),
        span_id: span_id(link.span),
    }
}

fn fields_as_tags(span: &Span) -> Vec<TagJson> {
    let mut tags = Vec::new();
    let mut add = |key: &str, text: &str| {
        if !text.is_empty() {
            tags.push(text_tag(key, text));
        }
    };
    add("otel.scope.name", &span.scope.name);
    add("otel.scope.version", &span.scope.version);
    add("span.kind", kind_name(span.kind));
    add("w3c.tracestate", &span.trace_state);
    match span.status {
        1 => add("otel.status_code", "OK"),
        2 => add("otel.status_code", "ERROR"),
        _ => {}
    }
    add("otel.status_description", &span.status_message);
    if span.status == 2 {
        tags.push(TagJson {
            key: "error".to_owned(),
            kind: "bool",
            value: Value::Bool(true),
        });
    }
    tags
}

fn log(event: &Event) -> LogJson {
    let name = (!event.name.is_empty()).then(|| text_tag("event", &event.name));
    LogJson {
        timestamp: event.time / 1000,
        fields: name
            .into_iter()
            .chain(event.attributes.iter().map(tag))
            .collect(),
    }
}

fn text_tag(key: &str, text: &str) -> TagJson {
    TagJson {
        key: key.to_owned(),
        kind: "string",
        value: Value::String(text.to_owned()),
    }
}

/// A number that JSON cannot hold stays a text.
fn tag(attribute: &Attribute) -> TagJson {
    let text = &attribute.text;
    let (kind, value) = match attribute.kind {
        ValueType::Bool => ("bool", Some(Value::Bool(text == "true"))),
        ValueType::Int => ("int64", text.parse::<i64>().ok().map(Value::from)),
        ValueType::Double => {
            let number = text.parse().ok().and_then(serde_json::Number::from_f64);
            ("float64", number.map(Value::Number))
        }
        ValueType::Bytes => ("binary", None),
        ValueType::String | ValueType::Array | ValueType::Map | ValueType::Empty => {
            ("string", None)
        }
    };
    TagJson {
        key: attribute.key.clone(),
        kind,
        value: value.unwrap_or_else(|| Value::String(text.clone())),
    }
}

fn span_id(id: SpanId) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}
