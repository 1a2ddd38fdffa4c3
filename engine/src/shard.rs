//! What one core owns: the open columns, the requests that wait for their ack, what is sealed and not yet
//! inserted, and the bounds on all of it. Requests come in through `accept`; the committer takes sealed
//! chunks out. Nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::ack::{Acks, Waiting};
use crate::backlog::{Backlog, Due, Held};
use crate::balance::Balance;
use crate::columns::Columns;
use crate::config::{AckMode, Config};
use crate::decode::{Arrival, DecodeError, Rejected, Signal, walk};
use crate::fault;
use crate::inflate::Inflate;
use crate::limits::{CHUNK_BYTES, CHUNK_ROWS, COLUMN_BYTES_MAX, COLUMN_GROWTH, COMMIT_INTERVAL};
use crate::memory::{Memory, Reservation};
use crate::metrics::ShardMetrics;
use crate::reactor::{Reactor, within};
use crate::refusal::{Kind, Refusal};
use crate::status::ShardStatus;

/// See the module.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: ShardMetrics,
    pub(crate) memory: Rc<Memory>,
    pub(crate) backlog: Backlog,
    now: fn() -> Instant,
    wall: fn() -> SystemTime,
    pub(crate) status: ShardStatus,
    /// `None` when there is no other shard.
    pub(crate) balance: Option<Balance>,
    rows: RefCell<Rows>,
    buffers: RefCell<Vec<Vec<u8>>>,
    /// Bytes of those.
    buffer_bytes: Cell<usize>,
    inflate: RefCell<Inflate>,
    /// Why no request can be taken at present, by what keeps it from being stored.
    obstacles: RefCell<[Option<String>; 3]>,
    /// Bytes of logs that are not inserted yet, those of earlier runs among them.
    log_bytes: Cell<u64>,
    draining: Cell<bool>,
    closed: Cell<bool>,
    last_commit: Cell<Instant>,
    /// There is something to commit.
    commit: Notify,
}

/// What may keep requests from being stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Obstacle {
    ClickHouse,
    Log,
    LogFull,
}

/// Rows between "walked" and "committed".
struct Rows {
    open: Columns,
    open_acks: Acks,
    /// When the oldest open row came.
    open_since: Option<Instant>,
    /// What the open columns take beyond what is set aside for them.
    open_memory: Reservation,
    sealed: VecDeque<Held>,
}

/// A request that was walked.
pub(crate) struct Accepted {
    /// `None` when it brought no rows, and so nothing is to be stored.
    pub(crate) waiting: Option<Waiting>,
    /// Rows that were left out of it.
    pub(crate) rejected: Rejected,
}

impl Shard {
    pub(crate) fn new<R: Reactor>(
        index: usize,
        config: Arc<Config>,
        metrics: ShardMetrics,
        status: ShardStatus,
        balance: Option<Balance>,
    ) -> Self {
        let memory = Memory::new(config.memory, metrics.pending_bytes.clone());
        let inflate = Inflate::new(config.memory.zstd_window_log);
        metrics.memory_limit.set(config.memory.hard as i64);
        let needs_clickhouse = config.ack == AckMode::ClickHouse;
        let unreached = needs_clickhouse.then(|| "ClickHouse has not been reached yet".to_owned());
        status.set_refuses(unreached.as_deref());
        Shard {
            index,
            now: R::now,
            wall: R::wall,
            rows: RefCell::new(Rows {
                open: Columns::new(Arc::clone(&config.tables)).within(&config.memory),
                open_acks: Acks::default(),
                open_since: None,
                open_memory: memory.reservation(),
                sealed: VecDeque::new(),
            }),
            config,
            metrics,
            memory,
            backlog: Backlog::default(),
            status,
            balance,
            buffers: RefCell::default(),
            buffer_bytes: Cell::new(0),
            inflate: RefCell::new(inflate),
            obstacles: RefCell::new([unreached, None, None]),
            log_bytes: Cell::new(0),
            draining: Cell::new(false),
            closed: Cell::new(false),
            last_commit: Cell::new(R::now()),
            commit: Notify::new(),
        }
    }

