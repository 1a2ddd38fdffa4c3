//! One history from beginning to end: starts everything, lets trouble happen, heals it, waits until the
//! engine has done its work, stops it, and compares the ledger with the tables.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::check::{self, Compared};
use super::clickhouse::{Server, Store};
use super::client::{self, Load};
use super::engine::Engine;
use super::ledger::{Ledger, Outcome};
use super::plan::{Fault, LOG, Plan, tables};
use super::trouble::{self, Victims};
use crate::reactor::Reactor;
use crate::reactor::sim::{self, DiskFaults, Sim, simulate};

/// How long a healed engine may take to take requests again, and to store all that it acknowledged.
const RECOVERY: Duration = Duration::from_secs(120);

/// What came of a history, or of many.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    /// What must not be.
    pub(super) faults: Vec<String>,
    requests: usize,
    acknowledged: usize,
    told_to_retry: usize,
    unknown: usize,
    compared: Compared,
    inserts: u64,
    repeated: u64,
    mishaps: u64,
    struck: [u64; Fault::ALL.len()],
    polls: u64,
    seconds: u64,
}

impl Report {
    pub(super) fn add(&mut self, other: &Report) {
        self.requests += other.requests;
        self.acknowledged += other.acknowledged;
        self.told_to_retry += other.told_to_retry;
        self.unknown += other.unknown;
        self.compared.stored_unacknowledged += other.compared.stored_unacknowledged;
        self.compared.lost_in_memory += other.compared.lost_in_memory;
        self.compared.set_aside += other.compared.set_aside;
        self.compared.damaged += other.compared.damaged;
        self.inserts += other.inserts;
        self.repeated += other.repeated;
        self.mishaps += other.mishaps;
        for (sum, more) in self.struck.iter_mut().zip(other.struck) {
            *sum += more;
        }
        self.polls += other.polls;
        self.seconds += other.seconds;
    }

    /// Histories in which nothing happens prove nothing.
    pub(super) fn assert_all_happened(&self) {
        assert!(self.struck.iter().all(|times| *times > 0), "{self}");
        let happened = [
            self.acknowledged,
            self.told_to_retry,
            self.unknown,
            self.compared.stored_unacknowledged,
            self.compared.lost_in_memory,
            self.compared.set_aside,
        ];
        assert!(happened.iter().all(|times| *times > 0), "{self}");
        assert!(self.repeated > 0 && self.mishaps > 0, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} requests: {} acknowledged, {} told to retry, {} unknown; {:?}",
            self.requests, self.acknowledged, self.told_to_retry, self.unknown, self.compared
        )?;
        writeln!(
            formatter,
            "{} inserts, {} of them repeated, {} mishaps; {} polls, {} seconds",
            self.inserts, self.repeated, self.mishaps, self.polls, self.seconds
        )?;
        for (fault, times) in Fault::ALL.iter().zip(self.struck) {
            write!(formatter, "{fault:?} {times}  ")?;
        }
        writeln!(formatter)
    }
}

/// Runs the history of a seed. Gives its trace as well.
pub(super) fn run(seed: u64) -> (Report, u64) {
    simulate(seed, live())
}

