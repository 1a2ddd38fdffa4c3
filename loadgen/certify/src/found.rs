//! What a run has gathered, before it is judged, and small questions that it asks on the way.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spanmill_loadgen::{Rate, Thinned};
use tokio::runtime::Runtime;

use crate::asking::QueryReport;
use crate::clickhouse::{ClickHouse, TableSize};
use crate::engine::{Admin, EngineState};
use crate::error::Error;
use crate::facts::Facts;
use crate::options::Options;
use crate::phase::{Kind, Phase};
use crate::report::CurvePoint;
use crate::sample::LoadPoint;
use crate::sampler::Sampler;
use crate::words::count;

/// Looks at what waits while nothing of this run does, and the time between them.
const IDLE_LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(200);

/// What a run has gathered, before it is judged.
pub(crate) struct Found {
    pub(crate) run: String,
    pub(crate) started: SystemTime,
    pub(crate) facts: Facts,
    pub(crate) sizes_before: Vec<TableSize>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) load: Thinned<LoadPoint>,
    pub(crate) ack_curve: Vec<CurvePoint>,
    pub(crate) queries: Option<(QueryReport, Vec<QueryReport>)>,
    /// Spans a second, when it was searched for.
    pub(crate) highest: Option<f64>,
    pub(crate) notes: Vec<String>,
}

/// The same with what is still needed to judge it.
pub(crate) struct Ended<'a> {
    pub(crate) options: &'a Options,
    pub(crate) runtime: &'a Runtime,
    pub(crate) clickhouse: &'a ClickHouse,
    pub(crate) sampler: &'a Sampler,
    pub(crate) start: Instant,
    pub(crate) catch_up: Duration,
    pub(crate) interrupted: bool,
    pub(crate) found: Found,
}

/// The most that waits while nothing of this run does: others may send all the time.
pub(crate) async fn idle(admin: &Admin) -> Result<EngineState, Error> {
    let mut idle = admin.state().await?;
    for _ in 1..IDLE_LOOKS {
        tokio::time::sleep(LOOK).await;
        let state = admin.state().await?;
        idle = EngineState {
            backlog_rows: state.backlog_rows.max(idle.backlog_rows),
            log_bytes: state.log_bytes.max(idle.log_bytes),
            ..state
        };
    }
    Ok(idle)
}

pub(crate) fn name(kind: Kind, rate: Rate) -> String {
    let rate = match rate {
        Rate::Items(rate) => format!("{} spans/s", count(rate)),
        Rate::Max => "as fast as answers come".to_owned(),
    };
    let what = match kind {
        Kind::WarmUp => "warm-up",
        Kind::Hold => "target rate",
        Kind::Cpu => "engine CPU",
        Kind::Probe => "search, upper bound",
        Kind::Step => "search",
    };
    format!("{what}: {rate}")
}

pub(crate) fn unix_seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
