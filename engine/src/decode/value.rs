//! Attributes: takes a `KeyValue` message and gives key, type byte and text. Text is what a person would
//! write: decimal numbers, `true`, base64 for bytes, JSON for arrays and maps. Nothing is lost but the
//! bits of a NaN.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spanmill_schema::ValueType;

use super::wire::Reader;
use super::{DecodeError, PARTS_MAX, VALUE_DEPTH_MAX, utf8};
use crate::columns::{OwnedAttribute, Text, Value};

/// A field that protobuf merges when it comes more than once: its encodings, which read one after the
/// other are the merged message. They are not copied together, because merged fields nest: 64 copies of
/// a body could live at once.
#[derive(Default)]
pub(super) enum Merged<'a> {
    /// The field never came.
    #[default]
    Absent,
    Whole(&'a [u8]),
    Parts(Vec<&'a [u8]>),
}

/// There is no room for one part more. A type of its own, because it costs less to return than a
/// `DecodeError`.
pub(super) struct TooManyParts;

impl From<TooManyParts> for DecodeError {
    fn from(_: TooManyParts) -> Self {
        DecodeError::TooManyParts
    }
}

impl<'a> Merged<'a> {
    #[inline]
    pub(super) fn push(&mut self, part: &'a [u8]) -> Result<(), TooManyParts> {
        if let Merged::Absent = self {
            *self = Merged::Whole(part);
            return Ok(());
        }
        self.push_another(part)
    }

    #[cold]
    fn push_another(&mut self, part: &'a [u8]) -> Result<(), TooManyParts> {
        match self {
            Merged::Absent => *self = Merged::Whole(part),
            Merged::Whole(whole) => *self = Merged::Parts(vec![whole, part]),
            Merged::Parts(parts) if parts.len() < PARTS_MAX => parts.push(part),
            Merged::Parts(_) => return Err(TooManyParts),
        }
        Ok(())
    }

    #[inline]
    pub(super) fn parts(&self) -> &[&'a [u8]] {
        match self {
            Merged::Absent => &[],
            Merged::Whole(whole) => std::slice::from_ref(whole),
            Merged::Parts(parts) => parts,
        }
    }
}

/// `AnyValue` with the lengths checked and nothing converted yet.
enum AnyValue<'a> {
    Empty,
    String(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Merged<'a>),
    Map(Merged<'a>),
    Bytes(&'a [u8]),
}

/// Reads one `KeyValue` as key and value. `behind` begins with the message and may go on behind it; `text` is
/// room to write in.
#[inline(always)]
pub(super) fn attribute<'t>(
    (message, behind): (&'t [u8], &'t [u8]),
    text: &'t mut Vec<u8>,
) -> Result<(Text<'t>, Value<'t>), DecodeError> {
    match common(message, behind) {
        Some(attribute) => Ok(attribute),
        None => any_attribute(message, text),
    }
}

#[inline(never)]
fn any_attribute<'t>(
    message: &'t [u8],
    text: &'t mut Vec<u8>,
) -> Result<(Text<'t>, Value<'t>), DecodeError> {
    let (key, value) = read_key_value(message)?;
    let value = match read_any_value(&value)? {
        AnyValue::Int(number) => Value::Int(number),
        AnyValue::String(string) => Value::Text(ValueType::String, utf8(string)?.into()),
        value => {
            text.clear();
            Value::Text(write_text(&value, text)?, text[..].into())
        }
    };
    Ok((key.into(), value))
}

/// Reads one `KeyValue` into owned parts, for what is read once and used for many rows.
pub(super) fn owned_attribute(
    key_value: &[u8],
    text: &mut Vec<u8>,
    into: &mut Vec<OwnedAttribute>,
) -> Result<(), DecodeError> {
    let (key, value) = attribute((key_value, key_value), text)?;
    let (kind, value) = match value {
        Value::Text(kind, text) => (kind, text.bytes().to_vec()),
        Value::Int(number) => (ValueType::Int, number.to_string().into_bytes()),
    };
    into.push(OwnedAttribute {
        key: utf8(key.bytes())?.to_vec(),
        kind,
        value,
    });
    Ok(())
}

/// Type and text of an `AnyValue` that is no attribute's. `text` is room to write in.
pub(super) fn any_value_text<'t>(
    message: &Merged<'t>,
    text: &'t mut Vec<u8>,
) -> Result<(ValueType, &'t [u8]), DecodeError> {
    match read_any_value(message)? {
        AnyValue::String(string) => Ok((ValueType::String, utf8(string)?)),
        value => {
            text.clear();
            Ok((write_text(&value, text)?, text))
        }
    }
}

