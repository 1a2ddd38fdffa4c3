//! The writer of a shard: takes batches, inserts each under fixed tokens until ClickHouse confirms it or
//! its time is up, and answers the requests in it. One insert is in flight at a time.

mod answer;
mod breaker;
mod codes;
mod connection;
mod endpoints;
mod error;
mod failure;
mod link;
mod protocol;

use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) use error::InsertError;
#[cfg(test)]
pub(crate) use error::ServerException;
pub(crate) use failure::FailureKind;
use link::{Insert, Link};
use protocol::statements;

use crate::columns::Sealed;
use crate::reactor::{Reactor, within};
use crate::refusal::Refusal;
use crate::shard::{Batch, Shard};

/// Runs until the shard drains and nothing is left. `run_id` makes tokens of this start differ from
/// those of any other.
pub(crate) async fn write_batches<R: Reactor>(shard: Rc<Shard>, run_id: Rc<str>) {
    let mut writer = Writer::<R> {
        run_id,
        link: Link::new(Rc::clone(&shard)),
        statements: statements(&shard.config.tables),
        batches: 0,
        shard,
    };
    while writer.be_connected().await {
        let Some(batch) = writer.shard.next_batch::<R>().await else {
            break;
        };
        writer.batches += 1;
        writer.deliver(batch).await;
    }
}

struct Writer<R: Reactor> {
    shard: Rc<Shard>,
    run_id: Rc<str>,
    link: Link<R>,
    statements: Vec<String>,
    batches: u64,
}

impl<R: Reactor> Writer<R> {
    /// Waits until there is a connection. False when the shard is closed while there is none: nothing can
    /// be waiting then, since what waited was refused when the connection was lost.
    async fn be_connected(&mut self) -> bool {
        loop {
            match self.link.connect(self.shard.config.insert_timeout).await {
                Ok(()) => {
                    self.shard.set_unavailable(None);
                    return true;
                }
                Err(_) if self.shard.is_closed() => return false,
                Err(error) => self.link.failed(&error).await,
            }
        }
    }

    /// Inserts the batch, or gives it up when `ack_timeout` has passed since its oldest row came.
    async fn deliver(&mut self, batch: Batch) {
        let begun = Instant::now();
        let deadline = batch.since + self.shard.config.ack_timeout;
        let inserts = self.inserts_of(&batch);
        let mut done = 0;
        while let Some((token, blocks)) = inserts.get(done) {
            let insert = Insert {
                statement: &self.statements[blocks[0].table as usize],
                token,
                blocks: blocks.iter().map(|block| &block.frames[..]).collect(),
            };
            match self.link.insert(&insert, self.time_left(deadline)).await {
                Ok(()) => done += 1,
                Err(error) => {
                    let left = self.time_left(deadline);
                    within::<R, _>(left, self.link.failed(&error)).await;
                    if Instant::now() >= deadline {
                        return self.give_up(batch, &error);
                    }
                }
            }
        }
        let bytes: usize = batch.chunks.iter().map(|chunk| chunk.bytes()).sum();
        let metrics = &self.shard.metrics;
        metrics
            .insert_seconds
            .observe(begun.elapsed().as_secs_f64());
        metrics.batch_rows.observe(batch.rows as f64);
        metrics.inserted_bytes.inc_by(bytes as u64);
        for block in batch.chunks.iter().flat_map(|chunk| &chunk.sealed) {
            metrics.inserted_rows(block.table).inc_by(block.rows as u64);
        }
        batch.acks.inserted();
    }

    /// The batch's INSERTs in order: for each partition of each table its blocks, and a token that names
    /// exactly them. What others refer to goes first.
    fn inserts_of<'b>(&self, batch: &'b Batch) -> Vec<(String, Vec<&'b Sealed>)> {
        let target = |block: &Sealed| (block.table, block.partition);
        let mut inserts: Vec<(String, Vec<&Sealed>)> = Vec::new();
        let mut blocks: Vec<_> = batch
            .chunks
            .iter()
            .flat_map(|chunk| &chunk.sealed)
            .collect();
        blocks.sort_by_key(|block| target(block));
        for block in blocks {
            match inserts.last_mut() {
                Some((_, same)) if target(same[0]) == target(block) => same.push(block),
                _ => inserts.push((self.token(block), vec![block])),
            }
        }
        inserts
    }

    fn token(&self, block: &Sealed) -> String {
        let Self { run_id, shard, .. } = self;
        let (table, partition) = (block.table.name(), block.partition);
        format!(
            "{run_id}-{}-{}-{table}-{partition}",
            shard.index, self.batches
        )
    }

    /// How long one step of a try may take: a ClickHouse that hangs must not keep the batch's requests
    /// waiting beyond `ack_timeout`, when their clients would give up by themselves.
    fn time_left(&self, deadline: Instant) -> Duration {
        let left = deadline.saturating_duration_since(Instant::now());
        self.shard.config.insert_timeout.min(left)
    }

    /// Tells the batch's requests, and all that wait behind it, to retry. What waits behind may refer to
    /// resources in this batch, so it cannot go in without it.
    fn give_up(&mut self, batch: Batch, error: &InsertError) {
        let refusal = Refusal::unavailable(format!("not stored in time: {error}"));
        batch.acks.refuse(&refusal);
        let rows = batch.rows + self.shard.refuse_waiting(&refusal);
        self.shard.metrics.abandoned_rows.inc_by(rows as u64);
        tracing::error!(
            shard = self.shard.index,
            rows,
            %error,
            "gave rows back to their senders, to be sent again"
        );
    }
}
