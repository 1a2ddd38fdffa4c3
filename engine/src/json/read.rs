//! Reads JSON by the tables of `schema` and hands each field to the writer as it comes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};
use serde::de::{Unexpected, Visitor};

use super::scalar;
use super::schema::{Field, Kind, Message};
use super::write::Writer;
use crate::decode::VALUE_DEPTH_MAX;

/// Bytes of a text that an error shows.
const FOUND_BYTES_MAX: usize = 64;

/// A whole Export request.
pub(super) struct Request<'r, 'w> {
    pub(super) message: &'static Message,
    pub(super) writer: &'r mut Writer<'w>,
}

impl<'de> DeserializeSeed<'de> for Request<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_, '_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an Export request")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        fields(self.message, map, self.writer, 0)
    }
}

/// Reads a message's fields up to its end. `depth` counts the values that it lies in.
fn fields<'de, A: MapAccess<'de>>(
    message: &'static Message,
    mut map: A,
    writer: &mut Writer<'_>,
    depth: usize,
) -> Result<(), A::Error> {
    while let Some(field) = map.next_key_seed(Key(message))? {
        match field {
            Some(field) => map.next_value_seed(Value {
                field,
                place: Place::Field,
                writer: &mut *writer,
                depth,
            })?,
            None => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
}

/// A key: the field of this name, if the message has one.
struct Key(&'static Message);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static Field>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.name == name))
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Field,
    /// One of the values of a repeated field.
    Element,
}

/// The value of a field.
struct Value<'r, 'w> {
    field: &'static Field,
    place: Place,
    writer: &'r mut Writer<'w>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.writer.is_full() {
            return Err(D::Error::custom("the request is too large"));
        }
        from.deserialize_any(self)
    }
}

impl Value<'_, '_> {
    fn is_list(&self) -> bool {
        self.field.repeated && self.place == Place::Field
    }

    /// Writes an integer, if the field takes it.
    fn integer<E: Error>(self, value: i128, found: Unexpected<'_>) -> Result<(), E> {
        let signed = || i64::try_from(value).ok();
        let signed32 = || i32::try_from(value).ok();
        let unsigned = || u64::try_from(value).ok();
        let unsigned32 = || u32::try_from(value).ok();
        let bits = match self.field.kind {
            _ if self.is_list() => None,
            Kind::Int64 | Kind::Sfixed64 => signed().map(|value| value as u64),
            Kind::Enum(_) => signed32().map(|value| i64::from(value) as u64),
            Kind::Sint32 => signed32().map(|value| u64::from((value << 1 ^ value >> 31) as u32)),
            Kind::Uint64 | Kind::Fixed64 => unsigned(),
            Kind::Uint32 | Kind::Fixed32 => unsigned32().map(u64::from),
            Kind::Message(_)
            | Kind::String
            | Kind::Id
            | Kind::Bytes
            | Kind::Bool
            | Kind::Double => None,
        };
        let Some(bits) = bits else {
            return Err(E::invalid_value(found, &self));
        };
        let (number, kind) = (self.field.number, self.field.kind);
        match kind {
            Kind::Fixed32 => self.writer.fixed32(number, bits as u32),
            Kind::Fixed64 | Kind::Sfixed64 => self.writer.fixed64(number, bits),
            _ => self.writer.varint(number, bits),
        }
        Ok(())
    }

    fn double(self, value: f64) {
        self.writer.fixed64(self.field.number, value.to_bits());
    }
}

/// The value of an enum that has this name.
fn name(kind: Kind, text: &str) -> Option<i128> {
    let Kind::Enum(names) = kind else {
        return None;
    };
    let value = names.iter().position(|name| *name == text)?;
    i128::try_from(value).ok()
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.field.kind {
            _ if self.is_list() => "an array",
            Kind::Message(_) => "an object",
            Kind::String => "a string",
            Kind::Id => "a string of hex digits",
            Kind::Bytes => "a string of base64",
            Kind::Bool => "true or false",
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Kind::Enum(_) => "an integer of the enum",
            Kind::Uint32 | Kind::Fixed32 => "an integer of 32 bits without sign",
            Kind::Sint32 => "an integer of 32 bits",
            Kind::Int64 | Kind::Sfixed64 => "an integer of 64 bits, as a number or a string",
            Kind::Uint64 | Kind::Fixed64 => {
                "an integer of 64 bits without sign, as a number or a string"
            }
        };
        write!(to, "{kind} for \"{}\"", self.field.name)
    }

    /// ProtoJSON: null is a field that is not there. In an array it is a value that holds nothing.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match (self.place, self.field.kind) {
            (Place::Field, _) => Ok(()),
            (Place::Element, Kind::Message(_)) => {
                self.writer.bytes(self.field.number, b"");
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool if !self.is_list() => {
                self.writer.varint(self.field.number, u64::from(value));
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double if !self.is_list() => self.double(value as f64),
            _ => self.integer(value.into(), Unexpected::Unsigned(value))?,
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double if !self.is_list() => self.double(value as f64),
            _ => self.integer(value.into(), Unexpected::Signed(value))?,
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double if !self.is_list() => self.double(value),
            _ => match scalar::whole(value) {
                Some(whole) => self.integer(whole, Unexpected::Float(value))?,
                None => return Err(E::invalid_type(Unexpected::Float(value), &self)),
            },
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        // Short, so that the error still says where.
        let found = Unexpected::Str(&text[..text.floor_char_boundary(FOUND_BYTES_MAX)]);
        let wrong = |value: &Self| E::invalid_value(found, value);
        let number = self.field.number;
        match self.field.kind {
            _ if self.is_list() => return Err(wrong(&self)),
            Kind::String => self.writer.bytes(number, text.as_bytes()),
            Kind::Id => self.writer.bytes(number, &scalar::id(text)),
            Kind::Bytes => match scalar::bytes(text) {
                Some(bytes) => self.writer.bytes(number, &bytes),
                None => return Err(wrong(&self)),
            },
            Kind::Double => match scalar::double(text) {
                Some(double) => self.double(double),
                None => return Err(wrong(&self)),
            },
            Kind::Message(_) | Kind::Bool => return Err(wrong(&self)),
            kind => match name(kind, text).or_else(|| scalar::integer(text)) {
                Some(value) => self.integer(value, found)?,
                None => return Err(wrong(&self)),
            },
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if !self.is_list() {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let Value {
            field,
            writer,
            depth,
            ..
        } = self;
        loop {
            let element = Value {
                field,
                place: Place::Element,
                writer: &mut *writer,
                depth,
            };
            if elements.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (Kind::Message(message), false) = (self.field.kind, self.is_list()) else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        let begun = self.writer.begin(self.field.number);
        let depth = self.depth + usize::from(message.nests);
        if depth > VALUE_DEPTH_MAX {
            // The walk refuses a row for the list at this depth, and needs nothing of what is in it.
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        } else {
            fields(message, map, self.writer, depth)?;
        }
        self.writer.end(&begun);
        Ok(())
    }
}
