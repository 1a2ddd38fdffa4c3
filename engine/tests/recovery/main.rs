//! What is acknowledged is in the log: engines are killed at every place on a request's way, ClickHouse and
//! the connection to it fail, the disk fails and fills. Each time the ledger of what was acknowledged is
//! held against what is stored.
//!
//! `SPANMILL_RECOVERY_ROUNDS` makes the killing last longer, `SPANMILL_RECOVERY_SEED` repeats a run's choices:
//! `SPANMILL_RECOVERY_ROUNDS=50 cargo test -p spanmill-engine --test recovery killed -- --nocapture`.

#[path = "../ledger/mod.rs"]
mod ledger;
#[path = "../process/mod.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use ledger::load::{Ledger, Load, Target};
use ledger::proxy::Proxy;
use ledger::stored::assert_stored;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use process::{EngineProcess, Settings};
use spanmill_embedded::testing::TestServer;
use spanmill_engine::ReactorChoice;
use support::{PATIENCE, await_true, metric, metrics, migrated_clickhouse};

/// Places on the way of a request, in its order, and whether a batch is surely in flight there.
const PLACES: [(&str, bool); 10] = [
    ("walked", false),
    ("sealed", false),
    ("append", false),
    ("sync", false),
    ("synced", false),
    ("recorded", true),
    ("half-sent", true),
    ("sent", true),
    ("inserted", true),
    ("trim", false),
];
/// Error numbers of Linux.
const EIO: u32 = 5;
const ENOSPC: u32 = 28;

on_each_reactor! {
    /// Scenario: under load the engine is killed with SIGKILL at each named place of a request's way, at a
    /// pass drawn by the seed, and started again each time with another number of shards.
    /// Guarantees: a batch that was in flight is sent again; every acknowledged row is stored exactly once,
    /// every other at most once, with the payload that was sent, none without its resource and series, and
    /// every rollup is what it would be had nothing been sent twice; in the end the logs are gone.
    the_engine_is_killed_anywhere

    /// Scenario: ClickHouse is killed under load and stays away, three times, and once it hangs.
    /// Guarantees: requests are acknowledged all the while; what was in flight is sent again; otherwise as
    /// above.
    clickhouse_comes_and_goes

    /// Scenario: the connection to ClickHouse is cut after every so many bytes of what the engine sends, and of
    /// what ClickHouse answers.
    /// Guarantees: as above.
    the_connection_is_cut_anywhere

    /// Scenario: under load the disk is full for a while, syncs fail for a while, and no segment can be begun.
    /// Guarantees: requests are told to retry meanwhile, and get no other refusal; the engine recovers by
    /// itself; otherwise as above.
    the_disk_fails

    /// Scenario: ClickHouse is away until the log is full.
    /// Guarantees: requests are acknowledged until then and told to retry from then on; when ClickHouse is
    /// back, they are acknowledged again without a restart; otherwise as above.
    the_log_is_full

    /// Scenario: the engine is killed with a batch in flight, and ClickHouse is set up anew before the next
    /// start, so that its tables have seen fewer inserts than when the batch was first sent.
    /// Guarantees: whether the batch is stored cannot be told by its token, so it is set aside and counted,
    /// not sent; what follows is stored.
    a_token_that_may_be_forgotten_is_not_trusted

    /// Scenario: the engine is asked to end under load, with ClickHouse there, and with ClickHouse away.
    /// Guarantees: it ends in order; with ClickHouse there its log is empty then, else the next run inserts
    /// what is in it; otherwise as above.
    the_engine_ends_under_load
}

/// A ClickHouse, the folder of the logs, and what an engine is started with.
struct Place {
    clickhouse: TestServer,
    settings: Settings,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new(reactor: ReactorChoice) -> Self {
        let clickhouse = migrated_clickhouse();
        let folder = tempfile::tempdir().expect("a folder");
        Place {
            settings: Settings {
                reactor,
                shards: 1,
                native: clickhouse.native_addr(),
                http: clickhouse.http_addr(),
                log: folder.path().join("wal"),
                log_bytes_max: 1 << 30,
                memory: None,
                at: None,
            },
            clickhouse,
            _folder: folder,
        }
    }

    /// Starts an engine where the last one listened.
    fn engine(&mut self, faults: &str) -> EngineProcess {
        let engine = EngineProcess::start(&self.settings, faults);
        self.settings.at = Some(engine.at);
        engine
    }

