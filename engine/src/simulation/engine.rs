//! The engine of a history: the shards of one start are one process, which is killed or stops as a whole,
//! and is started again with any number of shards.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::client::{GRPC, HTTP};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::reactor::Reactor;
use crate::reactor::sim::{self, Process, Sim};
use crate::run::{Sockets, run_shard};
use crate::shard::Shard;

/// See the module.
pub(super) struct Engine {
    config: Config,
    starts: Cell<u32>,
    stop: RefCell<watch::Sender<bool>>,
    process: Cell<Option<Process>>,
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
            undrained: Cell::new(0),
        })
    }

    /// Starts it.
    pub(super) fn start(self: &Rc<Self>, shards: usize) -> Process {
        let start = self.starts.replace(self.starts.get() + 1);
        let config = Arc::new(Config {
            shards,
            ..self.config.clone()
        });
        let (stop, stopping) = watch::channel(false);
        self.stop.replace(stop);
        let engine = Rc::clone(self);
        let process = Process::start("engine", async move {
            let (_, parts) = Metrics::new(shards);
            let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
            for (index, metrics) in parts.into_iter().enumerate() {
                let shard = Shard::new(index, Arc::clone(&config), metrics);
                let sockets = Sockets {
                    grpc: sim::bind(GRPC),
                    http: sim::bind(HTTP),
                };
                let (stopping, ended) = (stopping.clone(), ended.clone());
                let run_id = format!("start{start}");
                Sim::spawn(async move {
                    let drained = run_shard::<Sim>(shard, sockets, run_id, stopping, |_| {}).await;
                    // Who counts is of the same process.
                    let _ = ended.send(drained);
                });
            }
            for _ in 0..shards {
                if ends.recv().await == Some(false) {
                    engine.undrained.set(engine.undrained.get() + 1);
                }
            }
            // The process exits.
            Process::present().kill();
        });
        self.process.set(Some(process));
        process
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
            if random.bool() {
                sim::disk(|disk, random| disk.crash(random));
            }
            if over.get() {
                return;
            }
            Sim::sleep(Duration::from_millis(random.u64(0..3_000))).await;
            shards = random.usize(1..=3);
        }
    }
}
