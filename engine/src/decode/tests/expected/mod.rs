//! What must be stored of a request: takes the messages that prost decoded and gives rows. It never looks
//! at bytes and uses nothing of the walk or the columns.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use spanmill_schema::tables::{PROMOTED_SPAN_ATTRIBUTES, PromotedKind, ValueType};

use super::block::{Row, Value};
use crate::decode::VALUE_DEPTH_MAX;

/// A span and its resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    /// All of the span's columns but `ResourceId`.
    pub(super) span: Row,
    /// All of the resource's columns but `ResourceId` and `LastSeen`.
    pub(super) resource: Row,
}

/// The rows of `request`, or the rule of OTLP or of this engine that it breaks.
pub(super) fn expected(request: &ExportTraceServiceRequest) -> Result<Vec<Expected>, Broken> {
    let mut rows = Vec::new();
    let none = (Resource::default(), InstrumentationScope::default());
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.as_ref().unwrap_or(&none.0);
        let resource = resource_row(resource, &resource_spans.schema_url)?;
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.as_ref().unwrap_or(&none.1);
            let scope = scope_columns(scope, &scope_spans.schema_url)?;
            for span in &scope_spans.spans {
                let Value::Text(service) = &resource[0].1 else {
                    unreachable!("the service name is text")
                };
                rows.push(Expected {
                    span: span_row(span, service, &scope)?,
                    resource: resource.clone(),
                });
            }
        }
    }
    Ok(rows)
}