    /// Ends the engine in order, and checks what is stored and that nothing is left in the logs.
    fn assert_exactly_once(&self, engine: EngineProcess, load: Load) {
        load.wait_for_more_acks();
        let (ledger, requests) = load.stop();
        self.await_inserted(&engine);
        engine.terminate();
        assert_eq!(self.logs(), Vec::<PathBuf>::new());
        assert_stored(&self.clickhouse, &ledger, requests);
    }

    /// Waits until nothing is left in the logs, for as long as it becomes less.
    fn await_inserted(&self, engine: &EngineProcess) {
        let mut least = f64::INFINITY;
        let mut since = Instant::now();
        loop {
            // A shard counts what earlier runs left only once it has looked.
            let left = total(engine, LOG_BYTES) + self.earlier_runs() as f64;
            if left == 0.0 {
                return;
            }
            if left < least {
                (least, since) = (left, Instant::now());
            }
            let waited = since.elapsed() > 2 * PATIENCE;
            assert!(!waited, "not inserted: {}", metrics(engine.at.admin));
        }
    }

    /// Runs but the last of which logs are left.
    fn earlier_runs(&self) -> usize {
        let logs = self.logs();
        let names = logs
            .iter()
            .filter_map(|log| log.file_name()?.to_str()?.split_once('-'));
        let runs: HashSet<_> = names.map(|(run, _)| run).collect();
        runs.len().saturating_sub(1)
    }

    /// What was set aside.
    fn aside(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.settings.log.join("aside"));
        let entries = entries.into_iter().flatten();
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }

    /// The logs' folders.
    fn logs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.settings.log).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("an entry").path());
        // A log that was never written to is removed by the next run that has time for it.
        let holds = |path: &PathBuf| {
            let files = std::fs::read_dir(path).into_iter().flatten();
            let mut names = files.map(|file| file.expect("an entry").file_name());
            path.is_dir() && names.any(|name| name != "cursor")
        };
        let mut paths: Vec<_> = paths.filter(holds).collect();
        paths.sort();
        paths
    }
}

fn load(engine: &EngineProcess) -> Load {
    Load::start(Target {
        grpc: engine.at.grpc,
        http: engine.at.http,
        may_die: true,
    })
}

/// The sum of a metric over all shards.
fn total(engine: &EngineProcess, name: &str) -> f64 {
    let text = metrics(engine.at.admin);
    let shards = (0..).map_while(|shard| metric(&text, &format!("{name}{{shard=\"{shard}\"}}")));
    shards.sum()
}

fn await_more(engine: &EngineProcess, name: &str, than: f64) {
    await_true(name, || total(engine, name) > than);
}

const RETRIES: &str = "spanmill_insert_retries_total";
const LOG_BYTES: &str = "spanmill_log_bytes";
const LOG_FAILURES: &str = "spanmill_log_failures_total";

