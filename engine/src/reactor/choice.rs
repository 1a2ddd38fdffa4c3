#![allow(unsafe_code)]
//! Which reactor this machine allows, and which cores it gives us. io_uring is probed with a raw system
//! call, because glommio panics or exits where it is forbidden, as in most containers.

use std::fmt;
use std::io;
use std::mem;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::config::ReactorChoice;

/// Bytes of locked memory that one shard's rings need on kernels that count them against the limit.
pub const MEMLOCK_PER_SHARD: u64 = 512 << 10;
/// The io_uring reactor (glommio 0.9) sets up its rings with what Linux has since this version.
pub const KERNEL_MIN: (u32, u32) = (5, 8);

/// The reactor that will run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chosen {
    Uring { reason: String },
    Epoll { reason: String },
}

impl fmt::Display for Chosen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chosen::Uring { reason } => write!(formatter, "uring ({reason})"),
            Chosen::Epoll { reason } => write!(formatter, "epoll ({reason})"),
        }
    }
}

/// Chooses for `shards` shards. Forcing `uring` where it is forbidden is an error with the reason.
pub(crate) fn choose(choice: ReactorChoice, shards: usize) -> Result<Chosen, String> {
    match (choice, probe_uring(shards)) {
        (ReactorChoice::Epoll, _) => Ok(Chosen::Epoll {
            reason: "as configured".into(),
        }),
        (ReactorChoice::Uring, Ok(())) => Ok(Chosen::Uring {
            reason: "as configured".into(),
        }),
        (ReactorChoice::Uring, Err(reason)) => Err(reason),
        (ReactorChoice::Auto, Ok(())) => Ok(Chosen::Uring {
            reason: "io_uring works here".into(),
        }),
        (ReactorChoice::Auto, Err(reason)) => Ok(Chosen::Epoll { reason }),
    }
}

/// Whether every shard could set up its rings.
fn probe_uring(shards: usize) -> Result<(), String> {
    let (major, minor) = kernel_version();
    if (major, minor) < KERNEL_MIN {
        return Err(format!(
            "Linux {major}.{minor} is older than {}.{}",
            KERNEL_MIN.0, KERNEL_MIN.1
        ));
    }
    try_io_uring().map_err(|error| refused(&error, filtered_by_seccomp()))?;
    let limit = memlock_limit();
    let needed = MEMLOCK_PER_SHARD * shards as u64;
    if limit < needed {
        return Err(format!(
            "the locked-memory limit is {} KiB, {shards} shards need {} KiB (ulimit -l)",
            limit >> 10,
            needed >> 10
        ));
    }
    Ok(())
}

/// Why io_uring could not be set up. Seccomp profiles answer EPERM (Docker's) or, as if the kernel had no such
/// call, ENOSYS (Podman's).
fn refused(error: &io::Error, filtered_by_seccomp: bool) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES) if filtered_by_seccomp => {
            "io_uring is forbidden here by a seccomp profile, as in most containers".to_owned()
        }
        Some(libc::ENOSYS) => "this kernel has no io_uring".to_owned(),
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden here (kernel.io_uring_disabled, or a security module)".to_owned()
        }
        _ => format!("io_uring_setup failed: {error}"),
    }
}

/// Whether system calls of this process pass through a seccomp filter.
fn filtered_by_seccomp() -> bool {
    const FILTER: &str = "2";
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == FILTER)
}

/// Sets up a small ring and gives it back.
///
/// # Errors
/// The kernel's answer where io_uring is missing or forbidden.
pub fn try_io_uring() -> io::Result<()> {
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

fn memlock_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit writes one `rlimit` into a place that holds one.
    match unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } {
        0 => limit.rlim_cur,
        _ => 0,
    }
}

fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|separator: char| !separator.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The cores that this process may run on, in order.
pub(crate) fn usable_cores() -> Vec<usize> {
    // SAFETY: a zeroed `cpu_set_t` is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes at most the given size into `set`.
    let got = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) };
    if got != 0 {
        return Vec::new();
    }
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the index is below CPU_SETSIZE, the bits that the set has.
        .filter(|core| unsafe { libc::CPU_ISSET(*core, &set) })
        .collect()
}

/// Keeps the calling thread on `core`.
pub(super) fn pin_to(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: a zeroed `cpu_set_t` is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `core` is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the kernel reads `set`, whose size is given; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// CPU time that the calling thread has used; none where the kernel does not say.
pub(super) fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: epoll is asked for where io_uring may or may not work.
    /// Guarantee: it is what runs, and "auto" always finds something that runs.
    #[test]
    fn a_choice_is_kept_and_auto_always_chooses() {
        assert!(matches!(
            choose(ReactorChoice::Epoll, 1),
            Ok(Chosen::Epoll { .. })
        ));
        assert!(choose(ReactorChoice::Auto, 1).is_ok());
    }

    /// Scenario: more shards than any locked-memory limit but "unlimited" allows.
    /// Guarantee: the reason names the limit, so that a person knows what to raise.
    #[test]
    fn a_small_memlock_limit_is_named() {
        if memlock_limit() == libc::RLIM_INFINITY || try_io_uring().is_err() {
            return;
        }
        let reason = probe_uring(usize::MAX >> 24).unwrap_err();
        assert!(reason.contains("ulimit -l"), "{reason}");
    }

    /// Scenario: in a Podman container with the default profile io_uring answered ENOSYS, and the log said of a
    /// kernel that has io_uring that it has none.
    /// Guarantee: where a seccomp filter is, it is what is named, whichever way it forbids; elsewhere it is not.
    #[test]
    fn a_seccomp_profile_is_named_whatever_it_answers() {
        for code in [libc::ENOSYS, libc::EPERM] {
            let error = io::Error::from_raw_os_error(code);
            assert!(refused(&error, true).contains("forbidden here by a seccomp profile"));
            assert!(!refused(&error, false).contains("seccomp"));
        }
        let other = io::Error::from_raw_os_error(libc::EMFILE);
        assert!(refused(&other, true).starts_with("io_uring_setup failed"));
    }

    /// Scenario: the process asks for its cores.
    /// Guarantee: there is at least the one it runs on.
    #[test]
    fn there_is_a_core() {
        assert!(!usable_cores().is_empty());
    }
}
