//! All column sets of a shard: what a request's rows are appended to, and what a chunk is sealed from.

use std::sync::Arc;

use spanmill_schema::Tables;

use super::block::Compressor;
use super::{Buffer, ColumnSet, LogColumns, MetricColumns, Resources, Series, TraceColumns};
use crate::chunk::Chunk;
use crate::limits::CHUNK_BYTES;
use crate::memory::MemoryPlan;

/// See the module.
pub(crate) struct Columns {
    tables: Arc<Tables>,
    pub(crate) resources: Resources,
    pub(crate) series: Series,
    pub(crate) traces: TraceColumns,
    pub(crate) logs: LogColumns,
    pub(crate) metrics: MetricColumns,
    marks: Vec<usize>,
    compressor: Compressor,
    packed: Packed,
}

/// What a chunk was packed to, the last that says something about the next.
struct Packed {
    columns: usize,
    chunk: usize,
}

/// Bytes of columns from which on names and types of columns are a small part of a chunk.
const TELLING_BYTES: usize = 256 << 10;

impl Packed {
    /// Room for a chunk of so many bytes of columns, if it is packed as the last one was and a little less.
    fn room(&self, columns: usize) -> usize {
        let chunk = columns * self.chunk / self.columns;
        (chunk + chunk / 16).min(columns)
    }
}

impl Columns {
    pub(crate) fn new(tables: Arc<Tables>) -> Self {
        Columns {
            resources: Resources::default(),
            series: Series::default(),
            traces: TraceColumns::new(&tables.promoted_spans),
            logs: LogColumns::new(&tables.promoted_logs),
            metrics: MetricColumns::default(),
            marks: Vec::new(),
            compressor: Compressor::default(),
            packed: Packed {
                columns: 3,
                chunk: 1,
            },
            tables,
        }
    }

    fn parts(&self) -> [&dyn Buffer; 5] {
        [
            &self.resources,
            &self.series,
            &self.traces,
            &self.logs,
            &self.metrics,
        ]
    }

    /// Remembers the present length of everything: the start of a request.
    pub(crate) fn begin_request(&mut self) {
        self.resources.begin_request();
        self.series.begin_request();
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        for part in self.parts() {
            part.mark(&mut marks);
        }
        self.marks = marks;
    }

    /// Takes back every row since `begin_request`.
    pub(crate) fn roll_back_request(&mut self) {
        let mut marks = self.marks.drain(..);
        self.resources.rollback(&mut marks);
        self.series.rollback(&mut marks);
        self.traces.rollback(&mut marks);
        self.logs.rollback(&mut marks);
        self.metrics.rollback(&mut marks);
    }

    /// Rows that a batch is measured by: those of signals, not of resources or series.
    pub(crate) fn rows(&self) -> usize {
        self.traces.rows() + self.logs.rows() + self.metrics.rows()
    }

    /// Bytes of column data held.
    pub(crate) fn bytes(&self) -> usize {
        self.parts().iter().map(|part| part.bytes()).sum()
    }

    /// Bytes of all buffers, whether rows hold them or not.
    pub(crate) fn room(&self) -> usize {
        self.parts().iter().map(|part| part.room()).sum()
    }

    /// Keeps to the plan with what is remembered of resources and series.
    pub(crate) fn within(mut self, plan: &MemoryPlan) -> Self {
        self.resources.remember_bytes(plan.resources_bytes);
        self.series.remember_at_most(plan.series);
        self
    }

    /// Gives buffers back, of columns without rows, when they are larger than `keep` bytes together.
    pub(crate) fn shrink(&mut self, keep: usize) {
        self.compressor.shrink();
        if self.room() > keep && self.rows() == 0 {
            self.resources.columns = Default::default();
            self.series.columns = Default::default();
            self.traces = TraceColumns::new(&self.tables.promoted_spans);
            self.logs = LogColumns::new(&self.tables.promoted_logs);
            self.metrics = MetricColumns::default();
        }
    }

    /// Forgets which resources and series were written: they are written again when they are seen again.
    pub(crate) fn forget_written(&mut self) {
        self.resources.forget();
        self.series.forget();
    }

    /// Seals all rows into a chunk; `None` when there are none.
    pub(crate) fn seal(&mut self) -> Option<Chunk> {
        let mut chunk = Chunk::of_rows(self.rows());
        let bytes = self.bytes();
        // What a large one doubles to would be there beside its columns.
        let large = bytes > 2 * CHUNK_BYTES;
        chunk.reserve(match large {
            true => bytes,
            false => self.packed.room(bytes),
        });
        let Columns {
            tables, compressor, ..
        } = self;
        seal(&mut self.resources.columns, tables, compressor, &mut chunk);
        seal(&mut self.series.columns, tables, compressor, &mut chunk);
        seal(&mut self.traces, tables, compressor, &mut chunk);
        seal(&mut self.logs, tables, compressor, &mut chunk);
        seal(&mut self.metrics, tables, compressor, &mut chunk);
        if large {
            chunk.shrink();
        } else if bytes >= TELLING_BYTES {
            self.packed = Packed {
                columns: bytes,
                chunk: chunk.blocks_bytes(),
            };
        }
        (!chunk.sealed.is_empty()).then_some(chunk)
    }
}

fn seal<C: ColumnSet>(
    columns: &mut C,
    tables: &Tables,
    compressor: &mut Compressor,
    chunk: &mut Chunk,
) {
    columns.seal(tables.table(C::TABLE), compressor, chunk);
}
