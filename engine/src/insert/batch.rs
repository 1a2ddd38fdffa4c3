//! A batch: consecutive chunks and the INSERTs that they make, one for each partition of each table, in the
//! order in which they must be stored, each under the token that names exactly its bytes.

use std::rc::Rc;
use std::time::Instant;

use spanmill_schema::TableId;

use super::link::Insert;
use crate::ack::Acks;
use crate::chunk::{Chunk, Sealed};
use crate::memory::Reservation;

/// How many inserts each table has seen, by [`TableId`], as ClickHouse numbers them; `None` when it did not
/// tell.
pub(crate) type InsertsSeen = Option<[u64; TableId::ALL.len()]>;

/// See the module.
pub(crate) struct Batch {
    pub(crate) chunks: Vec<Chunk>,
    /// Requests that wait until it is inserted.
    pub(crate) acks: Acks,
    /// Rows of signals.
    pub(crate) rows: usize,
    /// When the oldest row came.
    pub(crate) since: Instant,
    /// The INSERT of each table, by [`TableId`].
    pub(crate) statements: Rc<[String]>,
    /// What the tokens of its INSERTs begin with.
    pub(crate) token: String,
    /// What the tables had seen before it was first sent.
    pub(crate) seen: InsertsSeen,
    /// It may have been sent by an earlier run.
    pub(crate) outcome_unknown: bool,
    /// Memory of its chunks.
    pub(crate) memory: Reservation,
}

/// An INSERT of a batch.
pub(super) struct Part<'b> {
    pub(super) table: TableId,
    pub(super) token: String,
    pub(super) rows: usize,
    pub(super) blocks: Vec<&'b [u8]>,
}

impl Part<'_> {
    /// As it is sent; `None` for a table that the batch has no statement for.
    pub(super) fn insert<'a>(&'a self, statements: &'a [String]) -> Option<Insert<'a>> {
        Some(Insert {
            statement: statements.get(self.table as usize)?,
            token: &self.token,
            blocks: self.blocks.clone(),
        })
    }
}

impl Batch {
    /// Its INSERTs in order. What others refer to goes first.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let target = |block: &Sealed| (block.table, block.partition);
        let blocks = |chunk| {
            let chunk: &Chunk = chunk;
            chunk
                .sealed
                .iter()
                .map(move |block| (block, chunk.frames(block)))
        };
        let mut blocks: Vec<_> = self.chunks.iter().flat_map(blocks).collect();
        blocks.sort_by_key(|(block, _)| target(block));
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut last = None;
        for (block, frames) in blocks {
            let (table, partition) = target(block);
            if last.replace((table, partition)) != Some((table, partition)) {
                let token = format!("{}-{}-{partition}", self.token, table.name());
                parts.push(Part {
                    table,
                    token,
                    rows: 0,
                    blocks: Vec::new(),
                });
            }
            if let Some(part) = parts.last_mut() {
                part.rows += block.rows;
                part.blocks.push(frames);
            }
        }
        parts
    }

    /// Bytes of its blocks.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::bytes).sum()
    }
}
