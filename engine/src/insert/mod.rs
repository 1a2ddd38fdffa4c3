//! The writer of a shard: takes batches, inserts each under fixed tokens until ClickHouse confirms it, and
//! only then turns to the next. One insert is in flight at a time, so what became of a batch is always
//! settled before a later one reaches the same tables.

mod answer;
mod batch;
mod breaker;
mod codes;
mod connection;
mod endpoints;
mod error;
mod failure;
mod feed;
mod link;
mod protocol;
mod seen;

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt as _;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use answer::read_answer;
pub(crate) use batch::{Batch, InsertsSeen};
pub(crate) use error::InsertError;
#[cfg(test)]
pub(crate) use error::ServerException;
pub(crate) use failure::FailureKind;
pub(crate) use feed::Feed;
use link::Link;
#[cfg(feature = "stages")]
pub(crate) use protocol::insert as insert_head;
pub(crate) use protocol::statements;

use crate::config::AckMode;
use crate::fault;
use crate::limits::{DATA_TRIES, SEEN_EVERY};
use crate::reactor::{Reactor, within};
use crate::refusal::Refusal;
use crate::shard::Shard;

/// Runs until the shard has ended and nothing is left that can be inserted now.
pub(crate) async fn write_batches<R: Reactor>(shard: Rc<Shard>, feed: Feed<R>) {
    let mut writer = Writer::<R> {
        link: Link::new(Rc::clone(&shard)),
        shard,
        feed,
        seen: None,
        batches: 0,
    };
    while writer.be_connected().await {
        let Some(batch) = writer.feed.next_batch(writer.seen).await else {
            break;
        };
        writer.batches += 1;
        if !writer.settle(batch).await {
            break;
        }
    }
    writer.feed.leave().await;
}

struct Writer<R: Reactor> {
    shard: Rc<Shard>,
    feed: Feed<R>,
    link: Link<R>,
    /// What the tables had seen at a time before the next batch is first sent.
    seen: InsertsSeen,
    batches: u64,
}

/// What became of a batch.
enum Settled {
    Inserted,
    /// It can never be inserted, or must not be.
    Aside(String),
    /// Nothing of it was ever sent, and its requests were told to retry.
    GivenUp,
    /// The shard ends; the log keeps it.
    Left,
}

impl<R: Reactor> Writer<R> {
    /// Waits until there is a connection, and knows what the tables have seen. False when the shard ends
    /// before and has nothing to insert, or ClickHouse is away.
    async fn be_connected(&mut self) -> bool {
        loop {
            let shard = Rc::clone(&self.shard);
            let away = self.link.is_failing();
            let leaving = async {
                leaving(&shard, away).await;
                Err(InsertError::OutOfTime)
            };
            match self.try_connect().or(leaving).await {
                Ok(()) => {
                    self.shard.set_unavailable(None);
                    return true;
                }
                Err(_) if may_leave(&self.shard, true) => return false,
                Err(error) => {
                    self.pause(&error, self.shard.config.ack_timeout).await;
                    self.refuse_overdue(&error);
                }
            }
        }
    }

    /// Waits after a failure until a next try makes sense, at most for `limit` (what is left of the wait is
    /// waited before the try), and not while the shard ends.
    async fn pause(&mut self, error: &InsertError, limit: Duration) {
        let waited = self.link.failed(error).or(leaving(&self.shard, true));
        within::<R, _>(limit, waited).await;
    }

    async fn try_connect(&mut self) -> Result<(), InsertError> {
        let limit = self.shard.config.insert_timeout;
        self.link.connect(limit).await?;
        if self.batches.is_multiple_of(SEEN_EVERY) {
            self.seen = self.link.inserts_seen(limit).await?.inserts;
        }
        Ok(())
    }

    /// False when the shard ends with the batch unsettled.
    async fn settle(&mut self, mut batch: Batch) -> bool {
        match self.deliver(&mut batch).await {
            Settled::Inserted => {
                fault::point("inserted");
                batch.acks.acknowledge();
                self.feed.inserted().await;
            }
            Settled::Aside(reason) => self.feed.set_aside(batch, &reason).await,
            Settled::GivenUp => {}
            Settled::Left => return false,
        }
        true
    }

