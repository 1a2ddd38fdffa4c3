//! A shard's connection to ClickHouse: opened when it is needed, thrown away after any error, and not
//! tried again before it makes sense. What came of the last try is told to the shard, and so to
//! `/readyz` and metrics. It never repeats an insert by itself.

use std::rc::Rc;
use std::time::Duration;

use super::batch::InsertsSeen;
use super::connection::Connection;
use super::error::InsertError;
use super::seen;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use crate::reactor::{Reactor, within};
use crate::shard::Shard;

/// One INSERT as it is sent: the same bytes under the same token each time.
pub(super) struct Insert<'a> {
    pub(super) statement: &'a str,
    pub(super) token: &'a str,
    /// Frames of its blocks.
    pub(super) blocks: Vec<&'a [u8]>,
}

/// See the module.
pub(super) struct Link<R: Reactor> {
    shard: Rc<Shard>,
    connection: Option<Connection<R>>,
    /// Tries that failed since the last success.
    failures: u32,
}

impl<R: Reactor> Link<R> {
    pub(super) fn new(shard: Rc<Shard>) -> Self {
        Link {
            shard,
            connection: None,
            failures: 0,
        }
    }

    /// Opens a connection unless there is one.
    pub(super) async fn connect(&mut self, limit: Duration) -> Result<(), InsertError> {
        if self.connection.is_some() {
            return Ok(());
        }
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

    /// One try of an insert, connecting first if need be. After an error it is unknown whether the rows
    /// are stored.
    pub(super) async fn insert(
        &mut self,
        insert: &Insert<'_>,
        limit: Duration,
    ) -> Result<(), InsertError> {
        self.connect(limit).await?;
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let inserted = within::<R, _>(limit, connection.insert(insert)).await;
        inserted.unwrap_or(Err(InsertError::Timeout(limit)))?;
        self.failures = 0;
        self.shard.set_unavailable(None);
        Ok(())
    }

    /// How many inserts each table has seen; see [`seen`].
    pub(super) async fn inserts_seen(
        &mut self,
        limit: Duration,
    ) -> Result<InsertsSeen, InsertError> {
        self.connect(limit).await?;
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        let asked = within::<R, _>(limit, connection.ask(&seen::question())).await;
        let text = asked.unwrap_or(Err(InsertError::Timeout(limit)))?;
        Ok(seen::answer(&text))
    }

    /// Drops the connection after a failure and waits until the next try makes sense. A first failure
    /// may only mean that the server closed an idle connection: then that is at once.
    pub(super) async fn failed(&mut self, error: &InsertError) {
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
}

/// Exponential with full jitter, so that shards do not come back in step.
fn backoff(failures: u32) -> Duration {
    let ceiling = BACKOFF_MIN
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(BACKOFF_MAX);
    ceiling.mul_f64(fastrand::f64())
}
