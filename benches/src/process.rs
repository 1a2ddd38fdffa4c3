//! What a process has used so far, as the kernel counts it.

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result};

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
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold spaces; counting starts behind it.
        let (_, fields) = stat.rsplit_once(") ").context("no such format of /proc")?;
        let mut fields = fields.split(' ').skip(11);
        let mut ticks = || -> Result<f64> {
            let field = fields.next().context("too few fields in /proc")?;
            Ok(field.parse::<f64>()? / TICKS_A_SECOND)
        };
        Ok(Cpu {
            user: ticks()?,
            system: ticks()?,
        })
    }

    /// Of both.
    #[must_use]
    pub fn total(self) -> f64 {
        self.user + self.system
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
