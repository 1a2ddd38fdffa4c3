//! A set of columns for one table, and how it is sealed: into one block for each partition.

use std::collections::BTreeMap;

use spanmill_schema::{Partition, Table, TableId};

use super::block::{BlockWriter, Compressor};
use super::column::{Column, Picked};
use super::fixed::Integers;
use crate::chunk::Chunk;

pub(crate) const NANOS_A_DAY: u64 = 24 * 3_600_000_000_000;

/// The rows of one table while a chunk grows.
pub(crate) trait ColumnSet: Column {
    /// The table that the rows belong to; its columns are written in this order.
    const TABLE: TableId;
    /// Whole rows held.
    fn rows(&self) -> usize;
    /// Unix nanoseconds that the table is partitioned by, if it is.
    fn timestamps(&self) -> Option<&Integers>;

    /// Makes blocks of all rows, one for each partition, and forgets them.
    ///
    /// A block never reaches over two partitions, so that ClickHouse makes one part of what it is
    /// inserted with: a part is stored whole or not at all, and remembered under one token.
    fn seal(&mut self, table: &Table, compressor: &mut Compressor, chunk: &mut Chunk) {
        if self.rows() == 0 {
            return;
        }
        match self.timestamps().map(|times| partitions(times, table)) {
            None => seal_rows(self, None, 0, table, compressor, chunk),
            Some(Partitions::One(partition)) => {
                seal_rows(self, None, partition, table, compressor, chunk);
            }
            Some(Partitions::Several(partitions)) => {
                for (partition, rows) in partitions {
                    seal_rows(self, Some(&rows), partition, table, compressor, chunk);
                }
            }
        }
        self.clear();
    }
}

fn seal_rows<C: ColumnSet + ?Sized>(
    columns: &C,
    picked: Picked<'_>,
    partition: u32,
    table: &Table,
    compressor: &mut Compressor,
    chunk: &mut Chunk,
) {
    let rows = picked.map_or(columns.rows(), <[u32]>::len);
    chunk.push(C::TABLE, partition, rows, |frames| {
        let mut block = BlockWriter::begin(table, rows, compressor, frames);
        columns.write(picked, &mut block);
        block.finish();
    });
}

/// Which partitions some rows lie in. Nearly always it is one: the present day.
enum Partitions {
    One(u32),
    /// The rows of each.
    Several(BTreeMap<u32, Vec<u32>>),
}

fn partitions(times: &Integers, table: &Table) -> Partitions {
    if table.partition == Partition::Whole {
        return Partitions::One(0);
    }
    let of = |time: [u8; 8]| (u64::from_le_bytes(time) / NANOS_A_DAY) as u32;
    let first = times.values().next().map_or(0, of);
    if times.values().all(|time| of(time) == first) {
        return Partitions::One(first);
    }
    let mut partitions: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (row, time) in (0..).zip(times.values()) {
        partitions.entry(of(time)).or_default().push(row);
    }
    Partitions::Several(partitions)
}
