//! The writer of a shard: takes batches, inserts each under fixed tokens until ClickHouse confirms it or
//! its time is up, and answers the requests in it. One insert is in flight at a time.

mod answer;
mod connection;
mod error;
mod protocol;

use std::rc::Rc;
use std::time::{Duration, Instant};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use answer::read_answer;
use connection::Connection;
use error::InsertError;

use crate::columns::Sealed;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use crate::reactor::{Reactor, within};
use crate::refusal::Refusal;
use crate::shard::{Batch, Shard};

/// Runs until the shard drains and nothing is left. `run_id` makes tokens of this start differ from
/// those of any other.
pub(crate) async fn write_batches<R: Reactor>(shard: Rc<Shard>, run_id: Rc<str>) {
    let mut writer = Writer::<R> {
        shard,
        run_id,
        connection: None,
        failures: 0,
        batches: 0,
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
    connection: Option<Connection<R>>,
    /// Tries that failed since the last success.
    failures: u32,
    batches: u64,
}

impl<R: Reactor> Writer<R> {
    /// Waits until there is a connection. False when the shard is closed while there is none: nothing can
    /// be waiting then, since what waited was refused when the connection was lost.
    async fn be_connected(&mut self) -> bool {
        while self.connection.is_none() {
            if self.shard.is_closed() {
                return false;
            }
            match self.connect(self.shard.config.insert_timeout).await {
                Ok(()) => self.shard.set_unavailable(None),
                Err(error) => self.failed(&error).await,
            }
        }
        true
    }

    /// Inserts the batch, or gives it up when `ack_timeout` has passed since its oldest row came.
    async fn deliver(&mut self, batch: Batch) {
        let begun = Instant::now();
        let deadline = batch.since + self.shard.config.ack_timeout;
        let inserts = self.inserts_of(&batch);
        let mut done = 0;
        while let Some((token, blocks)) = inserts.get(done) {
            match self.try_insert(blocks, token, deadline).await {
                Ok(()) => done += 1,
                Err(error) if Instant::now() >= deadline => {
                    self.failed(&error).await;
                    return self.give_up(batch, &error);
                }
                Err(error) => self.failed(&error).await,
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

    /// One try for a batch that is given up at `deadline`.
    async fn try_insert(
        &mut self,
        blocks: &[&Sealed],
        token: &str,
        deadline: Instant,
    ) -> Result<(), InsertError> {
        if self.connection.is_none() {
            self.connect(self.time_left(deadline)).await?;
        }
        let limit = self.time_left(deadline);
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let inserted = within::<R, _>(
            limit,
            connection.insert(&self.shard.config.tables, blocks, token),
        )
        .await;
        inserted.unwrap_or(Err(InsertError::Timeout(limit)))?;
        self.failures = 0;
        self.shard.set_unavailable(None);
        Ok(())
    }

    /// How long one step of a try may take: a ClickHouse that hangs must not keep the batch's requests
    /// waiting beyond `ack_timeout`, when their clients would give up by themselves.
    fn time_left(&self, deadline: Instant) -> Duration {
        let left = deadline.saturating_duration_since(Instant::now());
        self.shard.config.insert_timeout.min(left)
    }

    async fn connect(&mut self, limit: Duration) -> Result<(), InsertError> {
        let opened = within::<R, _>(limit, Connection::open(&self.shard.config.clickhouse)).await;
        let connection = opened.unwrap_or(Err(InsertError::Timeout(limit)))?;
        tracing::info!(
            shard = self.shard.index,
            server = %connection.server.name,
            version = ?connection.server.version,
            revision = connection.server.revision,
            "connected to ClickHouse"
        );
        self.connection = Some(connection);
        Ok(())
    }

    /// Drops the connection, closes the shard to new requests, and waits before the next try. A first
    /// failure may only mean that the server closed an idle connection: it is tried again at once.
    async fn failed(&mut self, error: &InsertError) {
        self.failures += 1;
        self.shard.metrics.insert_failures.inc();
        let had_connection = self.connection.take().is_some();
        if self.failures == 1 && had_connection && matches!(error, InsertError::Io(_)) {
            return;
        }
        if self.failures.is_power_of_two() {
            tracing::warn!(shard = self.shard.index, failures = self.failures, %error, "cannot insert; trying again");
        }
        self.shard
            .set_unavailable(Some(format!("ClickHouse does not take inserts: {error}")));
        R::sleep(backoff(self.failures)).await;
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

/// Exponential with full jitter, so that shards do not come back in step.
fn backoff(failures: u32) -> Duration {
    let ceiling = BACKOFF_MIN
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(BACKOFF_MAX);
    ceiling.mul_f64(fastrand::f64())
}
