//! The engine of a history: the shards of one start are one process, which is killed or stops as a whole,
//! and is started again with any number of shards.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::client::{GRPC, HTTP};
use crate::config::{AckMode, Config};
use crate::engine::balanced;
use crate::metrics::{Metrics, ShardMetrics};
use crate::reactor::Reactor;
use crate::reactor::sim::{self, Process, Sim};
use crate::run::{Sockets, run_shard};
use crate::shard::Shard;
use crate::status::Statuses;

/// See the module.
pub(super) struct Engine {
    config: Config,
    starts: Cell<u32>,
    stop: RefCell<watch::Sender<bool>>,
    process: Cell<Option<Process>>,
    metrics: RefCell<Vec<ShardMetrics>>,
    /// A bit of the log turns over when it ends.
    pub(super) rot: Cell<bool>,
    /// The last end was one after draining.
    clean: Cell<bool>,
    /// When it last ended otherwise than by draining.
    pub(super) torn_off: Cell<Option<Instant>>,
    /// Shards that ended without having answered every request, when they were told to stop.
    pub(super) undrained: Cell<usize>,
}

impl Engine {
    pub(super) fn new(config: Config) -> Rc<Self> {
        Rc::new(Engine {
            config,
            starts: Cell::new(0),
            stop: RefCell::new(watch::channel(false).0),
            process: Cell::new(None),
            metrics: RefCell::default(),
            rot: Cell::new(false),
            clean: Cell::new(false),
            torn_off: Cell::new(None),
            undrained: Cell::new(0),
        })
    }

    /// Starts it.
    fn start(self: &Rc<Self>, shards: usize) -> Process {
        self.start_as(self.ack(), shards)
    }

    /// Starts it in this mode.
    pub(super) fn start_as(self: &Rc<Self>, ack: AckMode, shards: usize) -> Process {
        self.starts.set(self.starts.get() + 1);
        // Runs come in any order of their names.
        let run = sim::random().u128(..);
        let config = Arc::new(Config {
            shards,
            ack,
            ..self.config.clone()
        });
        tracing::info!(shards, ack = ?config.ack, "the engine starts");
        let (stop, stopping) = watch::channel(false);
        self.stop.replace(stop);
        let engine = Rc::clone(self);
        let process = Process::start("engine", async move {
            let (_, parts) = Metrics::new(shards, &config.clickhouse.native);
            let needs_clickhouse = config.ack == AckMode::ClickHouse;
            let (_, statuses) = Statuses::new(shards, needs_clickhouse);
            let parts: Vec<_> = parts.into_iter().zip(statuses).collect();
            let mut balanced = balanced::<Sim>(&config, &parts).into_iter();
            let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
            for (index, (metrics, status)) in parts.into_iter().enumerate() {
                let (balance, neighbours) = balanced.next().unzip();
                engine.metrics.borrow_mut().push(metrics.clone());
                let shard = Shard::new::<Sim>(index, Arc::clone(&config), metrics, status, balance);
                let sockets = Sockets {
                    grpc: sim::bind(GRPC),
                    http: sim::bind(HTTP),
                };
                let (stopping, ended) = (stopping.clone(), ended.clone());
                Sim::spawn(async move {
                    let drained =
                        run_shard::<Sim>(shard, sockets, neighbours, run, stopping, |_| {}).await;
                    // Who counts is of the same process.
                    let _ = ended.send(drained);
                });
            }
            let mut clean = true;
            for _ in 0..shards {
                if ends.recv().await == Some(false) {
                    engine.undrained.set(engine.undrained.get() + 1);
                    clean = false;
                }
            }
            engine.clean.set(clean);
            // The process exits.
            Process::present().kill();
        });
        self.process.set(Some(process));
        process
    }

    /// The mode of the next start: what one left in its log is the other's to insert. In memory mode acks
    /// promise less, so it is not mixed with the others.
    fn ack(&self) -> AckMode {
        match self.config.ack {
            AckMode::Memory => AckMode::Memory,
            mode => match sim::random().u8(..8) {
                0 => AckMode::Log,
                1 => AckMode::ClickHouse,
                _ => mode,
            },
        }
    }

    /// Whether the rows of a request that was made at this time may have been lost with an engine that
    /// acknowledged them in memory.
    pub(super) fn may_have_lost(&self, made: Instant) -> bool {
        let torn_off = self.torn_off.get();
        self.config.ack == AckMode::Memory && torn_off.is_some_and(|end| made <= end)
    }

    /// Whether it reported that something of its log cannot be read.
    pub(super) fn reported_damage(&self) -> bool {
        self.sum(|shard| {
            shard.log_damaged_bytes.get()
                + shard.log_torn_bytes.get()
                + shard.log_missing_chunks.get()
                + shard.set_aside_segments.get()
                + shard.set_aside_logs.get()
        }) > 0
    }

    /// Rows that ClickHouse may or may not have and that were reported: kept in files, or without a log lost.
    pub(super) fn set_aside(&self) -> usize {
        let rows = match self.config.ack {
            AckMode::Memory => self.sum(|shard| shard.abandoned_rows.get()),
            AckMode::Log | AckMode::ClickHouse => 0,
        };
        (rows + self.sum(|shard| shard.set_aside_rows.get())) as usize
    }

    /// The sum of a counter over all shards of all starts.
    pub(super) fn sum(&self, of: fn(&ShardMetrics) -> u64) -> u64 {
        self.metrics.borrow().iter().map(of).sum()
    }

    /// The process that runs, or ran last.
    pub(super) fn process(&self) -> Option<Process> {
        self.process.get()
    }

    /// Tells it to stop.
    pub(super) fn stop(&self) {
        self.stop.borrow().send_replace(true);
    }

    /// Keeps it running: whenever it has ended, it is started again after a moment, with the files that its
    /// end left, until `over`.
    pub(super) async fn supervise(self: Rc<Self>, over: Rc<Cell<bool>>) {
        let mut random = sim::random();
        let mut shards = self.config.shards;
        loop {
            let process = self.start(shards);
            process.killed().await;
            if !self.clean.take() {
                self.torn_off.set(Some(Sim::now()));
            }
            let power_lost = random.bool();
            if power_lost {
                sim::disk(|disk, random| disk.crash(random));
            }
            tracing::info!(power_lost, "the engine has ended");
            if self.rot.take() {
                let file = sim::disk(|disk, random| disk.rot(".segment", random));
                tracing::info!(?file, "a bit turns over");
            }
            if over.get() {
                return;
            }
            Sim::sleep(Duration::from_millis(random.u64(0..3_000))).await;
            shards = random.usize(1..=3);
        }
    }
}