    /// Whether a new request can be taken at all: asked before its body is read.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        self.obstacle()?;
        self.memory.admit()
    }

    fn obstacle(&self) -> Result<(), Refusal> {
        match self.obstacles.borrow().iter().flatten().next() {
            Some(reason) => Err(Refusal::unavailable(reason.clone())),
            None => Ok(()),
        }
    }

    /// Walks a request's protobuf body into the open columns. The answer comes when its rows are safe, as
    /// the ack mode has it; a request without rows is answered at once. `reservation` is the body's, which
    /// says how much is left for its columns. When the body is gone, `accepted` must be called.
    pub(crate) fn accept(
        &self,
        signal: Signal,
        body: &[u8],
        reservation: &Reservation,
    ) -> Result<Accepted, Refusal> {
        self.obstacle()?;
        let mut rows = self.rows.borrow_mut();
        let arrival = self.arrival(reservation);
        let walked = walk(signal, body, &mut rows.open, arrival);
        rows.count_open(&self.memory);
        let walked = walked.map_err(|error| match error {
            DecodeError::ColumnsTooLarge { bytes_max } => {
                let most = column_bytes(reservation.room_alone());
                if bytes_max >= most {
                    Refusal::new(Kind::TooLarge, error.to_string())
                } else {
                    Refusal::no_memory()
                }
            }
            error => error.into(),
        })?;
        fault::point("walked");
        let metrics = self.metrics.signal(signal);
        metrics.decoded_rows.inc_by(walked.rows as u64);
        metrics.decoded_bytes.inc_by(body.len() as u64);
        metrics.rejected_rows.inc_by(walked.rejected.rows as u64);
        if walked.rejected.rows > 0 {
            tracing::debug!(signal = signal.label(), rejected = %walked.rejected, "left rows out");
        }
        let mut accepted = Accepted {
            waiting: None,
            rejected: walked.rejected,
        };
        if walked.rows == 0 {
            return Ok(accepted);
        }
        accepted.waiting = Some(rows.open_acks.add());
        let first = rows.open_since.is_none();
        rows.open_since.get_or_insert_with(self.now);
        if first || rows.open.rows() >= self.config.batch_rows {
            self.commit.notify_one();
        }
        Ok(accepted)
    }

    /// Seals the open rows if they are enough. What is sealed is there in both forms for a moment, so the
    /// body that they came from must be gone.
    pub(crate) fn accepted(&self) {
        let mut rows = self.rows.borrow_mut();
        if rows.open.rows() >= CHUNK_ROWS || rows.open.bytes() >= CHUNK_BYTES {
            rows.seal(&self.memory);
            self.commit.notify_one();
        }
    }

    fn arrival(&self, reservation: &Reservation) -> Arrival {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = (self.wall)().duration_since(UNIX_EPOCH);
        let now = nanos(now.unwrap_or_default());
        Arrival {
            now,
            earliest: now.saturating_sub(nanos(self.config.timestamp_past_max)),
            latest: now.saturating_add(nanos(self.config.timestamp_future_max)),
            column_bytes_max: column_bytes(reservation.room()),
        }
    }

    /// Waits until rows are due to be committed and takes them, sealed; `None` when the shard is closed and
    /// nothing is left.
    pub(crate) async fn next_commit<R: Reactor>(&self) -> Option<VecDeque<Held>> {
        loop {
            match self.commit_wait() {
                Some(Duration::ZERO) => break,
                Some(wait) => {
                    within::<R, _>(wait, self.commit.notified()).await;
                }
                None if self.closed.get() => return None,
                None => self.commit.notified().await,
            }
        }
        self.last_commit.set(R::now());
        let mut rows = self.rows.borrow_mut();
        rows.seal(&self.memory);
        fault::point("sealed");
        Some(std::mem::take(&mut rows.sealed))
    }

    /// How long rows still wait for more of them; `None` when there are none.
    ///
    /// A request that waits for the log waits until a chunk is full or `COMMIT_INTERVAL` has passed since
    /// the last commit: so a lone request is committed at once, and under load chunks grow. One that
    /// waits for ClickHouse anyway waits for the batch.
    fn commit_wait(&self) -> Option<Duration> {
        let rows = self.rows.borrow();
        if !rows.sealed.is_empty() {
            return Some(Duration::ZERO);
        }
        let since = rows.open_since?;
        let waiting = self.backlog.rows() + rows.open.rows();
        let due = match self.config.ack {
            _ if self.draining.get() => return Some(Duration::ZERO),
            AckMode::ClickHouse if waiting >= self.config.batch_rows => {
                return Some(Duration::ZERO);
            }
            AckMode::ClickHouse => since + self.config.batch_age,
            AckMode::Log | AckMode::Memory => self.last_commit.get() + COMMIT_INTERVAL,
        };
        Some(due.saturating_duration_since((self.now)()))
    }

    /// When a batch of this shard is due.
    pub(crate) fn batch_due(&self) -> Due {
        Due {
            rows: self.config.batch_rows,
            age: self.config.batch_age,
        }
    }

    /// Gives up everything that is not committed, and what is held in memory without having been sent: its
    /// requests are told to retry, and resources and series that were written along are written again
    /// with whatever comes next.
    pub(crate) fn refuse_waiting(&self, refusal: &Refusal) -> usize {
        let mut rows = self.rows.borrow_mut();
        rows.seal(&self.memory);
        rows.open.forget_written();
        let mut count = 0;
        for waits in rows.sealed.drain(..) {
            count += waits.chunk.rows;
            waits.acks.refuse(refusal);
        }
        count + self.backlog.refuse(refusal, (self.now)())
    }

    /// Resources and series are written again with whatever comes next: those of a batch may be missing.
    pub(crate) fn forget_written(&self) {
        self.rows.borrow_mut().open.forget_written();
    }

    /// Says whether something keeps requests from being stored; `Some` is the reason.
    pub(crate) fn set_obstacle(&self, obstacle: Obstacle, reason: Option<String>) {
        let gauge = match obstacle {
            Obstacle::ClickHouse => Some(&self.metrics.available),
            Obstacle::Log => Some(&self.metrics.log_available),
            Obstacle::LogFull => None,
        };
        if let Some(gauge) = gauge {
            gauge.set(i64::from(reason.is_none()));
        }
        // With a log, and in memory mode while there is room, requests need no ClickHouse.
        let matters = match obstacle {
            Obstacle::ClickHouse => self.config.ack == AckMode::ClickHouse,
            Obstacle::Log | Obstacle::LogFull => self.config.ack == AckMode::Log,
        };
        let reason = reason.filter(|_| matters);
        let mut obstacles = self.obstacles.borrow_mut();
        if obstacles[obstacle as usize] != reason {
            obstacles[obstacle as usize] = reason;
            let first = obstacles.iter().flatten().next();
            self.status.set_refuses(first.map(String::as_str));
        }
    }

    /// Says whether ClickHouse takes inserts.
    pub(crate) fn set_unavailable(&self, reason: Option<String>) {
        self.set_obstacle(Obstacle::ClickHouse, reason);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Bytes were logged, or inserted.
    pub(crate) fn log_changed(&self, grown: i64) {
        let bytes = self.log_bytes.get().saturating_add_signed(grown);
        self.log_bytes.set(bytes);
        self.metrics.log_bytes.set(bytes as i64);
        let full = bytes >= self.config.log_bytes_max_of_shard();
        let full = full.then(|| "the log is full, since ClickHouse does not keep up".to_owned());
        self.set_obstacle(Obstacle::LogFull, full);
    }

    /// Bytes of logs that wait to be inserted.
    #[cfg(test)]
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.get()
    }

    /// From now on rows are committed and inserted without waiting for more of them.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.commit.notify_one();
        self.backlog.hurry();
    }

    /// No request will come any more: the committer ends when nothing is left.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.commit.notify_one();
    }

    /// An empty buffer for a body, from those that are kept.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        let buffer = self.buffers.borrow_mut().pop();
        self.taken(buffer)
    }

    /// The same, with the least room that is at least `bytes` if one of those has it.
    pub(crate) fn buffer_of(&self, bytes: usize) -> Vec<u8> {
        let mut buffers = self.buffers.borrow_mut();
        let rooms = buffers.iter().map(Vec::capacity).enumerate();
        let fits = rooms.filter(|(_, room)| *room >= bytes);
        let buffer = match fits.min_by_key(|(_, room)| *room) {
            Some((index, _)) => Some(buffers.swap_remove(index)),
            None => buffers.pop(),
        };
        self.taken(buffer)
    }

    fn taken(&self, buffer: Option<Vec<u8>>) -> Vec<u8> {
        let buffer = buffer.unwrap_or_default();
        let left = self.buffer_bytes.get() - buffer.capacity();
        self.buffer_bytes.set(left);
        buffer
    }

    /// Keeps a buffer for the next body.
    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let bytes = self.buffer_bytes.get() + buffer.capacity();
        if buffer.capacity() > 0 && bytes <= self.memory.plan().kept_bytes {
            buffer.clear();
            self.buffers.borrow_mut().push(buffer);
            self.buffer_bytes.set(bytes);
        }
    }

    /// The shard's decompressors.
    pub(crate) fn inflate(&self) -> std::cell::RefMut<'_, Inflate> {
        self.inflate.borrow_mut()
    }
}

/// Bytes that a request may take in columns when there is room for `room`.
fn column_bytes(room: usize) -> usize {
    (room / COLUMN_GROWTH).min(COLUMN_BYTES_MAX)
}

impl Rows {
    fn count_open(&mut self, memory: &Memory) {
        let kept = memory.plan().columns_kept_bytes;
        self.open_memory.set(self.open.room().saturating_sub(kept));
    }

    fn seal(&mut self, memory: &Rc<Memory>) {
        let (Some(chunk), Some(since)) = (self.open.seal(), self.open_since.take()) else {
            return;
        };
        self.open.shrink(memory.plan().columns_kept_bytes);
        self.count_open(memory);
        let mut reservation = memory.reservation();
        reservation.set(chunk.bytes());
        self.sealed.push_back(Held {
            chunk,
            acks: std::mem::take(&mut self.open_acks),
            since,
            memory: reservation,
        });
    }
}
