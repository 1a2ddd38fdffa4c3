//! One direction of a connection: bytes on their way, each with the time at which it arrives, up to where
//! the stream ends or breaks.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;

use super::executor::{Executor, TimerKey};
use super::network::Cut;

/// How the bytes of a pipe end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After all that was written.
    Closed,
    /// At once; what was on its way is gone.
    Reset,
}

/// See the module.
pub(super) struct Pipe {
    segments: VecDeque<Segment>,
    /// Bytes in `segments`.
    pub(super) held: usize,
    /// Bytes that it takes before its writer has to wait.
    capacity: usize,
    /// When the last of what was written arrives.
    last: Duration,
    end: Option<(End, Duration)>,
    /// The connection is cut when this many more bytes were written.
    pub(super) fuse: Option<(usize, Cut)>,
    /// What is written is lost, and nobody is told.
    pub(super) lost: bool,
    /// The reader has gone: the writer learns it at this time.
    pub(super) unread_from: Option<Duration>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    timer: Option<TimerKey>,
}

struct Segment {
    arrives: Duration,
    bytes: Vec<u8>,
    read: usize,
}

/// What a reader finds.
pub(super) enum Found {
    Bytes,
    End(End),
    Nothing,
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Pipe {
            segments: VecDeque::new(),
            held: 0,
            capacity,
            last: Duration::ZERO,
            end: None,
            fuse: None,
            lost: false,
            unread_from: None,
            reader: None,
            writer: None,
            timer: None,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.held)
    }

    /// Whether the writer has ended it, or someone else has.
    pub(super) fn ended(&self) -> Option<(End, Duration)> {
        self.end
    }

    /// Takes bytes that arrive `latency` from `now`, behind all before them.
    pub(super) fn push(&mut self, bytes: Vec<u8>, arrives: Duration, executor: &mut Executor) {
        if bytes.is_empty() || self.lost || self.end.is_some() {
            return;
        }
        self.last = self.last.max(arrives);
        self.held += bytes.len();
        let arrives = self.last;
        self.segments.push_back(Segment {
            arrives,
            bytes,
            read: 0,
        });
        self.tell_reader(arrives, executor);
    }

    /// Ends it: a reset overtakes and takes away what has not arrived.
    pub(super) fn finish(&mut self, end: End, at: Duration, executor: &mut Executor) {
        if self.lost
            || self
                .end
                .is_some_and(|(before, _)| before == End::Reset || end == before)
        {
            return;
        }
        let at = match end {
            End::Closed => self.last.max(at),
            End::Reset => {
                self.segments.retain(|segment| segment.arrives <= at);
                self.held = self.segments.iter().map(|s| s.bytes.len() - s.read).sum();
                at
            }
        };
        self.end = Some((end, at));
        self.tell_reader(at, executor);
        self.wake_writer();
    }

    /// Moves what has arrived to `into`, at most `most` bytes of it.
    pub(super) fn pull(&mut self, now: Duration, most: usize, into: &mut Vec<u8>) -> Found {
        while into.len() < most {
            let Some(front) = self
                .segments
                .front_mut()
                .filter(|front| front.arrives <= now)
            else {
                break;
            };
            let rest = &front.bytes[front.read..];
            let count = rest.len().min(most - into.len());
            into.extend_from_slice(&rest[..count]);
            front.read += count;
            self.held -= count;
            if front.read == front.bytes.len() {
                self.segments.pop_front();
            }
        }
        if !into.is_empty() {
            self.wake_writer();
            return Found::Bytes;
        }
        match self.end {
            Some((end, at)) if at <= now && self.segments.is_empty() => Found::End(end),
            _ => Found::Nothing,
        }
    }

    /// Leaves a waker for when there is something to read.
    pub(super) fn wait_to_read(&mut self, waker: &Waker, executor: &mut Executor) {
        self.reader = Some(waker.clone());
        if let Some(timer) = self.timer.take() {
            executor.remove_timer(timer);
        }
        let arrival = self.segments.front().map(|segment| segment.arrives);
        if let Some(due) = arrival.or(self.end.map(|(_, at)| at)) {
            self.tell_reader(due, executor);
        }
    }

    /// Leaves a waker for when there is room.
    pub(super) fn wait_to_write(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    fn tell_reader(&mut self, due: Duration, executor: &mut Executor) {
        if let Some(timer) = self.timer
            && timer.0 <= due
            && timer.0 > executor.time()
        {
            return;
        }
        if let Some(timer) = self.timer.take() {
            executor.remove_timer(timer);
        }
        if let Some(reader) = &self.reader {
            self.timer = Some(executor.add_timer(due, reader.clone()));
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Nobody reads it any more.
    pub(super) fn abandon(&mut self, at: Duration, executor: &mut Executor) {
        self.unread_from = Some(at);
        self.segments.clear();
        self.held = 0;
        self.reader = None;
        // The writer is woken when it can know.
        if let Some(writer) = self.writer.take() {
            executor.add_timer(at, writer);
        }
    }

    /// How much of `offered` bytes is taken at once.
    pub(super) fn portion(offered: usize, small: f64, random: &mut Rng) -> usize {
        match offered {
            0 => 0,
            _ if random.f64() < small => random.usize(1..=offered.min(64)),
            _ => offered,
        }
    }
}
