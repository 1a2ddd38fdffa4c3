//! The typed columns of promoted attributes. An attribute goes there when key and type fit and leaves the
//! map; anything else stays in the map, so nothing is lost and no value changes its type.

use spanmill_schema::tables::{PROMOTED_SPAN_ATTRIBUTES, PromotedKind, TRACES, ValueType};

use super::block::BlockWriter;
use super::column::{Buffer, Column};
use super::{Attributes, Fixed, LowCardinality, NotUtf8, Strings};

/// See the module.
pub(crate) struct Promotion {
    columns: Vec<Promoted>,
    /// Spans ended in this chunk; a column that is ahead of it already has the present span's value.
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
        if column.rows() != self.rows {
            return Ok(false);
        }
        match column {
            Promoted::Dictionary(column) if kind == ValueType::String && !value.is_empty() => {
                column.push(value)?;
            }
            Promoted::Text(column) if kind == ValueType::String && !value.is_empty() => {
                column.push(value);
            }
            Promoted::Code(column) if kind == ValueType::Int => match code(value) {
                Some(code) => column.push(code.to_le_bytes()),
                None => return Ok(false),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Ends the row of a span: columns that got no value get the one that means "absent".
    #[inline]
    pub(crate) fn end_row(&mut self) {
        for column in &mut self.columns {
            if column.rows() > self.rows {
                continue;
            }
            match column {
                Promoted::Dictionary(column) => {
                    let pushed = column.push(b"");
                    debug_assert!(pushed.is_ok(), "the empty string is UTF-8");
                }
                Promoted::Text(column) => column.push(b""),
                Promoted::Code(column) => column.push([0; 2]),
            }
        }
        self.rows += 1;
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
