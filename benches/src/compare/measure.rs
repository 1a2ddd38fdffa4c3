//! One run of one side: it is warmed up, comes to rest, is loaded, and comes to rest again.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use spanmill_benches::family;
use spanmill_benches::process::Cpu;
use spanmill_benches::received::Received;
use spanmill_loadgen::{Counts, Failures, Options as Load, run};

use crate::Interrupt;
use crate::options::Options;
use crate::receiver::Receiver;
use crate::sink::Sink;

/// How long a receiver may take to come to rest, and how long between two looks, each of which costs CPU time.
const REST_PATIENCE: Duration = Duration::from_secs(120);
const REST_PAUSE: Duration = Duration::from_millis(100);
/// The part of a CPU that is still rest, and what the clock's ticks add to it in seconds.
const REST_CPU_PART: f64 = 0.05;
const REST_CPU_SECONDS: f64 = 0.02;

/// What one run found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Items that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Items that were not: refused, without an answer, left out, or not sent in time.
    pub(crate) failed: u64,
    /// Tries that failed, by status.
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) cpu_seconds_per_million: f64,
    /// Of that, in the kernel.
    pub(crate) system_seconds_per_million: f64,
    /// The part of its CPU that it used while it was loaded.
    pub(crate) busy: f64,
    pub(crate) acknowledged_per_second: f64,
    pub(crate) ack_p50_ms: f64,
    pub(crate) ack_p99_ms: f64,
    pub(crate) peak_mib: u64,
    /// False when the peak is that of the process's whole life.
    pub(crate) peak_is_of_the_run: bool,
    /// INSERTs that came to the sink, and their bytes for each acknowledged item.
    pub(crate) inserts: Option<u64>,
    pub(crate) inserted_bytes_per_item: Option<f64>,
    /// False when it was still at work when patience ended: what it uses later is missing.
    pub(crate) came_to_rest: bool,
}

impl Run {
    pub(crate) fn in_words(&self) -> String {
        format!(
            "{:.3} CPU s per million, {:.0} a second, {} MiB",
            self.cpu_seconds_per_million, self.acknowledged_per_second, self.peak_mib
        )
    }
}

pub(crate) fn measure(
    receiver: &Receiver,
    sink: &Sink,
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Run> {
    let load = Load {
        endpoint: Some(receiver.endpoint.to_string()),
        ..options.load.clone()
    };
    // One that is started for this run has its first touch of memory among what it holds.
    let peak_is_of_the_run =
        options.other_pid != Some(receiver.pid) || family::reset_peak(receiver.pid);
    if !options.warm_up.is_zero() {
        let warm_up = Load {
            duration: options.warm_up,
            ramp: load.ramp.min(options.warm_up),
            ..load.clone()
        };
        run(&warm_up, &interrupt.load, |_| {})?;
    }
    rest(receiver, sink, options.quiet, interrupt)?;

    let before = (family::cpu(receiver.pid)?, sink.received());
    let report = run(&load, &interrupt.load, |_| {})?;
    let loaded = family::cpu(receiver.pid)? - before.0;
    let came_to_rest = rest(receiver, sink, options.quiet, interrupt)?;
    let used = family::cpu(receiver.pid)? - before.0;
    let received = sink.received().zip(before.1);
    let received = received.map(|(after, before)| after - before);

    let Counts {
        acknowledged,
        rejected,
        failed,
        unknown,
        not_sent,
        ..
    } = report.total;
    anyhow::ensure!(
        acknowledged > 0,
        "nothing was acknowledged: {:?}",
        report.failures
    );
    let items = acknowledged as f64;
    let tries = |(status, failures): (String, Failures)| (status, failures.tries);
    Ok(Run {
        acknowledged,
        failed: rejected + failed + unknown + not_sent,
        failures: report.failures.into_iter().map(tries).collect(),
        cpu_seconds_per_million: used.total() / items * 1e6,
        system_seconds_per_million: used.system / items * 1e6,
        busy: loaded.total() / report.answered_seconds.max(report.sending_seconds),
        acknowledged_per_second: report.acknowledged_per_second,
        ack_p50_ms: report.latency_ms.p50,
        ack_p99_ms: report.latency_ms.p99,
        peak_mib: family::peak(receiver.pid)?,
        peak_is_of_the_run,
        inserts: received.map(|received| received.inserts),
        inserted_bytes_per_item: received.map(|received| received.bytes as f64 / items),
        came_to_rest,
    })
}

/// Waits until the receiver has done next to nothing, and the sink got nothing, for so long. Nothing tells when
/// that is, so it is looked at. False when it never was.
fn rest(receiver: &Receiver, sink: &Sink, quiet: Duration, interrupt: &Interrupt) -> Result<bool> {
    let look = || anyhow::Ok((Instant::now(), family::cpu(receiver.pid)?, sink.received()));
    let begun = Instant::now();
    let mut since: (Instant, Cpu, Option<Received>) = look()?;
    while since.0.elapsed() < quiet {
        thread::sleep(REST_PAUSE);
        interrupt.check()?;
        let now = look()?;
        let allowed =
            REST_CPU_SECONDS + REST_CPU_PART * now.0.duration_since(since.0).as_secs_f64();
        if now.2 != since.2 || (now.1 - since.1).total() > allowed {
            if begun.elapsed() > REST_PATIENCE {
                return Ok(false);
            }
            since = now;
        }
    }
    Ok(true)
}
