#![allow(unsafe_code)]
//! Two questions that only system calls answer: whether io_uring can be set up here, and whether the clock is
//! synchronised. They change nothing.

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

/// Sets up a small ring and gives it back. The engine does the same before it starts.
pub(crate) fn try_io_uring() -> io::Result<()> {
    /// Size of `struct io_uring_params`, which the kernel fills in; all zeros asks for defaults.
    const PARAMS_BYTES: usize = 120;
    let mut params = [0u64; PARAMS_BYTES / mem::size_of::<u64>()];
    // SAFETY: the kernel writes at most `PARAMS_BYTES` into `params`, which is aligned and lives on.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is a descriptor that was just opened and is used nowhere else.
    unsafe { libc::close(fd as libc::c_int) };
    Ok(())
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
