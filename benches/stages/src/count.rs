//! Runs this program under valgrind twice, with few and with more rounds of a stage, and gives back what the
//! rounds between took: making the input, and whatever else happens once, is in both.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Options;

const FEW: u32 = 10;
const MORE: u32 = 30;

/// Instructions for each of the stage's units.
pub(crate) fn of(stage: &str, options: &Options) -> Result<f64> {
    let (few, units) = count(stage, FEW, options)?;
    let (more, _) = count(stage, MORE, options)?;
    ensure!(more > few, "{stage} takes no instructions");
    Ok((more - few) as f64 / f64::from(MORE - FEW) / units as f64)
}

/// All instructions of a process that runs the stage so many times, and its units.
fn count(stage: &str, times: u32, options: &Options) -> Result<(u64, u64)> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(env::current_exe()?)
        .arg("--baseline")
        .arg(&options.baseline)
        .args(["--run", stage, &times.to_string()]);
    if let Some(slow) = &options.slow {
        valgrind.args(["--slow", slow]);
    }
    let output = valgrind
        .output()
        .context("valgrind cannot be run; install it (Debian: apt-get install valgrind)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{stage} under valgrind: {said}");
    let units = String::from_utf8_lossy(&output.stdout);
    let units = units.trim().parse().context("the stage's units")?;
    let count = instructions(&said).with_context(|| format!("valgrind counted nothing: {said}"))?;
    Ok((count, units))
}

/// The number in a line such as `==123== I refs:  1,234,567`; older versions have more spaces.
fn instructions(said: &str) -> Option<u64> {
    said.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let &[_, "I", "refs:", number] = words.as_slice() else {
            return None;
        };
        number.replace(',', "").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: valgrind's summary, and another text. Guarantee: the number of instructions is found, or
    /// nothing.
    #[test]
    fn the_count_is_read() {
        let said = "==7== Cachegrind\n==7== \n==7== I refs:        1,234,567\n";
        assert_eq!(instructions(said), Some(1_234_567));
        assert_eq!(instructions("==7== I   refs:      5,678"), Some(5_678));
        assert_eq!(instructions("==7== error calling PR_SET_PTRACER"), None);
    }
}