/// Key and value of a `KeyValue` in the form that nearly every sender writes: the key, then a value that is one
/// string in ASCII or one integer, each length in one byte. `None` means no more than "read it the long way".
#[inline(always)]
fn common<'a>(message: &'a [u8], behind: &'a [u8]) -> Option<(Text<'a>, Value<'a>)> {
    const KEY: u8 = 0x0a;
    const VALUE: u8 = 0x12;
    const STRING: u8 = 0x0a;
    const INT: u8 = 0x18;
    if *message.first()? != KEY {
        return None;
    }
    let key = Text::at_start_of(behind.get(1..)?)?;
    let value_at = 2 + key.bytes().len();
    let (&[value_tag, value_length, kind], value) = message.get(value_at..)?.split_first_chunk()?;
    if value_tag != VALUE || value_length >= 0x80 || usize::from(value_length) != value.len() + 1 {
        return None;
    }
    let value = match kind {
        STRING => {
            let text = Text::at_start_of(behind.get(value_at + 3..)?)?;
            // What is no ASCII is checked the long way.
            let is_common = text.bytes().len() + 1 == value.len() && text.is_ascii();
            Value::Text(ValueType::String, is_common.then_some(text)?)
        }
        INT => Value::Int(Reader::only_varint(value)? as i64),
        _ => return None,
    };
    Some((key, value))
}

#[inline]
fn read_key_value(message: &[u8]) -> Result<(&[u8], Merged<'_>), DecodeError> {
    let mut reader = Reader::new(message);
    let mut key = &[][..];
    let mut value = Merged::default();
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => key = reader.bytes(wire)?,
            2 => value.push(reader.bytes(wire)?)?,
            _ => reader.skip(field, wire)?,
        }
    }
    Ok((key, value))
}

#[inline]
fn read_any_value<'a>(message: &Merged<'a>) -> Result<AnyValue<'a>, DecodeError> {
    if let Merged::Whole(whole) = message {
        return read_any_value_part(whole, AnyValue::Empty);
    }
    let mut parts = message.parts().iter();
    parts.try_fold(AnyValue::Empty, |value, part| {
        read_any_value_part(part, value)
    })
}

/// Reads a part of a value of which the parts before gave `value`.
#[inline]
fn read_any_value_part<'a>(
    part: &'a [u8],
    mut value: AnyValue<'a>,
) -> Result<AnyValue<'a>, DecodeError> {
    let mut reader = Reader::new(part);
    // The last alternative on the wire holds; a message alternative that comes again is merged.
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => value = AnyValue::String(reader.bytes(wire)?),
            2 => value = AnyValue::Bool(reader.varint(wire)? != 0),
            3 => value = AnyValue::Int(reader.varint(wire)? as i64),
            4 => value = AnyValue::Double(f64::from_bits(reader.fixed64(wire)?)),
            5 => {
                if !matches!(value, AnyValue::Array(_)) {
                    value = AnyValue::Array(Merged::default());
                }
                if let AnyValue::Array(array) = &mut value {
                    array.push(reader.bytes(wire)?)?;
                }
            }
            6 => {
                if !matches!(value, AnyValue::Map(_)) {
                    value = AnyValue::Map(Merged::default());
                }
                if let AnyValue::Map(map) = &mut value {
                    map.push(reader.bytes(wire)?)?;
                }
            }
            7 => value = AnyValue::Bytes(reader.bytes(wire)?),
            // An index into a string table that only profiles have: no value here.
            8 => {
                reader.varint(wire)?;
                value = AnyValue::Empty;
            }
            _ => reader.skip(field, wire)?,
        }
    }
    Ok(value)
}

fn write_text(value: &AnyValue<'_>, text: &mut Vec<u8>) -> Result<ValueType, DecodeError> {
    Ok(match value {
        AnyValue::Empty => ValueType::Empty,
        AnyValue::String(string) => {
            text.extend_from_slice(utf8(string)?);
            ValueType::String
        }
        AnyValue::Bool(value) => {
            text.extend_from_slice(if *value { b"true" } else { b"false" });
            ValueType::Bool
        }
        AnyValue::Int(value) => {
            text.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
            ValueType::Int
        }
        AnyValue::Double(value) => {
            write_double(*value, text);
            ValueType::Double
        }
        AnyValue::Bytes(bytes) => {
            text.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            ValueType::Bytes
        }
        AnyValue::Array(array) => {
            write_json_array(array, text, 1)?;
            ValueType::Array
        }
        AnyValue::Map(map) => {
            write_json_map(map, text, 1)?;
            ValueType::Map
        }
    })
}

