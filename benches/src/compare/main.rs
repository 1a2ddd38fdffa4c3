//! Measures any receiver of OTLP beside Spanmill: the same load goes to one and then to the other, round after
//! round, and what each used and how it answered is printed side by side. The other is a command line or a
//! process that runs already; nothing here knows whose it is.

mod measure;
mod options;
mod places;
mod receiver;
mod report;
mod sink;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use spanmill_benches::process::pin;
use spanmill_loadgen::Stop;

use measure::{Run, measure};
use options::Options;
use receiver::{Receiver, Side};
use report::Comparison;
use sink::Sink;

/// Ends whatever runs, so that no process is left behind.
#[derive(Debug, Clone, Default)]
struct Interrupt {
    load: Stop,
    came: Arc<AtomicBool>,
}

impl Interrupt {
    /// Comes with SIGINT and SIGTERM.
    fn by_signals() -> Result<Self> {
        let interrupt = Interrupt::default();
        let (signalled, mut signals) = (interrupt.clone(), Signals::new([SIGINT, SIGTERM])?);
        std::thread::spawn(move || {
            for _ in signals.forever() {
                signalled.came.store(true, Ordering::Relaxed);
                signalled.load.stop();
            }
        });
        Ok(interrupt)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.came.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }
}

/// Where everything runs.
#[derive(Debug, Clone)]
struct Cpus {
    receiver: Vec<usize>,
    load: Vec<usize>,
}

fn main() -> ExitCode {
    let options = options::parse();
    let compared = Interrupt::by_signals().and_then(|interrupt| compare(&options, &interrupt));
    match compared {
        Ok(comparison) => {
            println!("{}", comparison.printed(options.json));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options, interrupt: &Interrupt) -> Result<Comparison> {
    let cpus = match options.not_pinned {
        true => None,
        false => Some(cpus(options.cpu)?),
    };
    let sink = Sink::start(options)?;
    compare_over(options, cpus.as_ref(), &sink, interrupt)
}

/// Ours, theirs, theirs, ours, ours, ..., each started anew; one that runs already is only loaded anew.
fn compare_over(
    options: &Options,
    cpus: Option<&Cpus>,
    sink: &Sink,
    interrupt: &Interrupt,
) -> Result<Comparison> {
    if let Some(cpus) = cpus {
        // The sink and whatever sends are this process, or its children from now on.
        pin(std::process::id(), &cpus.load)?;
        sink.pin(&cpus.load)?;
    }
    let mut runs: [Vec<Run>; 2] = Default::default();
    for round in 1..=options.rounds {
        let mut sides = [Side::Ours, Side::Theirs];
        // So that neither always comes second, to a machine that the other has warmed or worn.
        if round % 2 == 0 {
            sides.reverse();
        }
        for side in sides {
            let name = side.name();
            let receiver = Receiver::start(side, options, sink, cpus, interrupt)
                .with_context(|| format!("{name} cannot be measured"))?;
            let run = measure(&receiver, sink, options, interrupt).map_err(|error| {
                let said = receiver.last_words();
                error.context(format!("{name}, round {round}{said}"))
            })?;
            if std::io::stderr().is_terminal() {
                eprintln!(
                    "round {round} of {}, {name}: {}",
                    options.rounds,
                    run.in_words()
                );
            }
            runs[side as usize].push(run);
        }
    }
    Ok(Comparison::new(options, cpus, runs))
}

/// The receiver's CPU, and all others that this process may use.
fn cpus(receiver: usize) -> Result<Cpus> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let usable = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
    let (own, load): (Vec<_>, Vec<_>) = usable.partition(|&cpu| cpu == receiver);
    if own.is_empty() || load.is_empty() {
        bail!(
            "CPU {receiver} and one more are needed, and this process may not use them; choose another with \
             --cpu, or give --not-pinned"
        );
    }
    Ok(Cpus {
        receiver: own,
        load,
    })
}