fn number(value: impl Into<u64>) -> Value {
    Value::Number(value.into())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// The rule that is broken.
type Broken = &'static str;

/// An attribute: key, type, text.
type Entry = (String, ValueType, String);

fn entries(attributes: &[KeyValue]) -> Result<Vec<Entry>, Broken> {
    attributes
        .iter()
        .map(|attribute| {
            let (kind, text) = value_text(attribute.value.as_ref())?;
            Ok((attribute.key.clone(), kind, text))
        })
        .collect()
}

fn map_and_types(entries: &[Entry]) -> (Value, Value) {
    let map = entries.iter().map(|(k, _, v)| (text(k), text(v))).collect();
    let types = entries.iter().map(|(_, kind, _)| number(*kind as u8));
    (Value::Map(map), Value::List(types.collect()))
}

/// Attributes are stored sorted, so that a resource is the same in every order of them.
fn resource_row(resource: &Resource, schema_url: &str) -> Result<Row, Broken> {
    let mut entries = entries(&resource.attributes)?;
    entries.sort_by(|a, b| (&a.0, a.1 as u8, &a.2).cmp(&(&b.0, b.1 as u8, &b.2)));
    let service = entries
        .iter()
        .find(|entry| entry.0 == "service.name" && entry.1 == ValueType::String)
        .map_or("", |entry| &entry.2);
    let (map, types) = map_and_types(&entries);
    Ok(vec![
        ("ServiceName", text(service)),
        ("Attributes", map),
        ("AttributeTypes", types),
        ("SchemaUrl", text(schema_url)),
        (
            "DroppedAttributesCount",
            number(resource.dropped_attributes_count),
        ),
    ])
}

fn scope_columns(scope: &InstrumentationScope, schema_url: &str) -> Result<Row, Broken> {
    let (map, types) = map_and_types(&entries(&scope.attributes)?);
    Ok(vec![
        ("ScopeName", text(&scope.name)),
        ("ScopeVersion", text(&scope.version)),
        ("ScopeSchemaUrl", text(schema_url)),
        ("ScopeAttributes", map),
        ("ScopeAttributeTypes", types),
        (
            "ScopeDroppedAttributesCount",
            number(scope.dropped_attributes_count),
        ),
    ])
}

/// A time as ClickHouse can hold it.
fn time(nanoseconds: u64) -> Value {
    number(nanoseconds.min(i64::MAX as u64))
}

/// An open enum in a byte; what does not fit is "unspecified".
fn byte(code: i32) -> Value {
    number(u8::try_from(code).unwrap_or(0))
}

fn id(bytes: &[u8], length: usize) -> Result<Value, Broken> {
    match bytes.len() == length {
        true => Ok(Value::Fixed(bytes.to_vec())),
        false => Err("id length"),
    }
}

fn named_id(bytes: &[u8], length: usize) -> Result<Value, Broken> {
    match bytes.iter().all(|byte| *byte == 0) {
        true => Err("id missing or zero"),
        false => id(bytes, length),
    }
}

fn span_row(span: &Span, service: &str, scope: &Row) -> Result<Row, Broken> {
    let start = span.start_time_unix_nano;
    let status = span.status.clone().unwrap_or_default();
    let parent = match &*span.parent_span_id {
        [] => &[0; 8],
        given => given,
    };
    let mut row = vec![
        ("Timestamp", time(start)),
        ("TraceId", named_id(&span.trace_id, 16)?),
        ("SpanId", named_id(&span.span_id, 8)?),
        ("ParentSpanId", id(parent, 8)?),
        ("TraceState", text(&span.trace_state)),
        ("Flags", number(span.flags)),
        ("SpanName", text(&span.name)),
        ("SpanKind", byte(span.kind)),
        ("ServiceName", text(service)),
    ];
    row.extend(scope.iter().cloned());
    row.extend([
        (
            "Duration",
            number(span.end_time_unix_nano.saturating_sub(start)),
        ),
        ("StatusCode", byte(status.code)),
        ("StatusMessage", text(&status.message)),
    ]);
    let mut rest = entries(&span.attributes)?;
    row.extend(promoted_columns(&mut rest));
    let (map, types) = map_and_types(&rest);
    row.extend([
        ("SpanAttributes", map),
        ("SpanAttributeTypes", types),
        (
            "DroppedAttributesCount",
            number(span.dropped_attributes_count),
        ),
        ("DroppedEventsCount", number(span.dropped_events_count)),
        ("DroppedLinksCount", number(span.dropped_links_count)),
    ]);
    row.extend(event_columns(&span.events)?);
    row.extend(link_columns(&span.links)?);
    Ok(row)
}

/// Takes the first fitting value of each promoted key out of `entries`.
fn promoted_columns(entries: &mut Vec<Entry>) -> Row {
    PROMOTED_SPAN_ATTRIBUTES
        .iter()
        .map(|promoted| {
            let fits = |(key, kind, value): &Entry| {
                key == promoted.key
                    && match promoted.kind {
                        PromotedKind::Text => *kind == ValueType::String && !value.is_empty(),
                        PromotedKind::Code => {
                            *kind == ValueType::Int
                                && (1..=65_535).contains(&value.parse::<i64>().unwrap())
                        }
                    }
            };
            let taken = entries.iter().position(fits).map(|at| entries.remove(at).2);
            let value = match (promoted.kind, taken) {
                (PromotedKind::Text, taken) => Value::Text(taken.unwrap_or_default()),
                (PromotedKind::Code, taken) => {
                    number(taken.map_or(0, |code| code.parse::<u64>().unwrap()))
                }
            };
            (promoted.column, value)
        })
        .collect()
}

/// One list column per field of `rows`, which all have `names`.
fn lists<const N: usize>(names: [&'static str; N], rows: Vec<[Value; N]>) -> Row {
    let mut columns = names.map(|name| (name, Vec::new()));
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.1.push(value);
        }
    }
    columns.map(|(name, list)| (name, Value::List(list))).into()
}

fn event_columns(events: &[Event]) -> Result<Row, Broken> {
    let names = [
        "Events.Timestamp",
        "Events.Name",
        "Events.Attributes",
        "Events.AttributeTypes",
        "Events.DroppedAttributesCount",
    ];
    let row = |event: &Event| -> Result<_, Broken> {
        let (map, types) = map_and_types(&entries(&event.attributes)?);
        Ok([
            time(event.time_unix_nano),
            text(&event.name),
            map,
            types,
            number(event.dropped_attributes_count),
        ])
    };
    let rows: Result<Vec<_>, _> = events.iter().map(row).collect();
    Ok(lists(names, rows?))
}

fn link_columns(links: &[Link]) -> Result<Row, Broken> {
    let names = [
        "Links.TraceId",
        "Links.SpanId",
        "Links.TraceState",
        "Links.Flags",
        "Links.Attributes",
        "Links.AttributeTypes",
        "Links.DroppedAttributesCount",
    ];
    let row = |link: &Link| -> Result<_, Broken> {
        let (map, types) = map_and_types(&entries(&link.attributes)?);
        Ok([
            id(&link.trace_id, 16)?,
            id(&link.span_id, 8)?,
            text(&link.trace_state),
            number(link.flags),
            map,
            types,
            number(link.dropped_attributes_count),
        ])
    };
    let rows: Result<Vec<_>, _> = links.iter().map(row).collect();
    Ok(lists(names, rows?))
}

