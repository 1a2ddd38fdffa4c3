//! An engine that is told to stop soon after its start.

use std::cell::Cell;
use std::time::Duration;

use super::check;
use super::clickhouse::{Server, Store};
use super::client::{self, Load};
use super::engine::Engine;
use super::ledger::Ledger;
use super::plan::{LOG, Plan, tables};
use crate::config::{AckMode, Config};
use crate::limits::CONNECT_TIMEOUT;
use crate::reactor::Reactor;
use crate::reactor::sim::{self, Sim, simulate};

/// Scenario: requests are acknowledged by the log while ClickHouse, which is there, takes its time to answer the
/// engine's first hello, and the engine is told to stop before it has.
/// Guarantees: it waits for that connection, stores all, and leaves nothing in its log for another start.
#[test]
fn a_first_connection_is_waited_for() {
    for seed in 0..20 {
        let (faults, _) = simulate(seed, stop_while_connecting());
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
    }
}

async fn stop_while_connecting() -> Vec<String> {
    let mut random = sim::random();
    let plan = Plan::draw(&mut random);
    sim::disk(|disk, _| disk.install_folder(LOG.as_ref()));
    let server = Server::new(Store::new(tables(), plan.window));
    let replicas = 0..plan.config.clickhouse.native.len();
    let replicas: Vec<_> = replicas.map(|replica| server.start(replica)).collect();
    // They listen.
    Sim::sleep(Duration::from_secs(1)).await;
    replicas.iter().for_each(|replica| replica.pause());

    let engine = Engine::new(Config {
        insert_timeout: Duration::from_secs(30),
        ..plan.config
    });
    let process = engine.start_as(AckMode::Log, plan.config.shards);
    let load = Load {
        ledger: Ledger::default(),
        left: Cell::default(),
        pause: plan.pause,
        parallel: plan.parallel,
        patience: plan.patience,
    };
    for _ in 0..10 {
        let acknowledged = client::probe(&load, &mut random).await;
        assert!(acknowledged, "the log takes it");
    }
    engine.stop();
    Sim::sleep(CONNECT_TIMEOUT / 2).await;
    replicas.iter().for_each(|replica| replica.resume());
    process.killed().await;

    let mut faults = Vec::new();
    if engine.undrained.get() > 0 {
        faults.push("it did not drain".to_owned());
    }
    let files = sim::disk(|disk, _| disk.files());
    let left = files.into_iter().filter(|(_, bytes)| *bytes > 0);
    faults.extend(left.map(|(path, bytes)| format!("{bytes} bytes in {}", path.display())));
    let store = server.store.borrow();
    check::compare(&load.ledger, &store, &engine, false, &mut faults);
    faults
}
