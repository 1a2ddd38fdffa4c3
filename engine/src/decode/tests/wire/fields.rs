//! What the messages of OTLP consist of, as far as their encodings go.

mod items;

use Field::{Choice, ChoiceOf, Many, One, Scalar};
use Wire::{Bool, Bytes, Fixed64, Int32, Int64};

use crate::decode::Signal;

/// The messages of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Message {
    Request(Signal),
    InResource(Signal),
    Resource,
    EntityRef,
    InScope(Signal),
    Scope,
    Span,
    Event,
    Link,
    Status,
    LogRecord,
    Metric,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
    NumberPoint,
    HistogramPoint,
    ExponentialPoint,
    Buckets,
    SummaryPoint,
    Quantile,
    Exemplar,
    KeyValue,
    AnyValue,
    Array,
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wire {
    Int32,
    Int64,
    Bool,
    Fixed32,
    Fixed64,
    Bytes,
}

/// What a field is, as far as its encoding goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    /// The last one holds.
    Scalar(Wire),
    /// The same, but its default is another value than none.
    Optional(Wire),
    /// Each is a value, and so is each in a packed one.
    Repeated(Wire),
    /// Several are merged into one.
    One(Message),
    /// Each is an element.
    Many(Message),
    /// Of the alternatives the last one holds.
    Choice(Wire),
    /// The same, but if it follows itself the two are merged.
    ChoiceOf(Message),
}

macro_rules! in_resource {
    ($signal:expr) => {
        &[
            (1, One(Message::Resource)),
            (2, Many(Message::InScope($signal))),
            (3, Scalar(Bytes)),
        ]
    };
}

macro_rules! in_scope {
    ($item:expr) => {
        &[
            (1, One(Message::Scope)),
            (2, Many($item)),
            (3, Scalar(Bytes)),
        ]
    };
}

/// The fields of `message`, from the .proto files.
pub(super) fn fields(message: Message) -> &'static [(u32, Field)] {
    match message {
        Message::Request(signal) => match signal {
            Signal::Traces => &[(1, Many(Message::InResource(Signal::Traces)))],
            Signal::Logs => &[(1, Many(Message::InResource(Signal::Logs)))],
            Signal::Metrics => &[(1, Many(Message::InResource(Signal::Metrics)))],
        },
        Message::InResource(signal) => match signal {
            Signal::Traces => in_resource!(Signal::Traces),
            Signal::Logs => in_resource!(Signal::Logs),
            Signal::Metrics => in_resource!(Signal::Metrics),
        },
        Message::Resource => &[
            (1, Many(Message::KeyValue)),
            (2, Scalar(Int32)),
            (3, Many(Message::EntityRef)),
        ],
        Message::EntityRef => &[(1, Scalar(Bytes)), (2, Scalar(Bytes))],
        Message::InScope(signal) => match signal {
            Signal::Traces => in_scope!(Message::Span),
            Signal::Logs => in_scope!(Message::LogRecord),
            Signal::Metrics => in_scope!(Message::Metric),
        },
        Message::Scope => &[
            (1, Scalar(Bytes)),
            (2, Scalar(Bytes)),
            (3, Many(Message::KeyValue)),
            (4, Scalar(Int32)),
        ],
        Message::KeyValue => &[
            (1, Scalar(Bytes)),
            (2, One(Message::AnyValue)),
            (3, Scalar(Int32)),
        ],
        Message::AnyValue => &[
            (1, Choice(Bytes)),
            (2, Choice(Bool)),
            (3, Choice(Int64)),
            (4, Choice(Fixed64)),
            (5, ChoiceOf(Message::Array)),
            (6, ChoiceOf(Message::Map)),
            (7, Choice(Bytes)),
            (8, Choice(Int32)),
        ],
        Message::Array => &[(1, Many(Message::AnyValue))],
        Message::Map => &[(1, Many(Message::KeyValue))],
        _ => items::fields(message),
    }
}
