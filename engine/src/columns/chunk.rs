//! A set of columns for one table, and what becomes of it: a sealed block, and the chunk that holds the
//! blocks of all tables whose rows came from the same requests.

use spanmill_schema::tables::{RESOURCES, Table};

use super::block::{BlockWriter, Compressor};
use super::column::Buffer;

/// The rows of one table while a chunk grows.
pub(crate) trait ColumnSet: Buffer {
    /// The table that the rows belong to; its columns are written in this order.
    const TABLE: &'static Table;
    /// Whole rows held.
    fn rows(&self) -> usize;
    /// Writes every column, in the table's order.
    fn write(&self, block: &mut BlockWriter<'_>);

    /// Makes a block of all rows and forgets them; `None` when there are none.
    fn seal(&mut self, compressor: &mut Compressor) -> Option<Sealed> {
        let rows = self.rows();
        if rows == 0 {
            return None;
        }
        let mut block = BlockWriter::begin(Self::TABLE, rows, compressor);
        self.write(&mut block);
        let frames = block.finish();
        self.clear();
        Some(Sealed {
            table: Self::TABLE,
            frames,
        })
    }
}

/// Declares a struct of columns, in the table's order, and its [`ColumnSet`].
macro_rules! column_set {
    ($(#[$doc:meta])* $name:ident of $table:path, rows by $counted:ident { $($field:ident: $kind:ty,)* }) => {
        $crate::columns::column::buffer_group! {
            $(#[$doc])*
            $name { $($field: $kind,)* }
        }

        impl $crate::columns::ColumnSet for $name {
            const TABLE: &'static spanmill_schema::tables::Table = &$table;

            fn write(&self, block: &mut $crate::columns::BlockWriter<'_>) {
                $($crate::columns::Column::write(&self.$field, block);)*
            }

            fn rows(&self) -> usize {
                self.$counted.rows()
            }
        }
    };
}
pub(super) use column_set;

/// One Native block: LZ4 frames, ready to be sent.
pub(crate) struct Sealed {
    pub(crate) table: &'static Table,
    pub(crate) frames: Vec<u8>,
}

impl Sealed {
    /// Where the block's table stands among those of a batch: what others refer to goes first.
    pub(crate) fn order(&self) -> u8 {
        u8::from(*self.table != RESOURCES)
    }
}

/// The sealed blocks of whole requests, at most one of each table.
pub(crate) struct Chunk {
    pub(crate) sealed: Vec<Sealed>,
    /// Rows of signals (spans), resources not counted.
    pub(crate) rows: usize,
}

impl Chunk {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.sealed.iter().map(|block| block.frames.len()).sum()
    }
}
