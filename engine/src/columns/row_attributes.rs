//! The attributes of rows: the typed columns of those that are promoted, and the map of all others.

use spanmill_schema::Promoted;

use super::block::BlockWriter;
use super::column::{Column, Picked, buffer_group};
use super::promoted::Promotion;
use super::{Attributes, DICTIONARY_ENTRY_BYTES, NotUtf8, Text, Value};

buffer_group! {
    /// See the module.
    RowAttributes {
        promoted: Promotion,
        map: Attributes,
    }
}

impl RowAttributes {
    /// Without rows, with the columns of these promoted attributes.
    pub(crate) fn new(promoted: &[Promoted]) -> Self {
        RowAttributes {
            promoted: Promotion::new(promoted),
            map: Attributes::default(),
        }
    }

    /// Appends an attribute to the row that is being built: to its typed column when it is promoted
    /// and of the right type, to the map otherwise.
    #[inline(always)]
    pub(crate) fn push(&mut self, key: Text<'_>, value: Value<'_>) -> Result<(), NotUtf8> {
        if self.map.has_no_keys() {
            self.promoted.claim_keys(&mut self.map)?;
        }
        let key = self.map.key_of(key)?;
        if self.promoted.has(key) && self.promoted.take(key, value)? {
            return Ok(());
        }
        self.map.push_by_key(key, value);
        Ok(())
    }

    /// Ends the row that is being built.
    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.promoted.end_row();
        self.map.end_row();
    }

    /// At least the bytes that a row takes besides its entries: an offset, and in each typed column a number
    /// and a new dictionary value, or a number of eight bytes.
    pub(super) fn row_bytes(&self) -> usize {
        8 + self.promoted.columns() * (4 + DICTIONARY_ENTRY_BYTES)
    }

    /// At least the bytes that are still added for `rows` rows: values that mean "absent", that value in
    /// each dictionary, and in that of the map the keys which its first entry claims.
    pub(super) fn fill_bytes(&self, rows: usize) -> usize {
        let filled = self.promoted.columns() * (8 * rows + DICTIONARY_ENTRY_BYTES);
        match self.map.has_no_keys() {
            true => filled + self.promoted.key_bytes(),
            false => filled,
        }
    }

    /// Fills the typed columns up to the last row that was ended.
    pub(crate) fn fill(&mut self) -> Result<(), NotUtf8> {
        self.promoted.fill()
    }
}

impl Column for RowAttributes {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        self.promoted.write(rows, block);
        self.map.write(rows, block);
    }
}
