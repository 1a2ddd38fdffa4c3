//! All column sets of a shard: what a request's rows are appended to, and what a chunk is sealed from.

use super::block::Compressor;
use super::{Buffer, Chunk, ColumnSet, Resources, TraceColumns};

/// See the module.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) resources: Resources,
    pub(crate) traces: TraceColumns,
    marks: Vec<usize>,
    compressor: Compressor,
}

impl Columns {
    /// Remembers the present length of everything: the start of a request.
    pub(crate) fn begin_request(&mut self) {
        self.marks.clear();
        self.resources.mark(&mut self.marks);
        self.traces.mark(&mut self.marks);
    }

    /// Takes back every row since `begin_request`.
    pub(crate) fn roll_back_request(&mut self) {
        let mut marks = self.marks.drain(..);
        self.resources.rollback(&mut marks);
        self.traces.rollback(&mut marks);
    }

    /// Rows that a batch is measured by: those of signals, not of resources.
    pub(crate) fn rows(&self) -> usize {
        self.traces.rows()
    }

    /// Bytes of column data held.
    pub(crate) fn bytes(&self) -> usize {
        self.resources.bytes() + self.traces.bytes()
    }

    /// Seals all rows into a chunk; `None` when there are none.
    pub(crate) fn seal(&mut self) -> Option<Chunk> {
        let rows = self.rows();
        let sealed: Vec<_> = [
            self.resources.seal(&mut self.compressor),
            self.traces.seal(&mut self.compressor),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!sealed.is_empty()).then_some(Chunk { sealed, rows })
    }
}
