//! What one core owns: the open columns, the chunks that wait to be inserted, the requests that wait for
//! their ack, and the bounds on all of it. Requests come in through `accept`; the writer takes
//! batches out. Nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::ack::{Acks, Waiting};
use crate::columns::{Chunk, Columns};
use crate::config::Config;
use crate::decode::{Arrival, Rejected, Signal, walk};
use crate::inflate::Inflate;
use crate::limits::{BUFFER_KEPT_BYTES, BUFFERS_KEPT, CHUNK_BYTES, CHUNK_ROWS, COLUMN_BYTES_MAX};
use crate::metrics::ShardMetrics;
use crate::reactor::{Reactor, within};
use crate::refusal::Refusal;

/// See the module.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: ShardMetrics,
    rows: RefCell<Rows>,
    buffers: RefCell<Vec<Vec<u8>>>,
    inflate: RefCell<Inflate>,
    pending_bytes: Cell<usize>,
    unavailable: RefCell<Option<String>>,
    draining: Cell<bool>,
    closed: Cell<bool>,
    writer: Notify,
}

/// Rows between "walked" and "inserted".
struct Rows {
    open: Columns,
    open_acks: Acks,
    /// When the oldest open row came.
    open_since: Option<Instant>,
    sealed: VecDeque<Waits>,
    sealed_rows: usize,
}

/// A chunk that waits for its batch.
struct Waits {
    chunk: Chunk,
    acks: Acks,
    /// When its oldest row came.
    since: Instant,
}

/// A request that was walked.
pub(crate) struct Accepted {
    /// `None` when it brought no rows, and so nothing is to be stored.
    pub(crate) waiting: Option<Waiting>,
    /// Rows that were left out of it.
    pub(crate) rejected: Rejected,
}

/// Consecutive chunks that are inserted together.
pub(crate) struct Batch {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) acks: Acks,
    pub(crate) rows: usize,
    /// When the oldest row came.
    pub(crate) since: Instant,
}

impl Shard {
    pub(crate) fn new(index: usize, config: Arc<Config>, metrics: ShardMetrics) -> Self {
        Shard {
            index,
            rows: RefCell::new(Rows {
                open: Columns::new(Arc::clone(&config.tables)),
                open_acks: Acks::default(),
                open_since: None,
                sealed: VecDeque::new(),
                sealed_rows: 0,
            }),
            config,
            metrics,
            buffers: RefCell::default(),
            inflate: RefCell::default(),
            pending_bytes: Cell::new(0),
            unavailable: RefCell::new(Some("ClickHouse has not been reached yet".into())),
            draining: Cell::new(false),
            closed: Cell::new(false),
            writer: Notify::new(),
        }
    }

