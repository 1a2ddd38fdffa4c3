//! Where the writer gets its batches: from the log, or in the ack modes without one from memory, after what
//! earlier runs left in their logs.

use std::rc::Rc;

use super::batch::{Batch, InsertsSeen};
use crate::ack::Acks;
use crate::config::AckMode;
use crate::log::{LogId, Queue};
use crate::reactor::Reactor;
use crate::shard::Shard;

/// See the module.
pub(crate) struct Feed<R: Reactor> {
    shard: Rc<Shard>,
    queue: Queue<R>,
    /// The queue has no own log, and nothing of earlier runs left.
    from_memory: bool,
    id: LogId,
    statements: Rc<[String]>,
    batches: u64,
}

impl<R: Reactor> Feed<R> {
    /// A feed from `queue`, and when that ends from what is held in memory.
    pub(crate) fn new(
        shard: Rc<Shard>,
        queue: Queue<R>,
        id: LogId,
        statements: Rc<[String]>,
    ) -> Self {
        Feed {
            shard,
            queue,
            from_memory: false,
            id,
            statements,
            batches: 0,
        }
    }

    /// The next batch, once one is due; `None` when the shard ends.
    pub(super) async fn next_batch(&mut self, seen: InsertsSeen) -> Option<Batch> {
        if !self.from_memory {
            if let Some(batch) = self.queue.next_batch(seen).await {
                return Some(batch);
            }
            if self.queue.has_own() {
                return None;
            }
            self.from_memory = true;
        }
        let due = self.shard.batch_due();
        let due = self.shard.backlog.batch_is_due::<R>(due).await;
        due.then(|| self.held(seen))
    }

    /// The shard ends.
    pub(super) async fn leave(self) {
        self.queue.leave().await;
    }

    fn held(&mut self, seen: InsertsSeen) -> Batch {
        self.batches += 1;
        let mut batch = Batch {
            chunks: Vec::new(),
            acks: Acks::default(),
            rows: 0,
            since: R::now(),
            statements: Rc::clone(&self.statements),
            token: format!("{}-{}", self.id.name(), self.batches),
            seen,
            outcome_unknown: false,
            memory: self.shard.memory.reservation(),
        };
        let batch_bytes = self.shard.memory.plan().batch_bytes;
        let mut bytes = 0;
        while batch.rows < self.shard.config.batch_rows_max && bytes < batch_bytes {
            let Some(held) = self.shard.backlog.pop() else {
                break;
            };
            bytes += held.chunk.bytes();
            batch.since = batch.since.min(held.since);
            batch.rows += held.chunk.rows;
            batch.acks.append(held.acks);
            batch.chunks.push(held.chunk);
            drop(held.memory);
            batch.memory.set(bytes.saturating_sub(batch_bytes));
        }
        self.shard.backlog.taken(batch.rows, R::now());
        batch
    }

    /// The last batch is inserted.
    pub(super) async fn inserted(&mut self) {
        if !self.from_memory {
            self.queue.inserted().await;
        }
    }

    /// The last batch cannot be inserted.
    pub(super) async fn set_aside(&mut self, batch: Batch, reason: &str) {
        self.shard.forget_written();
        if self.from_memory {
            self.shard.metrics.abandoned_rows.inc_by(batch.rows as u64);
            tracing::error!(
                rows = batch.rows,
                reason,
                "a batch cannot be inserted, and without a log there is nowhere to keep it"
            );
            let refusal = crate::refusal::Refusal::unavailable(reason);
            batch.acks.refuse(&refusal);
            if self.shard.config.ack == AckMode::ClickHouse {
                // What waits may refer to resources in this batch, and its senders still have it.
                self.shard.refuse_waiting(&refusal);
            }
        } else {
            self.queue.set_aside(batch, reason).await;
        }
    }
}
