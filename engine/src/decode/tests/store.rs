//! The columns of a shard, and what is in the chunks that are sealed from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanmill_schema::{Partition, TableId, Tables};

use super::block::{self, Row, Value, get};
use super::tree::Telemetry;
use crate::columns::Columns;
use crate::decode::{Arrival, DecodeError, Walked, walk};

/// See the module.
pub(super) struct Store {
    pub(super) tables: Arc<Tables>,
    pub(super) columns: Columns,
}

/// A sealed chunk, read back.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    /// The blocks of each table: the partition, and the rows.
    pub(super) blocks: BTreeMap<TableId, Vec<(u32, Vec<Row>)>>,
    /// All blocks as they were before compression.
    pub(super) plain: Vec<u8>,
}

impl Store {
    pub(super) fn new(tables: Arc<Tables>) -> Self {
        Store {
            columns: Columns::new(Arc::clone(&tables)),
            tables,
        }
    }

    pub(super) fn walk<S: Telemetry>(
        &mut self,
        body: &[u8],
        arrival: Arrival,
    ) -> Result<Walked, DecodeError> {
        walk(S::SIGNAL, body, &mut self.columns, arrival)
    }

    /// Walks a request and gives how many rows were stored and how many were left out.
    pub(super) fn counts<S: Telemetry>(
        &mut self,
        body: &[u8],
        arrival: Arrival,
    ) -> Result<(usize, usize), DecodeError> {
        let walked = self.walk::<S>(body, arrival)?;
        // Every reason can be told.
        let told = walked.rejected.to_string();
        assert_eq!(walked.rejected.rows == 0, told.is_empty(), "{told}");
        assert!(
            !told.contains("0 refused") || told.contains("10 refused"),
            "{told}"
        );
        Ok((walked.rows, walked.rejected.rows))
    }

    /// Seals the columns and reads the chunk back. Each block must lie in one partition, and no two
    /// blocks of a table in the same.
    pub(super) fn seal(&mut self) -> Read {
        let mut read = Read::default();
        let chunk = self.columns.seal();
        assert_eq!((self.columns.rows(), self.columns.bytes()), (0, 0));
        let Some(chunk) = chunk else {
            return read;
        };
        let mut order = Vec::new();
        for sealed in &chunk.sealed {
            let table = self.tables.table(sealed.table);
            let (plain, _) = block::unpack(chunk.frames(sealed));
            let rows = block::rows(table, &plain);
            assert!(!rows.is_empty());
            assert_eq!(rows.len(), sealed.rows);
            for row in &rows {
                assert_eq!(partition_of(row, table.partition), sealed.partition);
            }
            order.push((sealed.table, sealed.partition));
            let blocks = read.blocks.entry(sealed.table).or_default();
            blocks.push((sealed.partition, rows));
            read.plain.extend(plain);
        }
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        let signals = [TableId::Traces, TableId::Logs, TableId::Metrics];
        let rows = signals.iter().map(|table| read.rows(*table).count());
        assert_eq!(chunk.rows, rows.sum::<usize>());
        read
    }
}

impl Read {
    /// The rows of a table, block after block.
    pub(super) fn rows(&self, table: TableId) -> impl Iterator<Item = &Row> {
        let blocks = self.blocks.get(&table).into_iter().flatten();
        blocks.flat_map(|(_, rows)| rows)
    }
}

/// Where a row belongs.
fn partition_of(row: &Row, partition: Partition) -> u32 {
    if partition == Partition::Whole {
        return 0;
    }
    match get(row, "Timestamp") {
        Value::Number(time) => u32::try_from(time / 1_000_000_000 / 86_400).unwrap(),
        other => panic!("{other:?} is no time"),
    }
}
