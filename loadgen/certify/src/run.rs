//! A certification from its options to its report: what is there is looked at, load is put on it in stretches, and
//! what became of it is counted and judged. It changes nothing but to add marked spans.

use std::time::{Duration, Instant, SystemTime};

use spanmill_loadgen::{Rate, Snapshot, Stop, Thinned};
use tokio::runtime::Runtime;

use crate::asking::{Asked, Asking};
use crate::clickhouse::ClickHouse;
use crate::curve::curve;
use crate::engine::{Admin, EngineState};
use crate::error::Error;
use crate::facts::{self, Facts, Source};
use crate::finish::finish;
use crate::found::{Ended, Found, idle, name, unix_seconds};
use crate::local::Local;
use crate::options::{Options, Times};
use crate::phase::{Kind, Made, Phase};
use crate::query_server::QueryServer;
use crate::report::Report;
use crate::sample::{LoadPoint, POINTS_MAX};
use crate::sampler::{Sampler, Watched};
use crate::search::Search;

/// How often ClickHouse's catching up is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What may wait for ClickHouse beyond what waited before the run.
const CAUGHT_UP: (f64, f64) = (1_000.0, 1e6);

/// How it goes.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Something else begins, in words.
    Begins(String),
    /// One more second of load.
    Second(&'a Snapshot),
}

/// Certifies what `options` name until all is measured or `stop` ends it early; a run that was ended early reports
/// what it has.
///
/// # Errors
/// When nothing can be measured: nobody answers, or the options do not go together.
pub fn certify(
    options: &Options,
    stop: &Stop,
    progress: impl FnMut(Progress<'_>),
) -> Result<Report, Error> {
    options.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("certify")
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    let mut run = Run::begin(options, stop, runtime, progress)?;
    if let Err(error) = run.measure() {
        if run.found.phases.is_empty() {
            return Err(error);
        }
        // What was measured until then is worth its report.
        run.found
            .notes
            .push(format!("The run was cut short: {error}."));
        stop.stop();
    }
    (run.progress)(Progress::Begins("counting what is stored".into()));
    Ok(finish(&Ended {
        options,
        runtime: &run.runtime,
        clickhouse: &run.watched.clickhouse,
        sampler: &run.sampler,
        start: run.start,
        catch_up: run.times.catch_up,
        interrupted: stop.is_stopped(),
        found: run.found,
    }))
}

/// Where it stands.
struct Run<'a, P> {
    options: &'a Options,
    times: Times,
    stop: &'a Stop,
    progress: P,
    runtime: Runtime,
    watched: Watched,
    query_server: Option<QueryServer>,
    sampler: Sampler,
    /// While nothing of this run waited.
    idle: EngineState,
    start: Instant,
    found: Found,
}

