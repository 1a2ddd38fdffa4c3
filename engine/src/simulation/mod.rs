//! Histories: whole engines, clients and a ClickHouse in a simulated world, with faults of all kinds mixed,
//! each from one seed. At the end of each everything is healed, and then every acknowledged row must be
//! stored exactly once, every other at most once, no request in part, and nothing without what it refers to.
//!
//! `SPANMILL_SIM_SEED=n` runs one history twice and says what happened in it; `SPANMILL_SIM_COUNT=n` runs that
//! many from `SPANMILL_SIM_FIRST` (or 0) on.

mod check;
mod clickhouse;
mod client;
mod early_stop;
mod engine;
mod history;
mod ledger;
mod plan;
mod requests;
mod trouble;

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::reactor::sim;
use history::{Report, run};

/// Histories that `cargo test` runs.
const COUNT: u64 = 200;
/// Faults of a history that are shown.
const SHOWN: usize = 5;

/// Bytes that go into the trace as fast as they are read.
struct BytesHash<'a>(&'a [Vec<u8>]);

impl Hash for BytesHash<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for bytes in self.0 {
            state.write_u128(cityhash_102_rs::city_hash_128(bytes));
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("the variable holds a number"))
}

/// Runs a history; `Err` says what is wrong with it.
fn judge(seed: u64) -> Result<(Report, u64), String> {
    let ran = catch_unwind(AssertUnwindSafe(|| run(seed)));
    let (report, trace) = ran.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic").to_owned()
    })?;
    if report.faults.is_empty() {
        return Ok((report, trace));
    }
    let shown = &report.faults[..report.faults.len().min(SHOWN)];
    let count = report.faults.len();
    Err(format!(
        "{count} faults, among them:\n{}\n{report}",
        shown.join("\n")
    ))
}

/// Scenario: histories from many seeds, each with settings, clients and faults of its own.
/// Guarantee: every acknowledged row is stored exactly once, and the rest of the module's promise; a seed
/// that breaks it is named with the command that repeats it.
#[test]
fn every_history_ends_well() {
    if let Some(seed) = variable("SPANMILL_SIM_SEED") {
        return replay(seed);
    }
    let first = variable("SPANMILL_SIM_FIRST").unwrap_or(0);
    let end = first + variable("SPANMILL_SIM_COUNT").unwrap_or(COUNT);
    let next = AtomicU64::new(first);
    let started = Instant::now();
    let worker = || {
        let (mut sum, mut bad) = (Report::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || bad.len() == 3 {
                return (sum, bad);
            }
            match judge(seed) {
                Ok((report, _)) => sum.add(&report),
                Err(fault) => bad.push((seed, fault)),
            }
        }
    };
    let threads = variable("SPANMILL_SIM_THREADS").unwrap_or(2);
    let (sum, bad) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let mut all = (Report::default(), Vec::new());
        for worker in workers {
            let (sum, bad) = worker.join().unwrap();
            all.0.add(&sum);
            all.1.extend(bad);
        }
        all
    });
    println!("{sum}{} histories in {:?}", end - first, started.elapsed());
    for (seed, fault) in &bad {
        println!(
            "history {seed}: {fault}\nrepeat it with SPANMILL_SIM_SEED={seed} cargo test -p spanmill-engine --lib every_history -- --nocapture\n"
        );
    }
    assert!(bad.is_empty(), "{} histories ended badly", bad.len());
    sum.assert_all_happened();
}

/// Virtual time in front of each line of what an engine says.
struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:>12.6}", sim::time().as_secs_f64())
    }
}

/// Runs a history twice and shows it.
fn replay(seed: u64) {
    let said = |default| std::env::var("RUST_LOG").unwrap_or(default);
    let filter = EnvFilter::new(said("spanmill_engine=debug".into()));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    lines.with_timer(VirtualTime).with_ansi(false).init();
    let (first, again) = (judge(seed), judge(seed));
    assert_eq!(
        first.clone().map(|f| f.1),
        again.map(|a| a.1),
        "the second run differed"
    );
    match first {
        Ok((report, trace)) => println!("{report}history {seed} ended well; trace {trace:016x}"),
        Err(fault) => panic!("history {seed}: {fault}"),
    }
}

/// Scenario: a few histories are run twice.
/// Guarantee: every decision and every stored byte is the same; another seed's are others.
#[test]
fn a_seed_replays_the_same_way() {
    let traces: Vec<_> = (0..12).map(|seed| judge(seed).map(|ran| ran.1)).collect();
    for (seed, trace) in (0..).zip(&traces) {
        assert_eq!(*trace, judge(seed).map(|ran| ran.1), "seed {seed}");
    }
    let distinct: std::collections::BTreeSet<_> = traces.iter().flatten().collect();
    assert_eq!(distinct.len(), traces.len());
}
