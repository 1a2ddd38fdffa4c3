//! An engine in a process of its own, so that it can be killed and its memory told from that of its clients:
//! this very test program, started again as the test `engine_process`, which does nothing else. Each suite
//! that has it uses a part of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use spanmill_engine::{AckMode, Engine, MemoryPlan, ReactorChoice};

use crate::support::{PATIENCE, config_for};

/// Says to the test `engine_process` that it is one, and how.
const SETTINGS: &str = "SPANMILL_TEST_ENGINE";
/// What its first line begins with.
const LISTENS: &str = "listens ";

/// How an engine is started.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) reactor: ReactorChoice,
    pub(crate) shards: usize,
    /// Its ClickHouse.
    pub(crate) native: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) log: PathBuf,
    pub(crate) log_bytes_max: u64,
    /// Its memory, and the largest request, in bytes; `None` as in other tests.
    pub(crate) memory: Option<(usize, usize)>,
    /// Where it listened the last time, and shall again.
    pub(crate) at: Option<Addresses>,
}

/// Where an engine listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// See the module. Killed when it is dropped.
pub(crate) struct EngineProcess {
    child: Child,
    pub(crate) at: Addresses,
    faults: Mutex<Receiver<String>>,
}

impl EngineProcess {
    /// Starts it and waits until it listens. `faults` are those of the engine's `fault.rs`.
    pub(crate) fn start(settings: &Settings, faults: &str) -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut child = Command::new(this)
            .args(["process::engine_process", "--exact", "--nocapture"])
            .env(SETTINGS, settings.to_text())
            .env("SPANMILL_FAULTS", faults)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an engine");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output")).lines();
        let at = stdout.find_map(|line| Addresses::of_text(line.ok()?.split_once(LISTENS)?.1));
        // Whatever else it prints must not fill the pipe.
        thread::spawn(move || stdout.count());
        let stderr = BufReader::new(child.stderr.take().expect("its errors"));
        let (sender, faults) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("engine: {line}");
                if let Some(fault) = line.strip_prefix("fault: ") {
                    // Nobody may want to know.
                    let _ = sender.send(fault.to_owned());
                }
            }
        });
        EngineProcess {
            // A fault may strike before it says so, while it inserts what an earlier run left.
            at: at.or(settings.at).expect("the engine listens"),
            child,
            faults: Mutex::new(faults),
        }
    }

    /// The next fault that happens in it.
    pub(crate) fn next_fault(&self) -> String {
        // On a busy machine much may have to be inserted before.
        let faults = self.faults.lock().expect("nobody panicked");
        let fault = faults.recv_timeout(4 * PATIENCE);
        fault.expect("a fault happens")
    }

    /// Waits until a fault has killed it at `place`.
    pub(crate) fn await_killed(mut self, place: &str) {
        assert_eq!(self.next_fault(), format!("killed at {place}"));
        let status = self.child.wait().expect("its end");
        assert_eq!(
            status.signal(),
            Some(Signal::SIGKILL as i32),
            "{place}: {status}"
        );
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

    /// Ends it at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("its end");
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

impl Settings {
    fn to_text(&self) -> String {
        let at = self.at.map_or_else(|| "-".into(), |at| at.to_text());
        let (memory_max, request_bytes_max) = self.memory.unwrap_or_default();
        let reactor = matches!(self.reactor, ReactorChoice::Uring);
        format!(
            "{reactor}|{}|{}|{}|{}|{}|{memory_max}|{request_bytes_max}|{at}",
            self.shards,
            self.native,
            self.http,
            self.log.display(),
            self.log_bytes_max
        )
    }

    fn of_text(text: &str) -> Option<Self> {
        let [
            uring,
            shards,
            native,
            http,
            log,
            bytes_max,
            memory_max,
            request_bytes_max,
            at,
        ] = text.split('|').collect::<Vec<_>>().try_into().ok()?;
        let memory: (usize, usize) = (memory_max.parse().ok()?, request_bytes_max.parse().ok()?);
        Some(Settings {
            reactor: match uring {
                "true" => ReactorChoice::Uring,
                _ => ReactorChoice::Epoll,
            },
            shards: shards.parse().ok()?,
            native: native.parse().ok()?,
            http: http.parse().ok()?,
            log: Path::new(log).to_owned(),
            log_bytes_max: bytes_max.parse().ok()?,
            memory: Some(memory).filter(|(memory_max, _)| *memory_max > 0),
            at: Addresses::of_text(at),
        })
    }
}

impl Addresses {
    fn to_text(self) -> String {
        format!("{} {} {}", self.grpc, self.http, self.admin)
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut all = text.split(' ').map(|address| address.parse().ok());
        Some(Addresses {
            grpc: all.next()??,
            http: all.next()??,
            admin: all.next()??,
        })
    }
}

/// Scenario: none; see the module. In a run of the tests it does nothing.
/// Guarantee: the engine runs until SIGTERM, and then ends in order.
#[test]
fn engine_process() {
    let Ok(settings) = std::env::var(SETTINGS) else {
        return;
    };
    let settings = Settings::of_text(&settings).expect("settings");
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut config = config_for(settings.native, format!("http://{}", settings.http));
    config.reactor = settings.reactor;
    config.shards = settings.shards;
    config.ack = AckMode::Log;
    config.log.folder = settings.log;
    config.log.bytes_max = settings.log_bytes_max;
    if let Some((memory_max, request_bytes_max)) = settings.memory {
        config.memory = MemoryPlan::new(memory_max, config.shards);
        config.request_bytes_max = request_bytes_max;
        assert!(request_bytes_max <= config.memory.request_bytes_max());
    }
    config.drain_timeout = Duration::from_secs(60);
    if let Some(at) = settings.at {
        (config.otlp_grpc, config.otlp_http, config.admin) = (at.grpc, at.http, at.admin);
    }
    let mut signals = Signals::new([SIGTERM]).expect("signals");
    let engine = Engine::start(config).unwrap_or_else(|error| panic!("{error}"));
    let at = Addresses {
        grpc: engine.grpc_addr(),
        http: engine.http_addr(),
        admin: engine.admin_addr(),
    };
    println!("\n{LISTENS}{}", at.to_text());
    signals.forever().next();
    let report = engine.shutdown();
    assert_eq!(report.drained, report.shards, "{report}");
}