async fn live() -> Report {
    let plan = Plan::draw(&mut sim::random());
    sim::network(|network, _| network.latency = plan.latency);
    sim::disk(|disk, _| disk.install_folder(LOG.as_ref()));
    let server = Server::new(Store::new(tables(), plan.window));
    let replicas = plan.config.clickhouse.native.len();
    let engine = Engine::new(plan.config.clone());
    let ledger = Ledger::default();
    let load = Rc::new(Load {
        ledger: Rc::clone(&ledger),
        left: Cell::new(plan.requests),
        pause: plan.pause,
        parallel: plan.parallel,
        patience: plan.patience,
    });
    let over = Rc::new(Cell::new(false));
    Sim::spawn(Rc::clone(&engine).supervise(Rc::clone(&over)));
    let victims = Rc::new(Victims {
        clickhouse: RefCell::new((0..replicas).map(|replica| server.start(replica)).collect()),
        server,
        engine,
        clients: RefCell::default(),
        load,
        struck: Cell::default(),
    });
    for replica in 0..replicas {
        Sim::spawn(supervise_clickhouse(replica, Rc::clone(&victims)));
    }
    for _ in 0..plan.clients {
        let client = client::start(&victims.load);
        victims.clients.borrow_mut().push(client);
    }
    trouble::make(&plan, &victims).await;

    let mut faults = Vec::new();
    heal(&victims);
    if !recovers(&victims).await {
        faults.push("the healed engine does not take requests".to_owned());
    }
    settle(&victims).await;
    over.set(true);
    stop(&victims, &mut faults).await;
    let store = victims.server.store.borrow();
    let struck = victims.struck.get();
    let damaged = struck[Fault::Read as usize] + struck[Fault::Rot as usize] > 0;
    let compared = check::compare(&ledger, &store, &victims.engine, damaged, &mut faults);
    drop(store);
    report(&victims, faults, compared)
}

async fn supervise_clickhouse(replica: usize, victims: Rc<Victims>) {
    let mut random = sim::random();
    loop {
        let process = victims.clickhouse.borrow()[replica];
        process.killed().await;
        Sim::sleep(Duration::from_millis(random.u64(0..2_000))).await;
        let again = victims.server.start(replica);
        victims.clickhouse.borrow_mut()[replica] = again;
    }
}

/// Ends all trouble.
fn heal(victims: &Victims) {
    victims.server.mishaps.set(0.0);
    sim::heal_network();
    sim::disk(|disk, _| disk.faults = DiskFaults::default());
}

/// Waits until no request is left to be made and one was acknowledged.
async fn recovers(victims: &Victims) -> bool {
    let mut random = sim::random();
    let end = Sim::now() + RECOVERY;
    while Sim::now() < end {
        let acknowledged = client::probe(&victims.load, &mut random).await;
        if acknowledged && victims.load.left.get() == 0 {
            return true;
        }
        Sim::sleep(Duration::from_millis(500)).await;
    }
    false
}

/// Waits until all that was acknowledged is stored, or too long for that to come.
async fn settle(victims: &Victims) {
    let end = Sim::now() + RECOVERY;
    while Sim::now() < end {
        // Answers to the last requests may be on their way.
        Sim::sleep(victims.load.patience).await;
        let ledger = victims.load.ledger.borrow();
        let store = victims.server.store.borrow();
        let acknowledged = ledger.requests.iter();
        let acknowledged = acknowledged.filter(|r| r.outcome == Outcome::Acknowledged);
        let mut rows = acknowledged.flat_map(|request| &request.rows);
        if rows.all(|(row, _)| store.rows.contains_key(row)) {
            return;
        }
    }
}

/// Stops the engine and waits for its end.
async fn stop(victims: &Victims, faults: &mut Vec<String>) {
    let undrained = victims.engine.undrained.get();
    victims.engine.stop();
    if let Some(process) = victims.engine.process() {
        process.killed().await;
    }
    if victims.engine.undrained.get() > undrained {
        faults.push("a healed engine did not drain when it was stopped".to_owned());
    }
}

fn report(victims: &Victims, mut faults: Vec<String>, compared: Compared) -> Report {
    let ledger = victims.load.ledger.borrow();
    let store = victims.server.store.borrow();
    faults.extend(store.faults.iter().cloned());
    Report {
        faults,
        requests: ledger.requests.len(),
        acknowledged: ledger.count(&Outcome::Acknowledged),
        told_to_retry: ledger.count(&Outcome::Retry),
        unknown: ledger.count(&Outcome::Unknown),
        compared,
        inserts: store.counts.inserts,
        repeated: store.counts.repeated,
        mishaps: victims.server.met.get(),
        struck: victims.struck.get(),
        polls: sim::polls(),
        seconds: sim::time().as_secs(),
    }
}
