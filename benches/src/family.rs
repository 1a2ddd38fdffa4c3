//! A process with all that descend from it: what they have used together. Descendants whose parents ended before
//! them belong to somebody else by then, and are not found.

use std::fs;

use anyhow::{Result, ensure};

use crate::process::{Cpu, Stat, peak_memory};

/// The process and its living descendants, itself first.
///
/// # Errors
/// When it does not run, or has ended and was not waited for.
pub fn members(root: u32) -> Result<Vec<u32>> {
    let state = Stat::of(root).map(|stat| stat.state);
    ensure!(
        state.is_ok_and(|state| state != 'Z'),
        "process {root} has ended"
    );
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ends meanwhile is its parent's from then on.
        if let Ok(stat) = Stat::of(pid) {
            parents.push((pid, stat.parent));
        }
    }
    let mut members = vec![root];
    let mut looked_at = 0;
    while looked_at < members.len() {
        let parent = members[looked_at];
        let children = parents.iter().filter(|(_, of)| *of == parent);
        members.extend(children.map(|(pid, _)| *pid));
        looked_at += 1;
    }
    Ok(members)
}

/// What they have used since they began, with those that have ended.
///
/// # Errors
/// When the process does not run.
pub fn cpu(root: u32) -> Result<Cpu> {
    let stats = members(root)?.into_iter().map(Stat::of);
    let used = stats.flatten().map(|stat| stat.own + stat.ended_children);
    let none = Cpu {
        user: 0.0,
        system: 0.0,
    };
    Ok(used.fold(none, |sum, used| sum + used))
}

/// The most memory that each has held, added up, in MiB.
///
/// # Errors
/// When the process does not run.
pub fn peak(root: u32) -> Result<u64> {
    let members = members(root)?.into_iter();
    Ok(members.filter_map(|pid| peak_memory(pid).ok()).sum())
}

/// Lets the peak begin anew. False where the kernel does not let us: then it is that of the whole life.
#[must_use]
pub fn reset_peak(root: u32) -> bool {
    const PEAK: &str = "5";
    let members = members(root).unwrap_or_default();
    let reset = |pid| fs::write(format!("/proc/{pid}/clear_refs"), PEAK).is_ok();
    members.into_iter().all(reset)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    /// Scenario: a shell has let a child work that has ended, and then waits for another. Guarantee: the family is
    /// the shell and the living child, and has used what the one that ended has.
    #[test]
    fn a_family_is_counted_with_its_dead() {
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let script = format!("sh -c '{work}'; tail -f /dev/null & echo $!; wait");
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let found = members(shell.id()).unwrap();
        assert_eq!(found, [shell.id(), line.trim().parse::<u32>().unwrap()]);
        let own = Stat::of(shell.id()).unwrap().own.total();
        assert!(cpu(shell.id()).unwrap().total() >= own + 0.02);
        for pid in found.into_iter().rev() {
            let pid = nix::unistd::Pid::from_raw(pid as i32);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        shell.wait().unwrap();
        assert!(members(shell.id()).is_err());
    }
}
