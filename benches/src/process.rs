//! What a process has used so far, as the kernel counts it.

use std::fs;
use std::ops::{Add, Sub};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Ticks a second of the times in `/proc`, the same on every Linux that Rust's standard library runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU time in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// In the program.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

impl Cpu {
    /// What the process has used since it began.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        Ok(Stat::of(pid)?.own)
    }

    /// Of both.
    #[must_use]
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

impl Add for Cpu {
    type Output = Cpu;

    fn add(self, other: Cpu) -> Cpu {
        Cpu {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, earlier: Cpu) -> Cpu {
        Cpu {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

/// The most memory that a process has held, in MiB.
///
/// # Errors
/// When there is no such process.
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no VmHWM in /proc")?.parse::<u64>()? >> 10)
}

/// Keeps all threads that a process has now on these CPUs; those that they start stay there, too.
///
/// # Errors
/// When there is no such process, or none of the CPUs is allowed.
pub fn pin(pid: u32, cpus: &[usize]) -> Result<()> {
    let set = cpu_set(cpus)?;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name();
        let thread: i32 = thread.to_string_lossy().parse()?;
        sched_setaffinity(Pid::from_raw(thread), &set)?;
    }
    Ok(())
}

/// These CPUs, as the kernel takes them.
///
/// # Errors
/// When one is beyond those that it can be told of.
pub fn cpu_set(cpus: &[usize]) -> Result<CpuSet> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    Ok(set)
}

/// What `/proc/PID/stat` says.
pub(crate) struct Stat {
    /// `Z` for one that has ended and was not waited for.
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) own: Cpu,
    /// Of children that have ended and were waited for, with theirs.
    pub(crate) ended_children: Cpu,
}

impl Stat {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold spaces; counting starts behind it.
        let (_, fields) = stat.rsplit_once(") ").context("no such format of /proc")?;
        let mut fields = fields.split(' ');
        let mut field = |skipped| fields.nth(skipped).context("too few fields in /proc");
        let state = field(0)?.chars().next().context("no state in /proc")?;
        let parent = field(0)?.parse()?;
        let mut seconds = |skipped| anyhow::Ok(field(skipped)?.parse::<f64>()? / TICKS_A_SECOND);
        Ok(Stat {
            state,
            parent,
            own: Cpu {
                user: seconds(9)?,
                system: seconds(0)?,
            },
            ended_children: Cpu {
                user: seconds(0)?,
                system: seconds(0)?,
            },
        })
    }
}
