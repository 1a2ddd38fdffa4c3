//! The committer of a shard: takes sealed chunks, makes them as safe as the ack mode asks, and answers the
//! requests in them. With a log that is when they are on disk (one sync for all that came meanwhile);
//! it never waits for ClickHouse.

use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

use crate::ack::Acks;
use crate::backlog::Held;
use crate::chunk::Chunk;
use crate::config::AckMode;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use crate::log::{Appender, LogError};
use crate::reactor::{Reactor, within};
use crate::refusal::Refusal;
use crate::shard::{Obstacle, Shard};

/// Runs until the shard is closed and nothing is left; then the backlog is closed, too. `appender` is
/// there in ack mode `log`.
pub(crate) async fn commit_chunks<R: Reactor>(shard: Rc<Shard>, mut appender: Option<Appender<R>>) {
    while let Some(chunks) = shard.next_commit::<R>().await {
        match &mut appender {
            Some(appender) => to_log(&shard, appender, chunks).await,
            None => hold(&shard, chunks),
        }
    }
    shard.backlog.close();
}

/// Leaves the chunks in memory, where the writer finds them.
fn hold(shard: &Shard, chunks: VecDeque<Held>) {
    for mut held in chunks {
        if shard.config.ack == AckMode::Memory {
            std::mem::take(&mut held.acks).acknowledge();
        }
        shard.backlog.hold(held);
    }
}

async fn to_log<R: Reactor>(shard: &Shard, appender: &mut Appender<R>, chunks: VecDeque<Held>) {
    let begun = R::now();
    let mut acks = Acks::default();
    let mut rows = 0;
    let mut since = begun;
    let mut memory = Vec::with_capacity(chunks.len());
    let mut sealed = Vec::with_capacity(chunks.len());
    for held in chunks {
        rows += held.chunk.rows;
        since = since.min(held.since);
        acks.append(held.acks);
        memory.push(held.memory);
        sealed.push(held.chunk);
    }
    let appended = append(shard, appender, sealed, &mut acks).await;
    match appended {
        Ok(grown) => {
            shard.set_obstacle(Obstacle::Log, None);
            shard.log_changed(grown as i64);
            let took = R::now().saturating_duration_since(begun);
            shard.metrics.commit_seconds.observe(took.as_secs_f64());
            acks.acknowledge();
            shard.backlog.add(rows, since);
        }
        Err(error) => {
            let refusal = Refusal::unavailable(error.to_string());
            acks.refuse(&refusal);
            // What came meanwhile may refer to resources that were not written.
            shard.refuse_waiting(&refusal);
            until_writable(shard, appender, error).await;
        }
    }
}

/// Appends, however long it takes; but requests are told to retry after `ack_timeout`, when their clients would
/// give up by themselves. Their rows may still become safe, and are stored then.
async fn append<R: Reactor>(
    shard: &Shard,
    appender: &mut Appender<R>,
    chunks: Vec<Chunk>,
    acks: &mut Acks,
) -> Result<u64, LogError> {
    let limit = shard.config.ack_timeout;
    let mut append = pin!(appender.append(chunks));
    if let Some(appended) = within::<R, _>(limit, &mut append).await {
        return appended;
    }
    let slow = format!("the log's disk did not answer within {limit:?}");
    shard.set_obstacle(Obstacle::Log, Some(slow.clone()));
    std::mem::take(acks).refuse(&Refusal::unavailable(slow));
    append.await
}

/// Refuses requests until a new segment could be begun.
async fn until_writable<R: Reactor>(
    shard: &Shard,
    appender: &mut Appender<R>,
    mut error: LogError,
) {
    let mut pause = BACKOFF_MIN;
    loop {
        shard.metrics.log_failures.inc();
        tracing::error!(shard = shard.index, %error, "the log cannot be written; requests are told to retry");
        shard.set_obstacle(Obstacle::Log, Some(error.to_string()));
        R::sleep(pause).await;
        match appender.begin_segment().await {
            Ok(grown) => {
                tracing::info!(shard = shard.index, "the log can be written again");
                shard.log_changed(grown as i64);
                return shard.set_obstacle(Obstacle::Log, None);
            }
            Err(again) => error = again,
        }
        if shard.is_closed() {
            return;
        }
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}