    /// Whether a new request can be taken at all: asked before its body is read.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        if let Some(reason) = &*self.unavailable.borrow() {
            return Err(Refusal::unavailable(reason.clone()));
        }
        Ok(())
    }

    /// Walks a request's protobuf body into the open columns. The answer comes when its rows are
    /// inserted; a request without rows is answered at once.
    pub(crate) fn accept(&self, signal: Signal, body: &[u8]) -> Result<Accepted, Refusal> {
        self.admit()?;
        let mut rows = self.rows.borrow_mut();
        let walked = walk(signal, body, &mut rows.open, self.arrival())?;
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
        let first = rows.since().is_none();
        rows.open_since.get_or_insert_with(Instant::now);
        if rows.open.rows() >= CHUNK_ROWS || rows.open.bytes() >= CHUNK_BYTES {
            rows.seal();
        }
        if first || rows.count() >= self.config.batch_rows {
            self.writer.notify_one();
        }
        Ok(accepted)
    }

    fn arrival(&self) -> Arrival {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = nanos(now.unwrap_or_default());
        Arrival {
            now,
            earliest: now.saturating_sub(nanos(self.config.timestamp_past_max)),
            latest: now.saturating_add(nanos(self.config.timestamp_future_max)),
            column_bytes_max: COLUMN_BYTES_MAX,
        }
    }

    /// Waits until a batch is due (by rows, by age, or because the shard drains) and takes it; `None`
    /// when the shard is closed and nothing is left.
    pub(crate) async fn next_batch<R: Reactor>(&self) -> Option<Batch> {
        loop {
            let (count, age) = self.waiting_rows();
            let due = count >= self.config.batch_rows || self.draining.get();
            let wait = self.config.batch_age.saturating_sub(age);
            match count {
                0 if self.closed.get() => return None,
                0 => self.writer.notified().await,
                _ if due || wait.is_zero() => return Some(self.take_batch()),
                _ => {
                    within::<R, _>(wait, self.writer.notified()).await;
                }
            }
        }
    }

    fn waiting_rows(&self) -> (usize, Duration) {
        let rows = self.rows.borrow();
        let age = rows.since().map_or(Duration::ZERO, |since| since.elapsed());
        (rows.count(), age)
    }

    fn take_batch(&self) -> Batch {
        let mut rows = self.rows.borrow_mut();
        if rows.sealed_rows < self.config.batch_rows_max {
            rows.seal();
        }
        let mut batch = Batch {
            chunks: Vec::new(),
            acks: Acks::default(),
            rows: 0,
            since: rows.since().unwrap_or_else(Instant::now),
        };
        while batch.rows < self.config.batch_rows_max {
            let Some(next) = rows.sealed.pop_front() else {
                break;
            };
            rows.sealed_rows -= next.chunk.rows;
            batch.rows += next.chunk.rows;
            batch.chunks.push(next.chunk);
            batch.acks.append(next.acks);
        }
        batch
    }

    /// Gives up everything that waits: its requests are told to retry, and resources and series that were
    /// written along are written again with whatever comes next.
    pub(crate) fn refuse_waiting(&self, refusal: &Refusal) -> usize {
        let mut rows = self.rows.borrow_mut();
        rows.seal();
        rows.open.forget_written();
        for waits in rows.sealed.drain(..) {
            waits.acks.refuse(refusal);
        }
        std::mem::take(&mut rows.sealed_rows)
    }

    /// Says whether rows can be inserted at present; `Some` is the reason why not.
    pub(crate) fn set_unavailable(&self, reason: Option<String>) {
        self.metrics.available.set(i64::from(reason.is_none()));
        *self.unavailable.borrow_mut() = reason;
    }

    /// From now on batches are taken without waiting for more rows.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.writer.notify_one();
    }

    /// No request will come any more: the writer ends when nothing is left.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.writer.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// An empty buffer for a body, from those that are kept.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next body.
    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < BUFFERS_KEPT && buffer.capacity() <= BUFFER_KEPT_BYTES {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// The shard's decompressors.
    pub(crate) fn inflate(&self) -> std::cell::RefMut<'_, Inflate> {
        self.inflate.borrow_mut()
    }
}

impl Rows {
    fn count(&self) -> usize {
        self.open.rows() + self.sealed_rows
    }

    /// When the oldest row came; `None` when there is none.
    fn since(&self) -> Option<Instant> {
        let oldest = self.sealed.front().map(|waits| waits.since);
        oldest.or(self.open_since)
    }

    fn seal(&mut self) {
        if let (Some(chunk), Some(since)) = (self.open.seal(), self.open_since.take()) {
            self.sealed_rows += chunk.rows;
            let acks = std::mem::take(&mut self.open_acks);
            self.sealed.push_back(Waits { chunk, acks, since });
        }
    }
}

/// A request's share of the bytes that may be pending; given back when it is dropped.
pub(crate) struct Reservation {
    shard: Rc<Shard>,
    bytes: usize,
}

impl Reservation {
    pub(crate) fn new(shard: &Rc<Shard>) -> Self {
        Reservation {
            shard: Rc::clone(shard),
            bytes: 0,
        }
    }

    /// Takes `bytes` more, or refuses the request because too much waits already.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let pending = self.shard.pending_bytes.get() + bytes;
        if pending > self.shard.config.pending_bytes_max {
            return Err(Refusal::unavailable(
                "too many bytes wait to be inserted; retry later",
            ));
        }
        self.shard.pending_bytes.set(pending);
        self.shard.metrics.pending_bytes.set(pending as i64);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back `bytes` of what was taken.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let pending = self.shard.pending_bytes.get() - bytes;
        self.shard.pending_bytes.set(pending);
        self.shard.metrics.pending_bytes.set(pending as i64);
        self.bytes -= bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
