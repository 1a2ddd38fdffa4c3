//! Foresees how many bytes a message will take: in columns, and of working memory while it is read. What
//! it says is never less than what the message then takes; it reads tags and lengths and stores nothing.
//!
//! A message's plain texts are stored once each, so its own length covers them. Beyond it come values of
//! fixed width, offsets, dictionary entries, and texts that are longer than what they were made from.

use super::VALUE_DEPTH_MAX;
use super::wire::{BYTES, Reader};

/// Bytes of columns and working memory that one byte of a span, record or point can become, whatever it
/// holds; `Shape::growth` is closer. The worst is an exemplar without fields: 57 bytes for 2.
pub(super) const GROWTH_MAX: usize = 32;
/// The same for a message whose attributes are first read into parts of their own. The worst is an
/// attribute without fields.
pub(super) const OWNED_GROWTH_MAX: usize = (OWNED_BYTES + OWNED_COPIES * (2 + ATTRIBUTE_BYTES)) / 2;

/// A dictionary's own bytes for an entry, besides its text: its end, its follower, and its place in a hash
/// table that may be half empty.
const ENTRY_BYTES: usize = crate::columns::DICTIONARY_ENTRY_BYTES;
/// A length before a text.
const LENGTH_BYTES: usize = 5;
/// An entry of a map: the key's number and the type; and its key in the dictionary. (The value's length
/// takes no more than the tag and length of the attribute itself.)
const ATTRIBUTE_BYTES: usize = 4 + 1 + ENTRY_BYTES;
/// An attribute that is read into parts of its own: a struct of 56 bytes in a vector that may just be
/// growing from half to double (168), two small allocations (32), and a reference to sort by (8).
const OWNED_BYTES: usize = 168 + 32 + 8;
/// The texts of such an attribute lie in its parts, in a column, in the bytes that are hashed, and
/// encoded in the key that the resource or series is remembered by.
const OWNED_COPIES: usize = 4;
/// The longest text of a number (-1.7976931348623157e+308).
const NUMBER_BYTES: usize = 24;
/// What JSON puts around an element and its key, and `null`.
const ELEMENT_BYTES: usize = 8;

/// What is foreseen of one kind of message.
pub(super) struct Shape {
    /// Of every message.
    bytes: usize,
    /// Of fields, by number. Others take no more than their length.
    fields: &'static [(u32, Field)],
}

enum Field {
    /// A `KeyValue` that becomes an entry of a map.
    Attribute,
    /// An `AnyValue` that becomes text.
    Value,
    /// Varints that become eight bytes each.
    Varints,
    Message(&'static Shape),
}

pub(super) static SPAN: Shape = Shape {
    bytes: 0,
    fields: &[
        (9, Field::Attribute),
        (11, Field::Message(&EVENT)),
        (13, Field::Message(&LINK)),
    ],
};

static EVENT: Shape = Shape {
    // Time, name with its dictionary entry, offset, dropped count.
    bytes: 8 + 4 + ENTRY_BYTES + 8 + 4,
    fields: &[(3, Field::Attribute)],
};

static LINK: Shape = Shape {
    // Ids, length of the state, flags, offset, dropped count.
    bytes: 24 + LENGTH_BYTES + 4 + 8 + 4,
    fields: &[(4, Field::Attribute)],
};

pub(super) static RECORD: Shape = Shape {
    bytes: 0,
    fields: &[(5, Field::Value), (6, Field::Attribute)],
};

pub(super) static NUMBER_POINT: Shape = Shape {
    bytes: 0,
    fields: &[(5, Field::Message(&EXEMPLAR))],
};

pub(super) static HISTOGRAM_POINT: Shape = Shape {
    bytes: 0,
    fields: &[(8, Field::Message(&EXEMPLAR))],
};

pub(super) static EXPONENTIAL_POINT: Shape = Shape {
    bytes: 0,
    fields: &[
        (8, Field::Message(&BUCKETS)),
        (9, Field::Message(&BUCKETS)),
        (11, Field::Message(&EXEMPLAR)),
    ],
};

pub(super) static SUMMARY_POINT: Shape = Shape {
    bytes: 0,
    fields: &[(6, Field::Message(&QUANTILE))],
};

static EXEMPLAR: Shape = Shape {
    // Time, number, ids, offset.
    bytes: 8 + 17 + 24 + 8,
    fields: &[(7, Field::Attribute)],
};

static BUCKETS: Shape = Shape {
    bytes: 0,
    fields: &[(2, Field::Varints)],
};

static QUANTILE: Shape = Shape {
    bytes: 16,
    fields: &[],
};

impl Shape {
    /// At least the bytes that `message` takes, besides what every row of its table does.
    pub(super) fn growth(&self, message: &[u8]) -> usize {
        message.len() + self.beyond(message)
    }

