//! What the engine takes of memory whatever is sent to it: its peak is read from the kernel, in a process of
//! its own, with the allocator of the shipped program.

mod attack;
#[path = "../hostile/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "../process/mod.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::thread;

use attack::{Attack, KINDS, LARGE};
use process::{EngineProcess, Settings};
use spanmill_engine::ReactorChoice;
use support::grpc::{Call, GrpcClient, message};
use support::http1::{HttpClient, post};
use support::spans::{good, new_trace_id};
use support::{await_true, metric, metrics, migrated_clickhouse};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

on_each_reactor! {
    /// Scenario: ClickHouse is down, and at once a thousand connections send large bodies that never end,
    /// others bodies of 64 MiB, gzip and zstd bombs of 1:1000, and spans of a million empty events; among
    /// them two clients that send little.
    /// Guarantee: the process never takes more than a tenth above `memory_max`; the two are answered all the
    /// while, most often with an ack; and once ClickHouse is back, everything acknowledged is stored once.
    all_at_once
}

const MEMORY_MAX: usize = 640 << 20;
/// gRPC UNAVAILABLE.
const UNAVAILABLE: i32 = 14;
const CROWD: usize = 1000;
/// Acks that each of the two good clients gets before it is over, and bodies of each kind.
const ACKS: usize = 50;
const ROUNDS: usize = 3;

fn all_at_once(reactor: ReactorChoice) {
    let mut clickhouse = migrated_clickhouse();
    let log = std::env::temp_dir().join(format!("spanmill-test-{:032x}", fastrand::u128(..)));
    let settings = Settings {
        reactor,
        native: clickhouse.native_addr(),
        http: clickhouse.http_addr(),
        shards: 1,
        log: log.clone(),
        log_bytes_max: 4 << 30,
        memory: Some((MEMORY_MAX, LARGE)),
        at: None,
    };
    let engine = EngineProcess::start(&settings, "");
    let at_rest = engine.peak();
    clickhouse.stop();
    let attack = Attack::default();
    let mut good = Vec::new();
    thread::scope(|scope| {
        let (attack, engine) = (&attack, &engine);
        for kind in 0..KINDS {
            // What does not compress would fill the log.
            let most = if kind == KINDS - 1 { 8 } else { usize::MAX };
            scope.spawn(move || attack.send(engine.at.http, kind, most));
        }
        scope.spawn(|| attack.crowd(engine, CROWD));
        let over = Over(attack);
        let clients = [
            scope.spawn(|| by_http(attack, engine)),
            scope.spawn(|| by_grpc(attack, engine)),
        ];
        for client in clients {
            good.extend(client.join().expect("a good client"));
        }
        drop(over);
    });
    let peak = engine.peak();
    let text = metrics(engine.at.admin);
    let refused = metric(
        &text,
        "spanmill_refused_total{shard=\"0\",reason=\"no_memory\"}",
    );
    eprintln!(
        "{reactor:?}: limit {} MiB, at rest {} MiB, peak {} MiB; refused for memory {refused:?}; bodies {:?}; \
         connections {:?}; acknowledged: {} small, {} large",
        MEMORY_MAX >> 20,
        at_rest >> 20,
        peak >> 20,
        attack.rounds,
        attack.crowd,
        good.len(),
        attack.acknowledged.lock().expect("no panic").len(),
    );
    assert!(peak <= MEMORY_MAX / 10 * 11, "{peak} bytes");
    assert!(refused > Some(0.0), "memory was never short:\n{text}");

    clickhouse.start();
    good.extend(attack.acknowledged.lock().expect("no panic").iter());
    let ids: Vec<_> = good
        .iter()
        .map(|id| format!("unhex('{}')", hex(id)))
        .collect();
    let stored = format!(
        "SELECT count(), uniqExact(TraceId) FROM spanmill.otel_traces WHERE TraceId IN ({})",
        ids.join(",")
    );
    let wanted = format!("{}\t{}\n", ids.len(), ids.len());
    await_true("everything acknowledged is stored once", || {
        clickhouse.query(&stored).expect("an answer") == wanted
    });
    let peak = engine.peak();
    assert!(
        peak <= MEMORY_MAX / 10 * 11,
        "{peak} bytes while catching up"
    );
    engine.terminate();
    // Nothing is left in it but its lock.
    let _ = std::fs::remove_dir_all(log);
}

/// Ends the attack, also when a good client fails.
struct Over<'a>(&'a Attack);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Goes on until it has enough acks and each attacker had its rounds.
fn enough(attack: &Attack, acks: usize) -> bool {
    let rounds = attack.rounds.iter();
    acks >= ACKS
        && attack.crowd.load(Ordering::Relaxed) >= CROWD
        && rounds
            .min_by_key(|count| count.load(Ordering::Relaxed))
            .is_some_and(|count| count.load(Ordering::Relaxed) >= ROUNDS)
}

fn by_http(attack: &Attack, engine: &EngineProcess) -> Vec<[u8; 16]> {
    let mut acknowledged = Vec::new();
    let mut client = HttpClient::connect(engine.at.http);
    while !enough(attack, acknowledged.len()) {
        let id = new_trace_id();
        let answer = client.ask(&post(&[], &good(id)));
        match answer.status {
            200 => acknowledged.push(id),
            503 => assert_eq!(answer.header("retry-after"), Some("1")),
            _ => panic!("{answer:?}"),
        }
    }
    acknowledged
}

fn by_grpc(attack: &Attack, engine: &EngineProcess) -> Vec<[u8; 16]> {
    let mut acknowledged = Vec::new();
    let mut client = GrpcClient::connect(engine.at.grpc);
    while !enough(attack, acknowledged.len()) {
        let id = new_trace_id();
        let answer = client.call(Call::new([message(0, &good(id))]));
        match answer.code() {
            0 => acknowledged.push(id),
            UNAVAILABLE => {
                assert!(answer.details().is_some_and(|d| d.retry_delay().is_some()))
            }
            _ => panic!("{answer:?}"),
        }
    }
    acknowledged
}

fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
