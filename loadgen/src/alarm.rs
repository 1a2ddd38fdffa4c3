//! Waits until a moment, to about 50 µs: tokio's own timers go by the millisecond, which would be most of the
//! latency of an engine that answers in one.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe::Receiver;

/// The kernel's timer; one waits on it at a time.
pub(crate) struct Alarm {
    timer: TimerFd,
    /// The same timer, as tokio takes it: readable like a pipe's end. That way needs no unsafe code.
    rings: Receiver,
}

impl Alarm {
    /// Needs a tokio runtime with I/O.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let same = timer.as_fd().try_clone_to_owned()?;
        Ok(Alarm {
            timer,
            rings: Receiver::from_owned_fd_unchecked(same)?,
        })
    }

    /// Comes back at `moment`, or at once when it is past.
    pub(crate) async fn at(&mut self, moment: Instant) -> io::Result<()> {
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let once = Expiration::OneShot(TimeSpec::from_duration(left));
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            self.rings.readable().await?;
            // What it says is not needed: the clock is asked again.
            match self.rings.try_read(&mut [0; 8]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