fn from_variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn the_engine_is_killed_anywhere(reactor: ReactorChoice) {
    let seed = from_variable("SPANMILL_RECOVERY_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = from_variable("SPANMILL_RECOVERY_ROUNDS").unwrap_or(1);
    eprintln!("SPANMILL_RECOVERY_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut place = Place::new(reactor);
    let first = place.engine("");
    let load = load(&first);
    load.wait_for_more_acks();
    first.kill();
    for (name, in_flight) in (0..rounds).flat_map(|_| PLACES) {
        place.settings.shards = random.usize(1..=3);
        // Inserts are few where ClickHouse is busy, and rows are many.
        let pass = random.u32(if in_flight || name == "trim" {
            1..=4
        } else {
            1..=20
        });
        let engine = place.engine(&format!("kill:{name}:{pass}"));
        engine.await_killed(name);
        if in_flight {
            let engine = place.engine("");
            await_more(&engine, RETRIES, 0.0);
            engine.kill();
        }
    }
    let engine = place.engine("");
    place.assert_exactly_once(engine, load);
}

fn clickhouse_comes_and_goes(reactor: ReactorChoice) {
    let mut place = Place::new(reactor);
    let engine = place.engine("");
    let load = load(&engine);
    for _ in 0..3 {
        load.wait_for_more_acks();
        place.clickhouse.kill();
        await_more(&engine, LOG_BYTES, 1e5);
        load.wait_for_more_acks();
        place.clickhouse.start();
    }
    let pid = place.clickhouse.server().pid();
    let pid = Pid::from_raw(pid.try_into().expect("a pid"));
    kill(pid, Signal::SIGSTOP).expect("ClickHouse is stopped");
    await_more(&engine, LOG_BYTES, 1e5);
    kill(pid, Signal::SIGCONT).expect("ClickHouse goes on");
    await_more(&engine, RETRIES, 0.0);
    place.assert_exactly_once(engine, load);
}

fn the_connection_is_cut_anywhere(reactor: ReactorChoice) {
    let mut place = Place::new(reactor);
    let proxy = Proxy::start(place.clickhouse.native_addr());
    place.settings.native = proxy.address();
    let engine = place.engine("");
    let load = load(&engine);
    load.wait_for_more_acks();
    // An insert of a few requests is some KiB, and its answer some hundred bytes.
    for bytes in (0..6000).step_by(307) {
        proxy.cut_after(bytes);
        proxy.await_cut();
    }
    for bytes in (0..1200).step_by(61) {
        proxy.cut_answer_after(bytes);
        proxy.await_cut();
    }
    assert!(total(&engine, RETRIES) > 0.0, "no insert was sent again");
    place.assert_exactly_once(engine, load);
}

fn the_disk_fails(reactor: ReactorChoice) {
    let mut place = Place::new(reactor);
    for faults in [
        format!("fail:append:{ENOSPC}:10:3"),
        format!("fail:sync:{EIO}:10:1"),
        format!("fail:sync:{EIO}:10:1,fail:begin-segment:{ENOSPC}:2:3"),
    ] {
        let engine = place.engine(&faults);
        let load = load(&engine);
        load.wait("requests are told to retry", Ledger::told_on_both);
        assert!(engine.next_fault().ends_with(" fails"));
        assert!(total(&engine, LOG_FAILURES) > 0.0);
        place.assert_exactly_once(engine, load);
        place = Place::new(reactor);
    }
}

fn the_log_is_full(reactor: ReactorChoice) {
    let mut place = Place::new(reactor);
    place.settings.log_bytes_max = 300_000;
    let engine = place.engine("");
    let load = load(&engine);
    for _ in 0..2 {
        load.wait_for_more_acks();
        place.clickhouse.kill();
        let told = load.told();
        load.wait("requests are told to retry", |ledger| {
            (0..2).all(|transport| ledger.told_to_retry[transport] > told[transport])
        });
        assert!(total(&engine, LOG_BYTES) >= 300_000.0);
        place.clickhouse.start();
        load.wait_for_more_acks();
    }
    place.assert_exactly_once(engine, load);
}

fn the_engine_ends_under_load(reactor: ReactorChoice) {
    let mut place = Place::new(reactor);
    let engine = place.engine("");
    let load = load(&engine);
    load.wait_for_more_acks();
    engine.terminate();
    assert_eq!(place.logs(), Vec::<PathBuf>::new());

    let engine = place.engine("");
    load.wait_for_more_acks();
    place.clickhouse.kill();
    load.wait_for_more_acks();
    engine.terminate();
    assert!(!place.logs().is_empty(), "nothing is in the log");
    place.clickhouse.start();
    place.settings.shards = 2;
    let engine = place.engine("");
    place.assert_exactly_once(engine, load);
}

fn a_token_that_may_be_forgotten_is_not_trusted(reactor: ReactorChoice) {
    let mut place = Place::new(reactor);
    // The first inserts ask how many the tables have seen, and that must be more than none.
    let engine = place.engine("");
    let load = load(&engine);
    load.wait_for_more_acks();
    engine.terminate();
    let engine = place.engine("kill:half-sent:2");
    engine.await_killed("half-sent");
    place.clickhouse = migrated_clickhouse();
    place.settings.native = place.clickhouse.native_addr();
    place.settings.http = place.clickhouse.http_addr();
    let engine = place.engine("");
    await_more(&engine, "spanmill_set_aside_rows_total", 0.0);
    assert_eq!(place.aside().len(), 1, "{:?}", place.aside());
    load.wait_for_more_acks();
    let (_, _) = load.stop();
    place.await_inserted(&engine);
    engine.terminate();
    assert_eq!(place.logs(), [place.settings.log.join("aside")]);
    let stored = "SELECT count() FROM spanmill.otel_traces";
    assert_ne!(place.clickhouse.query(stored).expect("an answer"), "0");
}
