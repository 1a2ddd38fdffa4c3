//! The two columns that hold attributes: `Map(LowCardinality(String), String)` and, beside it, one type
//! byte per entry (`spanmill_schema::ValueType`), so that 1, "1" and 1.0 stay apart.

use spanmill_schema::ValueType;

use super::NotUtf8;
use super::block::BlockWriter;
use super::column::{Column, Picked, buffer_group};
use super::fixed::{Fixed, Offsets, PickedArrays};
use super::lowcard::{DICTIONARY_ENTRY_BYTES, LowCardinality};
use super::strings::Strings;
use super::text::Text;

buffer_group! {
    /// See the module.
    Attributes {
        offsets: Offsets,
        keys: LowCardinality,
        values: Strings,
        types: Fixed<1>,
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// The text that is stored for a value of this type, in UTF-8.
    Text(ValueType, Text<'a>),
    /// An integer, whose text is decimal.
    Int(i64),
}

/// An attribute that was read once and is appended to many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedAttribute {
    pub(crate) key: Vec<u8>,
    pub(crate) kind: ValueType,
    pub(crate) value: Vec<u8>,
}

impl OwnedAttribute {
    /// At least the bytes that an entry takes: those of each row, and the key in the dictionary.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.entry_bytes() + DICTIONARY_ENTRY_BYTES + self.key.len()
    }

    /// At least the bytes that an entry takes in each row: number of the key, type, length, value.
    pub(crate) fn entry_bytes(&self) -> usize {
        4 + 1 + 5 + self.value.len()
    }
}

impl Attributes {
    /// Appends one attribute to the row that is being built.
    #[inline]
    pub(crate) fn push(&mut self, key: Text<'_>, value: Value<'_>) -> Result<(), NotUtf8> {
        let key = self.keys.key_of(key)?;
        self.push_by_key(key, value);
        Ok(())
    }

    /// The dictionary key of an attribute key, for callers that decide by it where the value goes.
    #[inline]
    pub(crate) fn key_of(&mut self, key: Text<'_>) -> Result<u32, NotUtf8> {
        self.keys.key_of(key)
    }

    /// Whether no key was met in this chunk so far.
    #[inline]
    pub(crate) fn has_no_keys(&self) -> bool {
        self.keys.has_no_values()
    }

    #[inline(always)]
    pub(crate) fn push_by_key(&mut self, key: u32, value: Value<'_>) {
        self.keys.push_key(key);
        let kind = match value {
            Value::Text(kind, text) => {
                self.values.push_text(text);
                kind
            }
            Value::Int(number) => {
                let mut digits = itoa::Buffer::new();
                self.values.push(digits.format(number).as_bytes());
                ValueType::Int
            }
        };
        self.types.push([kind as u8]);
    }

    /// Ends the row that is being built.
    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.offsets.end_row(self.types.rows());
    }

    /// Appends `rows` rows with the same entries.
    pub(crate) fn push_run(
        &mut self,
        entries: &[OwnedAttribute],
        rows: usize,
    ) -> Result<(), NotUtf8> {
        if entries.is_empty() {
            self.offsets
                .fill(self.types.rows(), self.offsets.rows() + rows);
            return Ok(());
        }
        for _ in 0..rows {
            for entry in entries {
                let value = Value::Text(entry.kind, entry.value[..].into());
                self.push(entry.key[..].into(), value)?;
            }
            self.end_row();
        }
        Ok(())
    }

    /// Writes both columns. For attributes inside an array, `outer` are those arrays and `rows` their
    /// elements.
    pub(crate) fn write_within(
        &self,
        outer: Option<&PickedArrays<'_>>,
        rows: Picked<'_>,
        block: &mut BlockWriter<'_>,
    ) {
        let picked = self.offsets.pick(rows);
        let entries = picked.elements();
        let near = outer.is_none();
        let offsets = |block: &mut BlockWriter<'_>| {
            if let Some(outer) = outer {
                block.offsets(outer, false);
            }
            block.offsets(&picked, near);
        };
        block.begin_column();
        LowCardinality::write_prefix(block);
        offsets(block);
        self.keys.write_body(entries, block);
        block.bulk(&self.values.data(entries));

        block.begin_column();
        offsets(block);
        block.fixed(&self.types, entries);
    }
}

impl Column for Attributes {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        self.write_within(None, rows, block);
    }
}
