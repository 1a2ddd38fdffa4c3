//! A shard's connection to ClickHouse: opened at the endpoint that should be used when it is needed, thrown
//! away after any error, and not tried again before it makes sense. What came of the last try is told to
//! the shard, and so to `/readyz` and metrics. It never repeats an insert by itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::connection::Connection;
use super::endpoints::{Choice, Endpoints};
use super::error::InsertError;
use super::seen::{self, Seen};
use crate::limits::{CONNECT_TIMEOUT, IDLE_MAX, PING_TIMEOUT};
use crate::reactor::{Reactor, within};
use crate::shard::Shard;
use crate::status::Trouble;

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
    endpoints: Endpoints,
    live: Option<Live<R>>,
    /// Where the last try went.
    tried: usize,
    /// Where the last connection was.
    connected: Option<usize>,
    /// Tries that failed since the last success.
    failures: u32,
    /// Endpoints that a task of their own is looking at.
    probing: Vec<usize>,
    /// What those tasks found.
    probed: Rc<RefCell<Vec<Probed>>>,
}

/// An endpoint, and how saying hello to it went.
type Probed = (usize, Result<(), InsertError>);

/// A connection with nothing in flight.
struct Live<R: Reactor> {
    endpoint: usize,
    connection: Connection<R>,
    used_at: Instant,
}

impl<R: Reactor> Link<R> {
    pub(super) fn new(shard: Rc<Shard>) -> Self {
        Link {
            endpoints: Endpoints::new(&shard.config.clickhouse.native, shard.index),
            shard,
            live: None,
            tried: 0,
            connected: None,
            failures: 0,
            probing: Vec::new(),
            probed: Rc::default(),
        }
    }

    /// Whether a try failed since the last insert that worked.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Sees to a connection to the endpoint that should be used, and that it is still there if it was idle
    /// for long. `limit` bounds the wait until a try makes sense, and then the try.
    pub(super) async fn connect(&mut self, limit: Duration) -> Result<(), InsertError> {
        let endpoint = self.turn(limit).await?;
        self.connect_to(endpoint, limit).await
    }

    /// Where to go next, once a try makes sense.
    async fn turn(&mut self, limit: Duration) -> Result<usize, InsertError> {
        self.note_probed();
        let begun = R::now();
        loop {
            let left = limit.saturating_sub(R::now().duration_since(begun));
            match self.endpoints.choose(R::now()) {
                _ if left.is_zero() => return Err(InsertError::OutOfTime),
                Choice::Use(endpoint) => return Ok(endpoint),
                Choice::Wait(wait) => R::sleep(wait.min(left)).await,
            }
        }
    }

    async fn connect_to(&mut self, endpoint: usize, limit: Duration) -> Result<(), InsertError> {
        self.probe_others(endpoint);
        if let Some(mut live) = self.live.take_if(|live| live.endpoint == endpoint) {
            let idle = R::now().duration_since(live.used_at);
            if idle < IDLE_MAX || Self::answers(&mut live, limit).await {
                self.live = Some(live);
                return Ok(());
            }
        }
        self.live = None;
        self.tried = endpoint;
        let connection = self.open(endpoint, limit).await;
        let connection = connection.map_err(|error| InsertError::Unsent(Box::new(error)))?;
        self.note_connected(endpoint, &connection);
        self.live = Some(Live {
            endpoint,
            connection,
            used_at: R::now(),
        });
        Ok(())
    }

    /// One try of an insert, connecting first if need be, both within `limit`. After an error it is unknown
    /// whether the rows are stored, unless the error says that nothing was sent.
    pub(super) async fn insert(
        &mut self,
        insert: &Insert<'_>,
        limit: Duration,
    ) -> Result<(), InsertError> {
        let endpoint = self.turn(limit).await?;
        let begun = R::now();
        self.connect_to(endpoint, limit).await?;
        let Some(mut live) = self.live.take() else {
            return Ok(());
        };
        self.tried = live.endpoint;
        let left = limit.saturating_sub(R::now().duration_since(begun));
        let inserted = within::<R, _>(left, live.connection.insert(insert)).await;
        inserted.unwrap_or(Err(InsertError::Timeout(limit)))?;
        self.note_inserted(live.endpoint);
        live.used_at = R::now();
        self.live = Some(live);
        Ok(())
    }

    /// How many inserts each table has seen; see [`seen`].
    pub(super) async fn inserts_seen(&mut self, limit: Duration) -> Result<Seen, InsertError> {
        let endpoint = self.turn(limit).await?;
        self.connect_to(endpoint, limit).await?;
        let Some(mut live) = self.live.take() else {
            return Ok(Seen::default());
        };
        let asked = within::<R, _>(limit, live.connection.ask(&seen::question())).await;
        let asked = asked.unwrap_or(Err(InsertError::Timeout(limit)));
        match asked {
            Ok(text) => {
                live.used_at = R::now();
                self.live = Some(live);
                Ok(seen::answer(&text).unwrap_or_default())
            }
            // Without the right to ask, the token alone is trusted, as by everybody else.
            Err(InsertError::Server(refused)) => {
                tracing::warn!(%refused, "ClickHouse does not say how many inserts its tables have seen");
                Ok(Seen::default())
            }
            Err(error) => Err(InsertError::Unsent(Box::new(error))),
        }
    }

