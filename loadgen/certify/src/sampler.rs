//! Looks at the engine, ClickHouse and this process once a second: their counters go in, series of what they did
//! come out. A look that fails leaves a gap and nothing else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spanmill_loadgen::Thinned;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::clickhouse::{ClickHouse, ServerState};
use crate::engine::{Admin, EngineState};
use crate::local::Local;
use crate::sample::{POINTS_MAX, Sample};

const EVERY: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) admin: Admin,
    pub(crate) clickhouse: ClickHouse,
    /// Whether ClickHouse tells its resident memory.
    pub(crate) resident: bool,
    /// Its process, when it runs here.
    pub(crate) local: Option<Local>,
}

/// One look at everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    pub(crate) engine: Option<EngineState>,
    pub(crate) clickhouse: Option<ServerState>,
    pub(crate) own_cpu_seconds: f64,
}

impl Watched {
    pub(crate) async fn look(&self) -> Look {
        let (engine, clickhouse) =
            tokio::join!(self.admin.state(), self.clickhouse.state(self.resident));
        let clickhouse = clickhouse
            .ok()
            .map(|state| match self.local.and_then(Local::used) {
                Some((cpu_seconds, memory_bytes)) => ServerState {
                    cpu_seconds,
                    memory_bytes,
                    ..state
                },
                None => state,
            });
        Look {
            engine: engine.ok(),
            clickhouse,
            own_cpu_seconds: own_cpu_seconds(),
        }
    }
}

/// What was seen so far.
#[derive(Debug)]
struct Seen {
    whole: Thinned<Sample>,
    phase: Thinned<Sample>,
    rss_max: Option<f64>,
    clickhouse_memory_max: Option<f64>,
    engine_restarts: u32,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(crate) struct Sampler {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What a whole run has seen.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) samples: Vec<Sample>,
    pub(crate) rss_max: Option<f64>,
    pub(crate) clickhouse_memory_max: Option<f64>,
    pub(crate) engine_restarts: u32,
}

impl Sampler {
    pub(crate) fn start(on: &Handle, watched: Watched, start: Instant) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            whole: Thinned::new(POINTS_MAX),
            phase: Thinned::new(POINTS_MAX),
            rss_max: None,
            clickhouse_memory_max: None,
            engine_restarts: 0,
        }));
        let task = on.spawn(keep_looking(watched, start, Arc::clone(&seen)));
        Sampler { seen, task }
    }

    /// Forgets the samples of the phase before.
    pub(crate) fn begin_phase(&self) {
        locked(&self.seen).phase = Thinned::new(POINTS_MAX);
    }

    /// Those since then.
    pub(crate) fn phase(&self) -> Vec<Sample> {
        locked(&self.seen).phase.points().to_vec()
    }

    pub(crate) fn summary(&self) -> Summary {
        let seen = locked(&self.seen);
        Summary {
            samples: seen.whole.points().to_vec(),
            rss_max: seen.rss_max,
            clickhouse_memory_max: seen.clickhouse_memory_max,
            engine_restarts: seen.engine_restarts,
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep_looking(watched: Watched, start: Instant, seen: Arc<Mutex<Seen>>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = (Instant::now(), watched.look().await);
    loop {
        ticks.tick().await;
        let look = watched.look().await;
        let now = Instant::now();
        let seconds = now.duration_since(before.0).as_secs_f64();
        let sample = sample(
            &before.1,
            &look,
            now.duration_since(start).as_secs_f64(),
            seconds,
        );
        let mut seen = locked(&seen);
        seen.rss_max = highest(seen.rss_max, sample.engine_rss_bytes);
        seen.clickhouse_memory_max =
            highest(seen.clickhouse_memory_max, sample.clickhouse_memory_bytes);
        seen.engine_restarts += u32::from(restarted(&before.1, &look));
        seen.phase.push(sample.clone());
        seen.whole.push(sample);
        drop(seen);
        before = (now, look);
    }
}

/// Whether the engine is another process than before.
pub(crate) fn restarted(before: &Look, now: &Look) -> bool {
    let started = |look: &Look| look.engine.as_ref().and_then(|engine| engine.started);
    matches!((started(before), started(now)), (Some(before), Some(now)) if before < now)
}

fn sample(before: &Look, now: &Look, at: f64, seconds: f64) -> Sample {
    // A counter that fell belongs to another process.
    let rate = |before: Option<f64>, now: Option<f64>| {
        let rate = (now? - before?) / seconds;
        (rate >= 0.0).then_some(rate)
    };
    let of_engine = |of: fn(&EngineState) -> Option<f64>| {
        (
            before.engine.as_ref().and_then(of),
            now.engine.as_ref().and_then(of),
        )
    };
    let (cpu_before, cpu) = of_engine(|engine| engine.cpu_seconds);
    let (inserted_before, inserted) = of_engine(|engine| Some(engine.inserted_rows));
    let clickhouse = now.clickhouse.as_ref();
    Sample {
        at,
        seconds,
        engine_cpus: rate(cpu_before, cpu),
        clickhouse_cpus: rate(
            before.clickhouse.as_ref().map(|state| state.cpu_seconds),
            clickhouse.map(|state| state.cpu_seconds),
        ),
        loadgen_cpus: rate(Some(before.own_cpu_seconds), Some(now.own_cpu_seconds)),
        inserted_per_second: rate(inserted_before, inserted),
        engine_rss_bytes: now.engine.as_ref().and_then(|engine| engine.rss_bytes),
        clickhouse_memory_bytes: clickhouse.map(|state| state.memory_bytes),
        backlog_rows: now
            .engine
            .as_ref()
            .map(|engine| engine.backlog_rows.max(0.0)),
        log_bytes: now.engine.as_ref().map(|engine| engine.log_bytes),
        parts: clickhouse.map(|state| state.parts),
        parts_of_partition: clickhouse.map(|state| state.parts_of_partition),
        merges: clickhouse.map(|state| state.merges),
    }
}

fn highest(before: Option<f64>, now: Option<f64>) -> Option<f64> {
    match (before, now) {
        (Some(before), Some(now)) => Some(before.max(now)),
        _ => before.or(now),
    }
}

fn own_cpu_seconds() -> f64 {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(0.0, |time| Duration::from(time).as_secs_f64())
}
