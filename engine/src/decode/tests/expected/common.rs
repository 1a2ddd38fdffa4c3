//! What rows of several tables have: attributes, resources, scopes, times and ids.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use spanmill_schema::{Promoted, PromotedKind, ValueType};

use super::Broken;
use super::text::value_text;
use crate::decode::tests::INVALID;
use crate::decode::tests::block::{Row, Value, row};

pub(super) fn number(value: impl Into<u64>) -> Value {
    Value::Number(value.into())
}

pub(super) fn float(value: f64) -> Value {
    Value::Float(value.to_bits())
}

/// A text, unless it stands for one that is no UTF-8.
pub(super) fn valid(value: &str) -> Result<&str, Broken> {
    match value.contains(INVALID) {
        true => Err("UTF-8"),
        false => Ok(value),
    }
}

pub(super) fn text(value: &str) -> Result<Value, Broken> {
    Ok(Value::Text(valid(value)?.to_owned()))
}

/// An attribute: key, type, text.
pub(super) type Entry = (String, ValueType, String);

pub(super) fn entries(attributes: &[KeyValue]) -> Result<Vec<Entry>, Broken> {
    attributes
        .iter()
        .map(|attribute| {
            let (kind, text) = value_text(attribute.value.as_ref())?;
            Ok((valid(&attribute.key)?.to_owned(), kind, text))
        })
        .collect()
}

/// The map column and the types column.
pub(super) fn map_and_types(entries: &[Entry]) -> [Value; 2] {
    let text = |text: &str| Value::Text(text.to_owned());
    let map = entries.iter().map(|(k, _, v)| (text(k), text(v))).collect();
    let types = entries.iter().map(|(_, kind, _)| number(*kind as u8));
    [Value::Map(map), Value::List(types.collect())]
}

pub(super) fn attributes(attributes: &[KeyValue]) -> Result<[Value; 2], Broken> {
    Ok(map_and_types(&entries(attributes)?))
}

/// All of a resource's columns but `ResourceId` and `LastSeen`. Attributes are stored sorted, so that a
/// resource is the same in every order of them.
pub(super) fn resource_row(resource: &Resource, schema_url: &str) -> Result<Row, Broken> {
    let mut entries = entries(&resource.attributes)?;
    entries.sort_by(|a, b| (&a.0, a.1 as u8, &a.2).cmp(&(&b.0, b.1 as u8, &b.2)));
    let service = entries
        .iter()
        .find(|entry| entry.0 == "service.name" && entry.1 == ValueType::String)
        .map_or("", |entry| &entry.2);
    let service = text(service)?;
    let [map, types] = map_and_types(&entries);
    Ok(row([
        ("ServiceName", service),
        ("Attributes", map),
        ("AttributeTypes", types),
        ("SchemaUrl", text(schema_url)?),
        (
            "DroppedAttributesCount",
            number(resource.dropped_attributes_count),
        ),
    ]))
}

pub(super) fn scope_columns(scope: &InstrumentationScope, schema_url: &str) -> Result<Row, Broken> {
    let [map, types] = attributes(&scope.attributes)?;
    Ok(row([
        ("ScopeName", text(&scope.name)?),
        ("ScopeVersion", text(&scope.version)?),
        ("ScopeSchemaUrl", text(schema_url)?),
        ("ScopeAttributes", map),
        ("ScopeAttributeTypes", types),
        (
            "ScopeDroppedAttributesCount",
            number(scope.dropped_attributes_count),
        ),
    ]))
}

/// A time as ClickHouse can hold it.
pub(super) fn time(nanoseconds: u64) -> Value {
    number(nanoseconds.min(i64::MAX as u64))
}

/// An open enum in a byte; what does not fit is "unspecified".
pub(super) fn byte(code: i32) -> Value {
    number(u8::try_from(code).unwrap_or(0))
}

pub(super) fn id(bytes: &[u8], length: usize) -> Result<Value, Broken> {
    match bytes.len() == length {
        true => Ok(Value::Fixed(bytes.to_vec())),
        false => Err("id length"),
    }
}

/// The id of what a row belongs to: zeros, which mean "to nothing", if it is none.
pub(super) fn correlation(bytes: &[u8], length: usize) -> Value {
    id(bytes, length).unwrap_or(Value::Fixed(vec![0; length]))
}

/// Takes the first fitting value of each promoted key out of `entries`.
pub(super) fn promoted_columns(promoted: &[Promoted], entries: &mut Vec<Entry>) -> Row {
    let column = |promoted: &Promoted| {
        let is_int_of = |kind: ValueType, value: &str, max: i64| {
            kind == ValueType::Int && value.parse().is_ok_and(|int: i64| int != 0 && int <= max)
        };
        let fits = |(key, kind, value): &Entry| {
            *key == promoted.key
                && match promoted.kind {
                    PromotedKind::Keyword | PromotedKind::Text => {
                        *kind == ValueType::String && !value.is_empty()
                    }
                    PromotedKind::U16 => is_int_of(*kind, value, 65_535) && !value.starts_with('-'),
                    PromotedKind::I64 => is_int_of(*kind, value, i64::MAX),
                }
        };
        let taken = entries.iter().position(fits).map(|at| entries.remove(at).2);
        let value = match promoted.kind {
            PromotedKind::Keyword | PromotedKind::Text => Value::Text(taken.unwrap_or_default()),
            PromotedKind::U16 => number(taken.map_or(0, |int| int.parse::<u64>().unwrap())),
            PromotedKind::I64 => Value::Int(taken.map_or(0, |int| int.parse().unwrap())),
        };
        (promoted.column.clone().into(), value)
    };
    promoted.iter().map(column).collect()
}

/// One list column per field of `rows`, which all have `names`.
pub(super) fn lists<const N: usize>(names: [&'static str; N], rows: Vec<[Value; N]>) -> Row {
    let mut columns = names.map(|name| (name, Vec::new()));
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.1.push(value);
        }
    }
    row(columns.map(|(name, list)| (name, Value::List(list))))
}