    /// Drops the connection after a failure and waits until the next try makes sense: at once when another
    /// endpoint is ready, or when the server may only have closed an idle connection. May be dropped while
    /// it waits: whatever is tried next then waits for the rest.
    pub(super) async fn failed(&mut self, error: &InsertError) {
        if matches!(error, InsertError::OutOfTime) {
            return;
        }
        let kind = error.kind();
        self.live = None;
        self.failures += 1;
        self.shard.metrics.insert_failed(kind);
        self.note_failed(self.tried, error);
        let wait = self.endpoints.wait(R::now());
        if self.failures.is_power_of_two() {
            tracing::warn!(
                shard = self.shard.index,
                endpoint = %self.endpoints.address(self.tried),
                kind = kind.label(),
                failures = self.failures,
                again_in = ?wait,
                %error,
                advice = kind.advice(),
                "cannot insert; trying again"
            );
        }
        if wait.is_zero() {
            return;
        }
        let state = kind.state();
        self.shard
            .set_unavailable(Some(format!("ClickHouse {state}: {error}")));
        R::sleep(wait).await;
    }

    async fn open(&self, endpoint: usize, limit: Duration) -> Result<Connection<R>, InsertError> {
        let address = Arc::clone(self.endpoints.address(endpoint));
        let limit = limit.min(CONNECT_TIMEOUT);
        let opening = Connection::open(&address, &self.shard.config.clickhouse);
        let opened = within::<R, _>(limit, opening).await;
        opened.unwrap_or(Err(InsertError::Timeout(limit)))
    }

    async fn answers(live: &mut Live<R>, limit: Duration) -> bool {
        let ping = within::<R, _>(limit.min(PING_TIMEOUT), live.connection.ping()).await;
        matches!(ping, Some(Ok(())))
    }

    /// Looks, beside the endpoint that works, at those that may be back. A task of its own does it, so
    /// that a dead one delays nothing.
    fn probe_others(&mut self, used: usize) {
        let due: Vec<_> = self.endpoints.to_probe(R::now(), used).collect();
        for endpoint in due {
            if self.probing.contains(&endpoint) {
                continue;
            }
            self.probing.push(endpoint);
            let address = Arc::clone(self.endpoints.address(endpoint));
            let (config, probed) = (Arc::clone(&self.shard.config), Rc::clone(&self.probed));
            R::spawn(async move {
                let opening = Connection::<R>::open(&address, &config.clickhouse);
                let opened = within::<R, _>(CONNECT_TIMEOUT, opening).await;
                let opened = opened.unwrap_or(Err(InsertError::Timeout(CONNECT_TIMEOUT)));
                probed.borrow_mut().push((endpoint, opened.map(drop)));
            });
        }
    }

    fn note_probed(&mut self) {
        let probed = std::mem::take(&mut *self.probed.borrow_mut());
        for (endpoint, result) in probed {
            self.probing.retain(|probing| *probing != endpoint);
            match result {
                Ok(()) => self.note_reached(endpoint),
                Err(error) => self.note_failed(endpoint, &InsertError::Unsent(Box::new(error))),
            }
        }
    }

    fn note_connected(&mut self, endpoint: usize, connection: &Connection<R>) {
        let address = self.endpoints.address(endpoint);
        tracing::info!(
            shard = self.shard.index,
            endpoint = %address,
            server = %connection.server.name,
            version = ?connection.server.version,
            revision = connection.server.revision,
            "connected to ClickHouse"
        );
        if let Some(before) = self.connected.replace(endpoint)
            && before != endpoint
        {
            self.shard.metrics.failovers.inc();
            let before = self.endpoints.address(before);
            tracing::warn!(shard = self.shard.index, from = %before, to = %address, "another endpoint");
        }
        self.note_reached(endpoint);
    }

    fn note_reached(&mut self, endpoint: usize) {
        self.endpoints.reached(endpoint);
        self.shard.status.reached(self.endpoints.address(endpoint));
        self.publish();
    }

    fn note_inserted(&mut self, endpoint: usize) {
        if self.failures > 0 {
            tracing::info!(
                shard = self.shard.index,
                failures = self.failures,
                "inserts work again"
            );
            self.failures = 0;
        }
        self.endpoints.succeeded(endpoint);
        self.shard.status.inserted(self.endpoints.address(endpoint));
        self.publish();
        let since_1970 = R::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.shard.metrics.last_insert.set(since_1970.as_secs_f64());
        self.shard.set_unavailable(None);
    }

    fn note_failed(&mut self, endpoint: usize, error: &InsertError) {
        let (kind, sent) = (error.kind(), error.outcome_unknown());
        self.endpoints
            .failed(endpoint, kind, sent, R::now(), fastrand::f64());
        let address = self.endpoints.address(endpoint);
        let trouble = Trouble::new(address, error, R::now());
        self.shard.status.failed(trouble);
        self.publish();
    }

    fn publish(&self) {
        for (number, state) in self.endpoints.states() {
            self.shard.metrics.endpoint_states[number].set(state as i64);
        }
    }
}
