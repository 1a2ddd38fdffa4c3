//! Counts the instructions of each stage under valgrind and compares them with a committed baseline: unlike
//! time, they are the same on a busy machine. It ends with 1 when a stage takes more than it may, and says
//! which.

mod baseline;
mod count;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use spanmill_stages::STAGES;

use baseline::Baseline;

/// Counts instructions of the hot path's stages and compares them with a baseline.
#[derive(Parser)]
struct Options {
    /// The file of instructions for each row (or byte, or insert) that each stage may take.
    #[arg(long)]
    baseline: PathBuf,
    /// Only stages whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
    /// Writes what is counted into the baseline instead of comparing.
    #[arg(long)]
    bless: bool,
    /// Does each stage that holds this once more every tenth time, to see that it is noticed.
    #[arg(long)]
    slow: Option<String>,
    /// Runs one stage so many times, and nothing else: what is counted.
    #[arg(long, hide = true, num_args = 2, value_names = ["STAGE", "TIMES"])]
    run: Option<Vec<String>>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some([stage, times]) = options.run.as_deref() {
        return run(stage, times.parse()?, options.slow.as_deref());
    }
    let mut counted = Baseline::default();
    for (name, _) in STAGES
        .iter()
        .filter(|(name, _)| name.contains(&options.only))
    {
        let instructions = count::of(name, &options)?;
        println!("{instructions:>12.2}  {name}");
        counted.set(name, instructions);
    }
    if options.bless {
        let mut baseline = Baseline::read(&options.baseline).unwrap_or_default();
        baseline.take(counted);
        baseline.write(&options.baseline)?;
        return Ok(ExitCode::SUCCESS);
    }
    let baseline = Baseline::read(&options.baseline)?;
    let differences = baseline.differences(&counted);
    for difference in &differences {
        eprintln!("{difference}");
    }
    Ok(
        match differences.iter().any(|difference| difference.fails()) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        },
    )
}

/// The counted part: the stage is made, and run.
fn run(stage: &str, times: u32, slow: Option<&str>) -> Result<ExitCode> {
    let stages = STAGES.iter().find(|(name, _)| *name == stage);
    let (_, make) = stages.with_context(|| format!("there is no stage {stage}"))?;
    let mut case = make();
    let slow = slow.is_some_and(|slow| stage.contains(slow));
    for time in 1..=times {
        (case.run)();
        if slow && time % 10 == 0 {
            (case.run)();
        }
    }
    if case.units == 0 {
        bail!("{stage} does nothing");
    }
    println!("{}", case.units);
    Ok(ExitCode::SUCCESS)
}
