//! The typed columns of promoted attributes. An attribute goes there when key and type fit and leaves the
//! map; anything else stays in the map, so nothing is lost and no value changes its type.

use spanmill_schema::{Promoted, PromotedKind, ValueType};

use super::block::BlockWriter;
use super::column::{Buffer, Column, Picked};
use super::{Attributes, DICTIONARY_ENTRY_BYTES, Fixed, LowCardinality, NotUtf8, Strings, Value};

/// See the module.
#[derive(Default)]
pub(crate) struct Promotion {
    /// The keys of the attributes, in the columns' order.
    keys: Vec<Box<[u8]>>,
    columns: Vec<Typed>,
    /// Rows ended in this chunk. A column that is ahead has the present row's value already; one that is
    /// behind is filled when its next value comes, or when the resource ends.
    rows: usize,
}

enum Typed {
    Keyword(LowCardinality),
    Text(Strings),
    U16(Fixed<2>),
    I64(Fixed<8>),
}

impl Promotion {
    pub(crate) fn new(promoted: &[Promoted]) -> Self {
        Promotion {
            keys: promoted.iter().map(|p| p.key.as_bytes().into()).collect(),
            columns: promoted.iter().map(|p| Typed::new(p.kind)).collect(),
            rows: 0,
        }
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Bytes that `claim_keys` adds to a dictionary.
    pub(crate) fn key_bytes(&self) -> usize {
        let keys = self.keys.iter();
        keys.map(|key| DICTIONARY_ENTRY_BYTES + key.len()).sum()
    }

    /// Gives the promoted keys the first dictionary keys of a chunk, so that the dictionary key of an
    /// attribute tells at once whether it is promoted and which column it goes to.
    pub(crate) fn claim_keys(&self, attributes: &mut Attributes) -> Result<(), NotUtf8> {
        for key in &self.keys {
            attributes.key_of(key[..].into())?;
        }
        Ok(())
    }

    /// Whether `key` is that of a promoted attribute.
    #[inline]
    pub(crate) fn has(&self, key: u32) -> bool {
        (key as usize) < self.columns.len()
    }

    /// Takes the value if `key` is promoted, its type fits, and this row has none yet.
    pub(crate) fn take(&mut self, key: u32, value: Value<'_>) -> Result<bool, NotUtf8> {
        let Some(column) = self.columns.get_mut(key as usize) else {
            return Ok(false);
        };
        if column.rows() > self.rows {
            return Ok(false);
        }
        match (column, value) {
            // An empty text and a 0 mean "absent" in the typed columns.
            (Typed::Keyword(column), Value::Text(ValueType::String, text))
                if !text.bytes().is_empty() =>
            {
                fill_dictionary(column, self.rows)?;
                column.push_text(text)?;
            }
            (Typed::Text(column), Value::Text(ValueType::String, text))
                if !text.bytes().is_empty() =>
            {
                column.push_run(b"", self.rows - column.rows());
                column.push_text(text);
            }
            (Typed::U16(column), Value::Int(number @ 1..=0xffff)) => {
                column.fill([0; 2], self.rows);
                column.push((number as u16).to_le_bytes());
            }
            (Typed::I64(column), Value::Int(number)) if number != 0 => {
                column.fill([0; 8], self.rows);
                column.push(number.to_le_bytes());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Ends a row. Columns that got no value are filled later, many rows at a time.
    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Fills every column up to the last ended row with the value that means "absent".
    pub(crate) fn fill(&mut self) -> Result<(), NotUtf8> {
        for column in &mut self.columns {
            match column {
                Typed::Keyword(column) => fill_dictionary(column, self.rows)?,
                Typed::Text(column) => column.push_run(b"", self.rows - column.rows()),
                Typed::U16(column) => column.fill([0; 2], self.rows),
                Typed::I64(column) => column.fill([0; 8], self.rows),
            }
        }
        Ok(())
    }
}

/// Appends "absent" up to `rows` rows.
fn fill_dictionary(column: &mut LowCardinality, rows: usize) -> Result<(), NotUtf8> {
    column.push_run(b"", rows - column.rows())
}

impl Typed {
    fn new(kind: PromotedKind) -> Self {
        match kind {
            PromotedKind::Keyword => Typed::Keyword(LowCardinality::default()),
            PromotedKind::Text => Typed::Text(Strings::default()),
            PromotedKind::U16 => Typed::U16(Fixed::default()),
            PromotedKind::I64 => Typed::I64(Fixed::default()),
        }
    }

    #[inline]
    fn rows(&self) -> usize {
        match self {
            Typed::Keyword(column) => column.rows(),
            Typed::Text(column) => column.rows(),
            Typed::U16(column) => column.rows(),
            Typed::I64(column) => column.rows(),
        }
    }

    fn column(&self) -> &dyn Column {
        match self {
            Typed::Keyword(column) => column,
            Typed::Text(column) => column,
            Typed::U16(column) => column,
            Typed::I64(column) => column,
        }
    }

    fn column_mut(&mut self) -> &mut dyn Column {
        match self {
            Typed::Keyword(column) => column,
            Typed::Text(column) => column,
            Typed::U16(column) => column,
            Typed::I64(column) => column,
        }
    }
}

impl Buffer for Promotion {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.push(self.rows);
        for column in &self.columns {
            column.column().mark(marks);
        }
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        self.rows = super::column::next_mark(marks);
        for column in &mut self.columns {
            column.column_mut().rollback(marks);
        }
    }

    fn clear(&mut self) {
        self.rows = 0;
        for column in &mut self.columns {
            column.column_mut().clear();
        }
    }

    fn bytes(&self) -> usize {
        self.columns
            .iter()
            .map(|column| column.column().bytes())
            .sum()
    }

    fn room(&self) -> usize {
        let rooms = self.columns.iter().map(|column| column.column().room());
        rooms.sum()
    }
}

impl Column for Promotion {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        for column in &self.columns {
            column.column().write(rows, block);
        }
    }
}
