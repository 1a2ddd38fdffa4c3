#![allow(unsafe_code)]
//! A question that only a system call answers: whether the clock is synchronised. It changes nothing.

use std::io;
use std::mem;

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Whether something keeps it to the time of others.
    pub(crate) synchronised: bool,
    /// How far it may be off, in microseconds, as whoever keeps it says.
    pub(crate) error_us_max: i64,
}

/// The clock's state, read without changing it.
pub(crate) fn clock() -> io::Result<Clock> {
    // SAFETY: `timex` is plain numbers, for which zeros are valid; no mode set means that it is only read.
    let mut state: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills in one `timex`, in a place that holds one.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Clock {
        synchronised: answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0,
        error_us_max: state.maxerror,
    })
}