    fn beyond(&self, message: &[u8]) -> usize {
        let fields = each_field(message).map(|(number, field)| {
            let kind = self.fields.iter().find(|(known, _)| *known == number);
            match (kind, field) {
                (Some((_, Field::Attribute)), Some(part)) => attribute(part),
                (Some((_, Field::Value)), Some(part)) => part.len() + 2 * text(part, 0),
                // A varint ends with the byte that has no high bit.
                (Some((_, Field::Varints)), Some(part)) => {
                    8 * part.iter().filter(|byte| **byte < 0x80).count()
                }
                (Some((_, Field::Varints)), None) => 8,
                (Some((_, Field::Message(shape))), Some(part)) => shape.beyond(part),
                _ => 0,
            }
        });
        self.bytes + fields.sum::<usize>()
    }
}

/// At least the bytes that a message takes whose attributes, in field `attributes`, are read into parts of
/// their own and then stored once.
pub(super) fn owned_growth(message: &[u8], attributes: u32) -> usize {
    let fields = each_field(message).map(|(number, field)| match field {
        Some(part) if number == attributes => owned_attribute_growth(part),
        Some(part) => OWNED_COPIES * part.len(),
        None => 0,
    });
    fields.sum()
}

/// The same for one such attribute.
pub(super) fn owned_attribute_growth(key_value: &[u8]) -> usize {
    OWNED_BYTES + OWNED_COPIES * (key_value.len() + attribute(key_value))
}

/// What an attribute takes beyond its length.
fn attribute(key_value: &[u8]) -> usize {
    // The text is written, and then copied to the column.
    let values = each_field(key_value).map(|(number, field)| match field {
        Some(value) if number == 2 => 2 * text(value, 0),
        _ => 0,
    });
    ATTRIBUTE_BYTES + values.sum::<usize>()
}

/// At least the length of the text that is made of an `AnyValue`; nothing for a plain string.
fn text(value: &[u8], depth: usize) -> usize {
    if depth > VALUE_DEPTH_MAX {
        // The walk goes no deeper either.
        return 0;
    }
    let alternatives = each_field(value).map(|(number, field)| match (number, field) {
        (1, Some(_)) if depth == 0 => 0,
        (1, Some(string)) => json_string(string),
        (5, Some(array)) => elements(array, |item| text(item, depth + 1)),
        (6, Some(map)) => elements(map, |item| pair(item, depth + 1)),
        // base64, and the string that it is first written to.
        (7, Some(bytes)) => 3 * (bytes.len() + 4),
        _ => NUMBER_BYTES,
    });
    alternatives.sum()
}

fn elements(list: &[u8], element: impl Fn(&[u8]) -> usize) -> usize {
    let elements = each_field(list).map(|(number, field)| match field {
        Some(item) if number == 1 => ELEMENT_BYTES + element(item),
        _ => 0,
    });
    ELEMENT_BYTES + elements.sum::<usize>()
}

fn pair(key_value: &[u8], depth: usize) -> usize {
    let fields = each_field(key_value).map(|(number, field)| match (number, field) {
        (1, Some(key)) => json_string(key),
        (2, Some(value)) => text(value, depth),
        _ => 0,
    });
    fields.sum()
}

/// A string in JSON: quotes, and up to six bytes for one that is escaped.
fn json_string(string: &[u8]) -> usize {
    let escaped = |byte: &&u8| **byte < 0x20 || matches!(byte, b'"' | b'\\');
    2 + string.len() + 5 * string.iter().filter(escaped).count()
}

/// The fields of a message until it breaks: the number, and the content of those that have a length.
fn each_field(message: &[u8]) -> impl Iterator<Item = (u32, Option<&[u8]>)> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        let (number, wire) = reader.tag().ok()??;
        if wire == BYTES {
            return Some((number, Some(reader.bytes(wire).ok()?)));
        }
        reader.skip(number, wire).ok()?;
        Some((number, None))
    })
}
