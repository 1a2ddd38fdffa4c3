//! An engine in a process of its own, so that its memory can be told from that of its clients: this very test
//! program, started again as the test `engine_process`, which does nothing else.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use spanmill_engine::{AckMode, Engine, MemoryPlan, ReactorChoice};

use crate::support::config_for;

/// Says to the test `engine_process` that it is one, and how.
const SETTINGS: &str = "SPANMILL_TEST_MEMORY";
/// What its line begins with.
const LISTENS: &str = "listens ";

/// How an engine is started.
pub(crate) struct Settings {
    pub(crate) reactor: ReactorChoice,
    pub(crate) native: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) memory_max: usize,
    pub(crate) request_bytes_max: usize,
    pub(crate) log: String,
}

/// See the module. Killed when it is dropped.
pub(crate) struct EngineProcess {
    child: Child,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl EngineProcess {
    /// Starts it and waits until it listens.
    pub(crate) fn start(settings: &Settings) -> Self {
        let text = format!(
            "{}|{}|{}|{}|{}|{}",
            matches!(settings.reactor, ReactorChoice::Uring),
            settings.native,
            settings.http,
            settings.memory_max,
            settings.request_bytes_max,
            settings.log,
        );
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["process::engine_process", "--exact", "--nocapture"])
            .env(SETTINGS, text)
            .stdout(Stdio::piped())
            .spawn()
            .expect("an engine");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.find_map(|line| Some(line.ok()?.split_once(LISTENS)?.1.to_owned()));
        // Whatever else it prints must not fill the pipe.
        thread::spawn(move || lines.count());
        let line = line.expect("the engine listens");
        let mut at = line.split(' ').map(|at| at.parse().expect("an address"));
        let mut next = || at.next().expect("three addresses");
        EngineProcess {
            child,
            grpc: next(),
            http: next(),
            admin: next(),
        }
    }

    /// The most memory that it ever had resident, in bytes.
    pub(crate) fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let peak: usize = peak.and_then(|peak| peak.parse().ok()).expect("a number");
        peak << 10
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}");
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Scenario: none; see the module. In a run of the tests it does nothing.
/// Guarantee: the engine runs until SIGTERM, and then ends in order.
#[test]
fn engine_process() {
    let Ok(settings) = std::env::var(SETTINGS) else {
        return;
    };
    let settings: Vec<_> = settings.split('|').collect();
    let [uring, native, http, memory_max, request_bytes_max, log] = settings[..] else {
        panic!("{settings:?}");
    };
    let native = native.parse().expect("an address");
    let mut config = config_for(native, format!("http://{http}"));
    config.reactor = match uring {
        "true" => ReactorChoice::Uring,
        _ => ReactorChoice::Epoll,
    };
    config.ack = AckMode::Log;
    config.log.folder = log.into();
    config.log.bytes_max = 4 << 30;
    config.memory = MemoryPlan::new(memory_max.parse().expect("bytes"), config.shards);
    config.request_bytes_max = request_bytes_max.parse().expect("bytes");
    assert!(config.request_bytes_max <= config.memory.request_bytes_max());
    config.drain_timeout = Duration::from_secs(60);
    let mut signals = Signals::new([SIGTERM]).expect("signals");
    let engine = Engine::start(config).unwrap_or_else(|error| panic!("{error}"));
    let at = [engine.grpc_addr(), engine.http_addr(), engine.admin_addr()];
    println!("\n{LISTENS}{} {} {}", at[0], at[1], at[2]);
    signals.forever().next();
    let report = engine.shutdown();
    assert_eq!(report.drained, report.shards, "{report}");
}