impl<'a, P: FnMut(Progress<'_>)> Run<'a, P> {
    fn begin(
        options: &'a Options,
        stop: &'a Stop,
        runtime: Runtime,
        mut progress: P,
    ) -> Result<Self, Error> {
        progress(Progress::Begins("looking at what is there".into()));
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.map_err(|error| Error::Thread(std::io::Error::other(error)))?;
        let query_server = QueryServer::new(client.clone(), &options.query);
        let admin = Admin::new(client.clone(), &options.admin);
        let clickhouse = ClickHouse::new(client, options);
        let local = Local::find(&options.clickhouse);
        let (idle, server, sizes_before) = runtime.block_on(async {
            admin.ready().await?;
            let server = facts::server(&clickhouse, local).await?;
            Ok::<_, Error>((idle(&admin).await?, server, clickhouse.sizes().await?))
        })?;
        let watched = Watched {
            admin,
            clickhouse,
            resident: server.measured == Source::Itself,
            local,
        };
        let is_there = runtime.block_on(query_server.is_ready());
        let mut notes = Vec::new();
        if !is_there {
            notes.push(format!(
                "No query server answers at {}: ClickHouse was asked by SQL instead.",
                options.query
            ));
        }
        let (start, started) = (Instant::now(), SystemTime::now());
        let sampler = Sampler::start(runtime.handle(), watched.clone(), start);
        let found = Found {
            run: format!("{:016x}", fastrand::u64(..)),
            started,
            facts: Facts {
                host: facts::host(),
                engine: idle.clone(),
                clickhouse: server,
            },
            sizes_before,
            phases: Vec::new(),
            load: Thinned::new(POINTS_MAX),
            ack_curve: Vec::new(),
            queries: None,
            highest: None,
            notes,
        };
        Ok(Run {
            options,
            times: options.times(),
            stop,
            progress,
            runtime,
            watched,
            query_server: is_there.then_some(query_server),
            sampler,
            idle,
            start,
            found,
        })
    }

    fn measure(&mut self) -> Result<(), Error> {
        let Times {
            warm_up, hold, cpu, ..
        } = self.times;
        let targets = &self.options.targets;
        let (rate, cpu_rate) = (targets.rate, targets.cpu_rate);
        self.load(Kind::WarmUp, Rate::Items(rate.min(cpu_rate)), warm_up)?;
        let asked = Asked {
            clickhouse: self.watched.clickhouse.clone(),
            query_server: self.query_server.clone(),
        };
        let asking = Asking::start(self.runtime.handle(), asked, self.options.query_rate);
        self.load(Kind::Hold, Rate::Items(rate), hold)?;
        self.found.queries = Some(asking.finish());
        self.load(Kind::Cpu, Rate::Items(cpu_rate), cpu)?;
        if !self.options.no_search {
            self.search()?;
        }
        Ok(())
    }

    /// An upper bound by a closed loop, then steps between what is known to work and what is known not to.
    fn search(&mut self) -> Result<(), Error> {
        let Times {
            probe, step, steps, ..
        } = self.times;
        let known = |sustained: bool, phases: &[Phase]| {
            let phases = phases
                .iter()
                .filter(|phase| phase.kind.is_judged() && phase.is_sustained() == sustained);
            phases
                .filter_map(|phase| phase.asked_rate)
                .collect::<Vec<_>>()
        };
        let sustained = known(true, &self.found.phases)
            .into_iter()
            .fold(0.0, f64::max);
        let failed = known(false, &self.found.phases)
            .into_iter()
            .reduce(f64::min);
        let Some(probe) = self.load(Kind::Probe, Rate::Max, probe)? else {
            return Ok(());
        };
        let closed_loop = probe.acknowledged_per_second;
        // What ClickHouse took meanwhile is nearer to the answer than the middle, mostly.
        let guess = probe.inserted_per_second.filter(|_| failed.is_none());
        let mut search = Search::new(sustained, failed, closed_loop, guess, steps);
        while let Some(rate) = search.next() {
            let Some(step) = self.load(Kind::Step, Rate::Items(rate), step)? else {
                break;
            };
            let is_sustained = step.is_sustained();
            search.record(rate, is_sustained);
        }
        self.found.highest = search.highest();
        Ok(())
    }

    /// One stretch of load, until ClickHouse has caught up; `None` when the run was ended before.
    fn load(
        &mut self,
        kind: Kind,
        rate: Rate,
        duration: Duration,
    ) -> Result<Option<&Phase>, Error> {
        if self.stop.is_stopped() {
            return Ok(None);
        }
        let name = name(kind, rate);
        (self.progress)(Progress::Begins(name.clone()));
        let mark = format!("{}/{}", self.found.run, self.found.phases.len());
        let options = self.options.load(rate, duration, mark.clone());
        let before = self.runtime.block_on(self.watched.look());
        self.sampler.begin_phase();
        let progress = &mut self.progress;
        let report = spanmill_loadgen::run(&options, self.stop, |snapshot| {
            progress(Progress::Second(snapshot))
        })
        .map_err(Error::NoLoad)?;
        let caught_up_seconds = self.catch_up();
        let after = self.runtime.block_on(self.watched.look());
        // Requests were encoded and connections made before.
        let began = report.started_unix_nanos as f64 / 1e9 - unix_seconds(self.found.started);
        for second in &report.series {
            self.found.load.push(LoadPoint::of(second, began));
        }
        if kind == Kind::Hold {
            self.found.ack_curve = curve(&report.histogram);
        }
        let phase = Made {
            kind,
            name,
            mark,
            began,
            report: &report,
            before: &before,
            after: &after,
            samples: &self.sampler.phase(),
            caught_up_seconds,
            ack_p99_max_ms: self.options.targets.sustained_ack_p99.as_secs_f64() * 1e3,
        }
        .phase();
        self.found.phases.push(phase);
        Ok(self.found.phases.last())
    }

    /// Waits until no more waits for ClickHouse than before the run; `None` when it takes too long.
    fn catch_up(&mut self) -> Option<f64> {
        let begun = Instant::now();
        while begun.elapsed() < self.times.catch_up {
            let state = self.runtime.block_on(self.watched.admin.state()).ok();
            let caught_up = state.is_some_and(|state| {
                state.backlog_rows <= self.idle.backlog_rows + CAUGHT_UP.0
                    && state.log_bytes <= self.idle.log_bytes + CAUGHT_UP.1
            });
            if caught_up {
                return Some(begun.elapsed().as_secs_f64());
            }
            // The admin port tells when it is asked, and announces nothing.
            std::thread::sleep(LOOK);
        }
        let words = "ClickHouse did not catch up after a stretch of load; what follows was measured beside it.";
        self.found.notes.push(words.into());
        None
    }
}
