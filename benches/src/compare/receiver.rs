//! A receiver that runs: started for one run and ended after it, or found running and left alone.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use spanmill_benches::family;
use spanmill_benches::process::cpu_set;
use spanmill_embedded::testing::host_program;
use spanmill_loadgen::Protocol;
use tempfile::TempDir;

use crate::options::Options;
use crate::places::Places;
use crate::sink::Sink;
use crate::{Cpus, Interrupt};

/// How long a start may take, and how long between two looks whether it listens, which nothing else tells.
const START_PATIENCE: Duration = Duration::from_secs(60);
const START_PAUSE: Duration = Duration::from_millis(20);
/// How long an end may take from SIGTERM to SIGKILL.
const END_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of what it said that a failure quotes.
const QUOTED_BYTES: usize = 2000;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        ["ours", "theirs"][self as usize]
    }
}

/// See the module.
pub(crate) struct Receiver {
    pub(crate) pid: u32,
    /// Where it takes the protocol of the load.
    pub(crate) endpoint: SocketAddr,
    started: Option<(Child, TempDir)>,
}

impl Receiver {
    /// Comes back when it listens.
    pub(crate) fn start(
        side: Side,
        options: &Options,
        sink: &Sink,
        cpus: Option<&Cpus>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        if let (Side::Theirs, Some(pid), Some(endpoint)) =
            (side, options.other_pid, options.other_otlp)
        {
            family::members(pid)?;
            return Ok(Receiver {
                pid,
                endpoint,
                started: None,
            });
        }
        let folder = tempfile::tempdir()?;
        let mut places = Places::new(sink, folder.path())?;
        let command = match side {
            Side::Ours => our_command(options),
            Side::Theirs => {
                if let Some(template) = &options.fill {
                    places.fill_file(template)?;
                }
                options.other.clone()
            }
        };
        let command: Vec<_> = command.iter().map(|word| places.fill(word)).collect();
        let child = spawn(&command, &folder, cpus)
            .with_context(|| format!("{} cannot be started", command.join(" ")))?;
        let mut receiver = Receiver {
            pid: child.id(),
            endpoint: match options.load.protocol {
                Protocol::Grpc => places.otlp_grpc,
                Protocol::Http => places.otlp_http,
            },
            started: Some((child, folder)),
        };
        receiver.await_listening(interrupt)?;
        Ok(receiver)
    }

    fn await_listening(&mut self, interrupt: &Interrupt) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.endpoint).is_err() {
            interrupt.check()?;
            if let Some((child, _)) = &mut self.started
                && let Some(status) = child.try_wait()?
            {
                bail!("it ended with {status}{}", self.last_words());
            }
            ensure!(
                begun.elapsed() < START_PATIENCE,
                "it did not listen at {} within {} s{}",
                self.endpoint,
                START_PATIENCE.as_secs(),
                self.last_words()
            );
            thread::sleep(START_PAUSE);
        }
        Ok(())
    }

    /// The end of what it has printed, to be put behind what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let Some((_, folder)) = &self.started else {
            return String::new();
        };
        let said = std::fs::read(output_file(folder)).unwrap_or_default();
        let last = &said[said.len().saturating_sub(QUOTED_BYTES)..];
        match last {
            [] => String::new(),
            last => format!("; it said last:\n{}", String::from_utf8_lossy(last)),
        }
    }
}

impl Drop for Receiver {
    /// SIGTERM to all of its process group, and SIGKILL to what has not ended by then.
    fn drop(&mut self) {
        let Some((child, _)) = &mut self.started else {
            return;
        };
        // Nothing that goes wrong here changes what was measured.
        let group = Pid::from_raw(child.id() as i32);
        let _ = killpg(group, Signal::SIGTERM);
        let (ended, end) = std::sync::mpsc::channel();
        let waiting = thread::spawn(move || {
            // It stays waitable, so that its id is not another's before the group is killed.
            let ending = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            let _ = waitid(Id::Pid(group), ending);
            let _ = ended.send(());
        });
        let _ = end.recv_timeout(END_PATIENCE);
        let _ = killpg(group, Signal::SIGKILL);
        let _ = waiting.join();
        let _ = child.wait();
    }
}

fn our_command(options: &Options) -> Vec<String> {
    let program = match &options.ours {
        Some(program) => program.display().to_string(),
        None => host_program()[0].to_string_lossy().into_owned(),
    };
    let words = [
        "engine",
        "--otlp-grpc={otlp_grpc}",
        "--otlp-http={otlp_http}",
        "--admin=127.0.0.1:0",
        "--clickhouse={clickhouse_native}",
        "--clickhouse-http=http://{clickhouse_http}",
        "--wal-dir={folder}/wal",
    ];
    let words = words.into_iter().map(str::to_owned);
    let words = words.chain(options.ours_args.iter().cloned());
    std::iter::once(program).chain(words).collect()
}

fn output_file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("output")
}

/// Starts it in a process group of its own, on its CPU from the first moment: what it then finds there decides
/// how many threads it runs.
fn spawn(command: &[String], folder: &TempDir, cpus: Option<&Cpus>) -> Result<Child> {
    use std::os::unix::process::CommandExt as _;

    let (program, arguments) = command.split_first().context("the command is empty")?;
    let output = File::create(output_file(folder))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    let Some(cpus) = cpus else {
        return Ok(command.spawn()?);
    };
    // A child has the CPUs of the thread that starts it.
    let this_thread = Pid::from_raw(0);
    let own = sched_getaffinity(this_thread)?;
    sched_setaffinity(this_thread, &cpu_set(&cpus.receiver)?)?;
    let child = command.spawn();
    sched_setaffinity(this_thread, &own)?;
    Ok(child?)
}