    /// Inserts a batch, however long it takes. Where its requests still wait for it they are told to retry
    /// when `ack_timeout` is over; but what may have been sent is seen to its end, so that it is never
    /// stored in part.
    async fn deliver(&mut self, batch: &mut Batch) -> Settled {
        let begun = R::now();
        let deadline = batch.since + self.shard.config.ack_timeout;
        let mut acks = std::mem::take(&mut batch.acks);
        let mut sent = batch.outcome_unknown;
        let mut unknown = batch.outcome_unknown;
        let mut refused_data = 0;
        let mut done = 0;
        let parts = batch.parts();
        while let Some(part) = parts.get(done) {
            let limit = self.time_left(deadline, acks.is_empty());
            let Some(insert) = part.insert(&batch.statements) else {
                return Settled::Aside(format!(
                    "it holds rows of {}, and not how to insert them",
                    part.table.name()
                ));
            };
            let tried = async {
                if unknown {
                    self.shard.metrics.insert_retries.inc();
                }
                if unknown && seen::outran(batch.seen, self.link.inserts_seen(limit).await?) {
                    return Ok(false);
                }
                self.link.insert(&insert, limit).await.map(|()| true)
            };
            match tried.await {
                Ok(true) => {
                    (unknown, refused_data) = (false, 0);
                    done += 1;
                }
                Ok(false) => return Settled::Aside(OUTRUN.into()),
                Err(error) => {
                    sent |= error.outcome_unknown();
                    unknown = sent;
                    refused_data += u32::from(error.kind().is_of_batch());
                    if refused_data >= DATA_TRIES {
                        return Settled::Aside(error.to_string());
                    }
                    let left = self.time_left(deadline, acks.is_empty());
                    self.pause(&error, left).await;
                    if !acks.is_empty() && R::now() >= deadline {
                        self.give_up(std::mem::take(&mut acks), batch.rows, &error);
                        if !sent && done == 0 {
                            return Settled::GivenUp;
                        }
                    }
                    if self.shard.backlog.is_closed() && self.shard.config.ack == AckMode::Log {
                        return Settled::Left;
                    }
                }
            }
        }
        let metrics = &self.shard.metrics;
        let took = R::now().saturating_duration_since(begun);
        metrics.insert_seconds.observe(took.as_secs_f64());
        metrics.batch_rows.observe(batch.rows as f64);
        metrics.inserted_bytes.inc_by(batch.bytes() as u64);
        for part in &parts {
            metrics.inserted_rows(part.table).inc_by(part.rows as u64);
        }
        drop(parts);
        batch.acks = acks;
        Settled::Inserted
    }

    /// How long one step of a try may take: a ClickHouse that hangs must not keep requests that wait for it
    /// beyond `ack_timeout`, when their clients would give up by themselves.
    fn time_left(&self, deadline: Instant, answered: bool) -> Duration {
        let limit = self.shard.config.insert_timeout;
        if answered {
            return limit;
        }
        limit.min(deadline.saturating_duration_since(R::now()))
    }

    /// Tells requests that wait for ClickHouse to retry, and all that wait behind them.
    fn give_up(&mut self, acks: crate::ack::Acks, rows: usize, error: &InsertError) {
        let refusal = Refusal::unavailable(format!("not stored in time: {error}"));
        acks.refuse(&refusal);
        let rows = rows + self.shard.refuse_waiting(&refusal);
        self.shard.metrics.abandoned_rows.inc_by(rows as u64);
        tracing::error!(
            shard = self.shard.index,
            rows,
            %error,
            "gave rows back to their senders, to be sent again"
        );
    }

    /// The same for requests that came while there was no connection at all.
    fn refuse_overdue(&mut self, error: &InsertError) {
        let waits = self.shard.config.ack == AckMode::ClickHouse;
        let oldest = self.shard.backlog.since().filter(|_| waits);
        let limit = self.shard.config.ack_timeout;
        if oldest.is_some_and(|since| R::now().saturating_duration_since(since) >= limit) {
            self.give_up(crate::ack::Acks::default(), 0, error);
        }
    }
}

/// Whether the shard ends and need not wait for ClickHouse: nothing waits to be inserted, or ClickHouse is
/// away and the log keeps it. Where nothing failed before, a try is seen to its end.
fn may_leave(shard: &Shard, away: bool) -> bool {
    let kept = away && shard.config.ack == AckMode::Log;
    shard.backlog.is_closed() && (kept || shard.backlog.rows() == 0)
}

/// Waits until it need not; where rows would be lost, for ever.
async fn leaving(shard: &Shard, away: bool) {
    shard.backlog.closed().await;
    if !may_leave(shard, away) {
        std::future::pending::<()>().await;
    }
}

/// Why a batch is set aside whose token may be forgotten.
const OUTRUN: &str = "whether it is stored is not known, and ClickHouse has taken more inserts since than \
                      it remembers tokens of";
