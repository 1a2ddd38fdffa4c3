//! Spans and resources in the form in which they were sent, as far as it is stored.

use spanmill_schema::ValueType;

use super::TraceId;

/// A trace: its spans by start, and the resources that they name.
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
    pub id: [u8; 8],
    /// All zeros for a root.
    pub parent: [u8; 8],
    pub trace_state: String,
    pub flags: u32,
    pub name: String,
    /// OTLP's number.
    pub kind: u8,
    pub service: String,
    pub resource: u64,
    pub scope_name: String,
    pub scope_version: String,
    /// OTLP's number: 1 is ok, 2 is error.
    pub status: u8,
    pub status_message: String,
    pub attributes: Vec<Attribute>,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
}

/// An event of a span.
#[derive(Debug)]
pub(crate) struct Event {
    /// Nanoseconds since 1970.
    pub time: i64,
    pub name: String,
    pub attributes: Vec<Attribute>,
}

/// A link to another span.
#[derive(Debug)]
pub(crate) struct Link {
    pub trace: TraceId,
    pub span: [u8; 8],
    pub attributes: Vec<Attribute>,
}

/// What sent a span.
#[derive(Debug)]
pub(crate) struct Resource {
    pub attributes: Vec<Attribute>,
}

/// A key and its value as text, with what it was before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub key: String,
    pub text: String,
    pub kind: ValueType,
}

/// Puts a map and the types beside it together. A type that is missing or unknown is a text.
pub(super) fn attributes(map: &[(String, String)], types: &[u8]) -> Vec<Attribute> {
    let types = types.iter().copied().chain(std::iter::repeat(0));
    let attribute = |((key, text), kind): (&(String, String), u8)| Attribute {
        key: key.clone(),
        text: text.clone(),
        kind: ValueType::try_from(kind).unwrap_or(ValueType::String),
    };
    map.iter().zip(types).map(attribute).collect()
}
