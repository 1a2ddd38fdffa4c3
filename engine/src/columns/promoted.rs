//! The typed columns of promoted attributes. An attribute goes there when key and type fit and leaves the
//! map; anything else stays in the map, so nothing is lost and no value changes its type.

use spanmill_schema::tables::{PROMOTED_SPAN_ATTRIBUTES, PromotedKind, TRACES, ValueType};

use super::block::BlockWriter;
use super::column::{Buffer, Column};
use super::{Attributes, Fixed, LowCardinality, NotUtf8, Strings};

/// See the module.
pub(crate) struct Promotion {
    columns: Vec<Promoted>,
    /// Spans ended in this chunk. A column that is ahead has the present span's value already; one that is
    /// behind is filled when its next value comes, or when the resource ends.
    rows: usize,
}

enum Promoted {
    Dictionary(LowCardinality),
    Text(Strings),
    Code(Fixed<2>),
}

impl Default for Promotion {
    fn default() -> Self {
        let columns = PROMOTED_SPAN_ATTRIBUTES
            .iter()
            .map(|promoted| match promoted.kind {
                PromotedKind::Code => Promoted::Code(Fixed::default()),
                PromotedKind::Text if is_dictionary(promoted.column) => {
                    Promoted::Dictionary(LowCardinality::default())
                }
                PromotedKind::Text => Promoted::Text(Strings::default()),
            })
            .collect();
        Promotion { columns, rows: 0 }
    }
}

fn is_dictionary(column: &str) -> bool {
    TRACES
        .columns
        .iter()
        .any(|known| known.name == column && known.kind.starts_with("LowCardinality"))
}

impl Promotion {
    /// Gives the promoted keys the first dictionary keys of a chunk, so that the dictionary key of an
    /// attribute tells at once whether it is promoted and which column it goes to.
    pub(crate) fn claim_keys(&self, attributes: &mut Attributes) -> Result<(), NotUtf8> {
        for promoted in PROMOTED_SPAN_ATTRIBUTES {
            attributes.key_of(promoted.key.as_bytes())?;
        }
        Ok(())
    }

    /// Takes the value if `key` is promoted, its type fits, and this span has none yet.
    #[inline]
    pub(crate) fn take(
        &mut self,
        key: u32,
        kind: ValueType,
        value: &[u8],
    ) -> Result<bool, NotUtf8> {
        let Some(column) = self.columns.get_mut(key as usize) else {
            return Ok(false);
        };
        if column.rows() > self.rows {
            return Ok(false);
        }
        let is_text = kind == ValueType::String && !value.is_empty();
        match column {
            Promoted::Dictionary(column) if is_text => {
                fill_dictionary(column, self.rows)?;
                column.push(value)?;
            }
            Promoted::Text(column) if is_text => {
                column.push_run(b"", self.rows - column.rows());
                column.push(value);
            }
            Promoted::Code(column) if kind == ValueType::Int => {
                let Some(code) = code(value) else {
                    return Ok(false);
                };
                column.push_run([0; 2], self.rows - column.rows());
                column.push(code.to_le_bytes());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Ends the row of a span. Columns that got no value are filled later, many rows at a time.
    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Fills every column up to the last ended row with the value that means "absent".
    pub(crate) fn fill(&mut self) -> Result<(), NotUtf8> {
        for column in &mut self.columns {
            match column {
                Promoted::Dictionary(column) => fill_dictionary(column, self.rows)?,
                Promoted::Text(column) => column.push_run(b"", self.rows - column.rows()),
                Promoted::Code(column) => column.push_run([0; 2], self.rows - column.rows()),
            }
        }
        Ok(())
    }
}

/// Appends "absent" up to `rows` rows; none leaves the dictionary as it is.
fn fill_dictionary(column: &mut LowCardinality, rows: usize) -> Result<(), NotUtf8> {
    match rows - column.rows() {
        0 => Ok(()),
        absent => column.push_run(b"", absent),
    }
}

/// The code that an integer's decimal text stands for, if the column can hold it; 0 means "absent".
fn code(text: &[u8]) -> Option<u16> {
    let code = std::str::from_utf8(text).ok()?.parse().ok()?;
    (code != 0).then_some(code)
}

impl Promoted {
    #[inline]
    fn rows(&self) -> usize {
        match self {
            Promoted::Dictionary(column) => column.rows(),
            Promoted::Text(column) => column.rows(),
            Promoted::Code(column) => column.rows(),
        }
    }

    fn column(&self) -> &dyn Column {
        match self {
            Promoted::Dictionary(column) => column,
            Promoted::Text(column) => column,
            Promoted::Code(column) => column,
        }
    }

    fn column_mut(&mut self) -> &mut dyn Column {
        match self {
            Promoted::Dictionary(column) => column,
            Promoted::Text(column) => column,
            Promoted::Code(column) => column,
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
}

impl Column for Promotion {
    fn write(&self, block: &mut BlockWriter<'_>) {
        for column in &self.columns {
            column.column().write(block);
        }
    }
}
