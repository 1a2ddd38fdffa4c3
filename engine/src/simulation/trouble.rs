//! Makes the trouble of a history: one fault after the other at random moments, of the kinds that its plan
//! allows.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;

use super::clickhouse::{self, Shared};
use super::client::{self, GRPC, HTTP, Load};
use super::engine::Engine;
use super::plan::{Fault, Plan};
use crate::reactor::Reactor;
use crate::reactor::sim::{self, Cut, DiskFaults, Process, Sim};

/// Who can be hurt.
pub(super) struct Victims {
    pub(super) engine: Rc<Engine>,
    pub(super) server: Shared,
    pub(super) clickhouse: Cell<Process>,
    pub(super) load: Rc<Load>,
    pub(super) clients: std::cell::RefCell<Vec<Process>>,
    /// How often each fault struck.
    pub(super) struck: Cell<[u64; Fault::ALL.len()]>,
}

/// Hurts until the plan's time is up.
pub(super) async fn make(plan: &Plan, victims: &Rc<Victims>) {
    let mut random = sim::random();
    if plan.faults.contains(&Fault::Mishaps) {
        victims.server.mishaps.set(random.f64() * 0.5);
    }
    let end = Sim::now() + plan.trouble;
    let rest = plan.trouble.mul_f64(0.3);
    while Sim::now() < end {
        Sim::sleep(rest.mul_f64(random.f64() * random.f64())).await;
        if let Some(fault) = random.choice(&plan.faults) {
            let mut struck = victims.struck.get();
            struck[*fault as usize] += 1;
            victims.struck.set(struck);
            sim::note(*fault as usize);
            tracing::info!(?fault, "strikes");
            strike(*fault, victims, &mut random).await;
        }
    }
}

async fn strike(fault: Fault, victims: &Rc<Victims>, random: &mut Rng) {
    let while_it_lasts = Duration::from_millis(random.u64(1..4_000));
    let cut = if random.bool() {
        Cut::Reset
    } else {
        Cut::Silent
    };
    match fault {
        Fault::KillEngine => {
            if let Some(engine) = victims.engine.process() {
                engine.light_fuse(random.u64(1..200));
            }
        }
        Fault::StopEngine => victims.engine.stop(),
        Fault::PauseEngine => {
            if let Some(engine) = victims.engine.process() {
                engine.pause();
                Sim::sleep(while_it_lasts).await;
                engine.resume();
            }
        }
        Fault::KillClickHouse => victims.clickhouse.get().light_fuse(random.u64(1..100)),
        Fault::PauseClickHouse => {
            let clickhouse = victims.clickhouse.get();
            clickhouse.pause();
            Sim::sleep(while_it_lasts).await;
            clickhouse.resume();
        }
        // They happen by themselves.
        Fault::Mishaps => {}
        Fault::CutClient => {
            let address = if random.bool() { GRPC } else { HTTP };
            let bytes = random.usize(..3_000);
            sim::network(|network, random| network.lay_fuse(address, bytes, cut, random));
        }
        Fault::CutClickHouse => {
            let bytes = random.usize(..8_000);
            let to = clickhouse::ADDRESS;
            sim::network(|network, random| network.lay_fuse(to, bytes, cut, random));
        }
        Fault::Silence => {
            sim::network(|network, _| network.silence(clickhouse::ADDRESS));
            Sim::sleep(while_it_lasts).await;
            sim::heal_network();
        }
        Fault::KillClient => {
            let client = random.choice(victims.clients.borrow().iter()).copied();
            if let Some(client) = client {
                client.kill();
                victims
                    .clients
                    .borrow_mut()
                    .retain(|other| *other != client);
                let another = client::start(&victims.load);
                victims.clients.borrow_mut().push(another);
            }
        }
        Fault::Disk => {
            let faults = disk_faults(random);
            sim::disk(|disk, _| {
                let capacity = faults.capacity.map(|room| disk.used() + room);
                disk.faults = DiskFaults { capacity, ..faults };
            });
            Sim::sleep(while_it_lasts).await;
            sim::disk(|disk, _| disk.faults = DiskFaults::default());
        }
        Fault::Read => {
            let read = random.f64();
            sim::disk(|disk, _| disk.faults.read = read);
            Sim::sleep(while_it_lasts).await;
            sim::disk(|disk, _| disk.faults.read = 0.0);
        }
        Fault::Rot => {
            victims.engine.rot.set(true);
            if let Some(engine) = victims.engine.process() {
                engine.light_fuse(random.u64(1..200));
            }
        }
        Fault::Clock => {
            let jump = 1 << random.u32(..18);
            sim::jump_clock(if random.bool() { jump } else { -jump });
        }
    }
}

fn disk_faults(random: &mut Rng) -> DiskFaults {
    let mut faults = DiskFaults::default();
    match random.u8(..4) {
        0 => faults.write = random.f64(),
        1 => faults.sync = random.f64(),
        2 => faults.capacity = Some(random.usize(..50_000)),
        _ => faults.slow = Duration::from_millis(random.u64(1..1_000)),
    }
    faults
}