/// The shortest decimal text that reads back equal, plain from 1e-6 up to 1e21 and with an exponent
/// outside, which is how JavaScript and the Collector's ClickHouse exporter write it.
fn write_double(value: f64, text: &mut Vec<u8>) {
    let magnitude = value.abs();
    if !value.is_finite() {
        let name: &[u8] = match (value.is_nan(), value > 0.0) {
            (true, _) => b"NaN",
            (false, true) => b"+Inf",
            (false, false) => b"-Inf",
        };
        text.extend_from_slice(name);
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let exponent = format!("{value:e}");
        let exponent = if magnitude > 1.0 {
            exponent.replace('e', "e+")
        } else {
            exponent
        };
        text.extend_from_slice(exponent.as_bytes());
    } else if magnitude != 0.0 && !(1e-5..1e16).contains(&magnitude) {
        // Writing into a Vec cannot fail.
        let _ = write!(text, "{value}");
    } else {
        let mut buffer = ryu::Buffer::new();
        let shortest = buffer.format_finite(value);
        text.extend_from_slice(shortest.strip_suffix(".0").unwrap_or(shortest).as_bytes());
    }
}

fn write_json(value: &AnyValue<'_>, json: &mut Vec<u8>, depth: usize) -> Result<(), DecodeError> {
    match value {
        AnyValue::Empty => json.extend_from_slice(b"null"),
        AnyValue::String(string) => write_json_string(utf8(string)?, json),
        AnyValue::Bool(_) | AnyValue::Int(_) => {
            write_text(value, json)?;
        }
        // With its ".0", so that 1.0 does not read back as an integer.
        AnyValue::Double(value) if value.is_finite() => {
            json.extend_from_slice(ryu::Buffer::new().format_finite(*value).as_bytes());
        }
        AnyValue::Double(_) | AnyValue::Bytes(_) => {
            json.push(b'"');
            write_text(value, json)?;
            json.push(b'"');
        }
        AnyValue::Array(array) => write_json_array(array, json, depth + 1)?,
        AnyValue::Map(map) => write_json_map(map, json, depth + 1)?,
    }
    Ok(())
}

fn write_json_array(
    array: &Merged<'_>,
    json: &mut Vec<u8>,
    depth: usize,
) -> Result<(), DecodeError> {
    write_json_items(array, b"[]", json, depth, |item, json| {
        write_json(&read_any_value(&Merged::Whole(item))?, json, depth)
    })
}

fn write_json_map(map: &Merged<'_>, json: &mut Vec<u8>, depth: usize) -> Result<(), DecodeError> {
    write_json_items(map, b"{}", json, depth, |item, json| {
        let (key, value) = read_key_value(item)?;
        write_json_string(utf8(key)?, json);
        json.push(b':');
        write_json(&read_any_value(&value)?, json, depth)
    })
}

/// Writes every element (field 1) of an array or map between `brackets`.
fn write_json_items(
    list: &Merged<'_>,
    brackets: &[u8; 2],
    json: &mut Vec<u8>,
    depth: usize,
    write_item: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if depth > VALUE_DEPTH_MAX {
        return Err(DecodeError::TooDeep);
    }
    json.push(brackets[0]);
    let mut separator: &[u8] = b"";
    for part in list.parts() {
        let mut reader = Reader::new(part);
        while let Some((field, wire)) = reader.tag()? {
            if field != 1 {
                reader.skip(field, wire)?;
                continue;
            }
            json.extend_from_slice(separator);
            separator = b",";
            write_item(reader.bytes(wire)?, json)?;
        }
    }
    json.push(brackets[1]);
    Ok(())
}

fn write_json_string(utf8: &[u8], json: &mut Vec<u8>) {
    // `utf8` was checked and a Vec takes every write, so neither step can fail.
    if let Ok(text) = std::str::from_utf8(utf8) {
        let _ = serde_json::to_writer(json, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: doubles around every change of notation.
    /// Guarantee: the text reads back to the same double and has the promised form.
    #[test]
    fn doubles_read_back_equal() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-7"),
            (1e16, "10000000000000000"),
            (1.5e20, "150000000000000000000"),
            (1e21, "1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            let mut text = Vec::new();
            write_double(value, &mut text);
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text, expected);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