fn value_text(value: Option<&AnyValue>) -> Result<(ValueType, String), Broken> {
    Ok(match value.and_then(|value| value.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => (ValueType::Empty, String::new()),
        Some(Any::StringValue(value)) => (ValueType::String, value.clone()),
        Some(Any::BoolValue(value)) => (ValueType::Bool, value.to_string()),
        Some(Any::IntValue(value)) => (ValueType::Int, value.to_string()),
        Some(Any::DoubleValue(value)) => (ValueType::Double, double(*value, false)),
        Some(Any::BytesValue(value)) => (ValueType::Bytes, STANDARD.encode(value)),
        Some(Any::ArrayValue(_)) => (ValueType::Array, json(value, 0)?),
        Some(Any::KvlistValue(_)) => (ValueType::Map, json(value, 0)?),
    })
}

fn json(value: Option<&AnyValue>, depth: usize) -> Result<String, Broken> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let (open, items, close): (_, Vec<String>, _) = match value.and_then(|v| v.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => return Ok("null".to_owned()),
        Some(Any::StringValue(value)) => return Ok(quoted(value)),
        Some(Any::BoolValue(value)) => return Ok(value.to_string()),
        Some(Any::IntValue(value)) => return Ok(value.to_string()),
        Some(Any::DoubleValue(value)) if value.is_finite() => return Ok(double(*value, true)),
        Some(Any::DoubleValue(value)) => return Ok(quoted(&double(*value, false))),
        Some(Any::BytesValue(value)) => return Ok(quoted(&STANDARD.encode(value))),
        Some(_) if depth == VALUE_DEPTH_MAX => return Err("depth"),
        Some(Any::ArrayValue(array)) => {
            let items = array.values.iter().map(|v| json(Some(v), depth + 1));
            ('[', items.collect::<Result<_, _>>()?, ']')
        }
        Some(Any::KvlistValue(map)) => {
            let item = |entry: &KeyValue| -> Result<_, Broken> {
                let value = json(entry.value.as_ref(), depth + 1)?;
                Ok(format!("{}:{value}", quoted(&entry.key)))
            };
            let items = map.values.iter().map(item);
            ('{', items.collect::<Result<_, _>>()?, '}')
        }
    };
    Ok(format!("{open}{}{close}", items.join(",")))
}

/// A double from its shortest digits: as in JavaScript (but with the sign of zero), or in JSON with a
/// fraction so that it does not look like an integer.
fn double(value: f64, json: bool) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{}Inf", if sign.is_empty() { "+" } else { sign });
    }
    let scientific = shortest(value.abs(), json);
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let plain = if json { -5..=15 } else { -6..=20 };
    if !plain.contains(&exponent) {
        let plus = if exponent > 0 && !json { "+" } else { "" };
        return format!("{sign}{mantissa}e{plus}{exponent}");
    }
    let digits = mantissa.replace('.', "");
    let whole_length = exponent + 1;
    let (whole, fraction) = if whole_length <= 0 {
        let zeros = "0".repeat(-whole_length as usize);
        ("0".to_owned(), format!("{zeros}{digits}"))
    } else {
        let padded = format!("{digits:0<width$}", width = whole_length as usize);
        let (whole, fraction) = padded.split_at(whole_length as usize);
        (whole.to_owned(), fraction.to_owned())
    };
    match (fraction.is_empty(), json) {
        (true, false) => format!("{sign}{whole}"),
        (true, true) => format!("{sign}{whole}.0"),
        (false, _) => format!("{sign}{whole}.{fraction}"),
    }
}

/// The shortest digits that read back as `value`. Two may be equally near: the walk takes the even one
/// in JSON and from 1e-5 up to 1e16, where it uses ryu, and the greater one elsewhere.
fn shortest(value: f64, json: bool) -> String {
    let text = format!("{value:e}");
    if json || (1e-5..1e16).contains(&value) {
        let digits = text.split('e').next().unwrap().replace('.', "").len();
        let even = format!("{value:.*e}", digits - 1);
        if even.parse() == Ok(value) {
            return even;
        }
    }
    text
}
