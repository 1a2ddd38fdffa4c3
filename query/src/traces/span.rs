//! Spans and resources as they were sent: all that OTLP has fields for and that is stored.

use std::sync::Arc;

use spanmill_schema::ValueType;

use super::TraceId;

/// A trace: its spans by start.
#[derive(Debug)]
pub(crate) struct Trace {
    pub id: TraceId,
    pub spans: Vec<Span>,
}

/// A span.
#[derive(Debug)]
pub(crate) struct Span {
    /// Nanoseconds since 1970.
    pub start: i64,
    /// Nanoseconds.
    pub duration: u64,
    pub id: SpanId,
    /// All zeros for a root.
    pub parent: SpanId,
    pub trace_state: String,
    pub flags: u32,
    pub name: String,
    /// OTLP's number.
    pub kind: u8,
    pub service: String,
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// OTLP's number: 1 is ok, 2 is error.
    pub status: u8,
    pub status_message: String,
    pub attributes: Vec<Attribute>,
    pub dropped_attributes: u32,
    pub events: Vec<Event>,
    pub dropped_events: u32,
    pub links: Vec<Link>,
    pub dropped_links: u32,
}

/// Eight bytes, as sent.
pub(crate) type SpanId = [u8; 8];

/// An event of a span.
#[derive(Debug)]
pub(crate) struct Event {
    /// Nanoseconds since 1970.
    pub time: i64,
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub dropped_attributes: u32,
}

/// A link to another span.
#[derive(Debug)]
pub(crate) struct Link {
    pub trace: TraceId,
    pub span: SpanId,
    pub trace_state: String,
    pub flags: u32,
    pub attributes: Vec<Attribute>,
    pub dropped_attributes: u32,
}

/// What sent a span.
#[derive(Debug, Default)]
pub(crate) struct Resource {
    /// What tells it from others within an answer.
    pub id: u64,
    pub attributes: Vec<Attribute>,
    pub dropped_attributes: u32,
    pub schema_url: String,
}

/// The library that made a span.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scope {
    pub name: String,
    pub version: String,
    pub schema_url: String,
    pub attributes: Vec<Attribute>,
    pub dropped_attributes: u32,
}

/// A key and its value as text, with what it was before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub key: String,
    pub text: String,
    pub kind: ValueType,
}

/// Puts a map and the types beside it together. A type that is missing or unknown is a text.
pub(super) fn attributes(map: Vec<(String, String)>, types: &[u8]) -> Vec<Attribute> {
    let types = types.iter().copied().chain(std::iter::repeat(0));
    let attribute = |((key, text), kind): ((String, String), u8)| Attribute {
        key,
        text,
        kind: ValueType::try_from(kind).unwrap_or(ValueType::String),
    };
    map.into_iter().zip(types).map(attribute).collect()
}
