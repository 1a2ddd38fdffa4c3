//! An installation of its own for one certification: runs this program's `up` over a temporary folder on free ports,
//! and gives its addresses. Both are gone when it ends.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spanmill_loadgen::Stop;
use tempfile::TempDir;

use crate::error::Error;
use crate::options::Options;

/// ClickHouse may have to be fetched first.
const START_PATIENCE: Duration = Duration::from_secs(900);
/// It stores what it has taken.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Its last words, when it does not start.
const LAST_LINES: usize = 8;

/// A running `up`, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Installation {
    child: Child,
    /// The child's, for others to end it by; 0 once it has ended.
    pid: Arc<AtomicI32>,
    program: PathBuf,
    // After the child: fields are dropped in order, and it writes into the folder.
    folder: TempDir,
}

impl Installation {
    /// Runs `up` with `more` arguments, and points `options` at it; its id is in `pid` while it runs.
    ///
    /// # Errors
    /// When it does not start, or `stop` ends the wait.
    pub(crate) fn start(
        options: &mut Options,
        more: &[OsString],
        stop: &Stop,
        pid: &Arc<AtomicI32>,
    ) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::Thread)?;
        let folder = tempfile::Builder::new()
            .prefix("spanmill-certify-")
            .tempdir();
        let folder = folder.map_err(Error::Thread)?;
        let log = File::create(folder.path().join("log")).map_err(Error::Thread)?;
        let mut command = Command::new(&program);
        command
            .arg("up")
            .arg("--data-dir")
            .arg(folder.path().join("data"));
        for listener in ["--otlp-grpc", "--otlp-http", "--admin", "--query"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.args([
            "--native-port",
            "0",
            "--http-port",
            "0",
            "--log-format",
            "text",
        ]);
        // Nothing of this user's own set-up: it is measured as it comes, but for what is said behind `--`.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("SPANMILL_") && name != "SPANMILL_LIBCHDB" {
                command.env_remove(name);
            }
        }
        command
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        // A Ctrl-C is for this process alone, which then ends that one in order.
        command.process_group(0);
        let child = command.spawn().map_err(|error| Error::Start {
            program: program.clone(),
            reason: error.to_string(),
            log: String::new(),
        })?;
        pid.store(child.id().cast_signed(), Ordering::SeqCst);
        let mut installation = Installation {
            child,
            pid: Arc::clone(pid),
            program,
            folder,
        };
        let block = installation.block(stop)?;
        let value = |name: &str| {
            let rest = block
                .lines()
                .find_map(|line| line.trim().strip_prefix(name));
            rest.and_then(|rest| rest.split_whitespace().next())
                .map(str::to_owned)
        };
        let url = |address: &str| match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let address = |name: &'static str| {
            value(name).ok_or_else(|| installation.failed(format!("it printed no {name}")))
        };
        let http = address("OTLP/HTTP")?;
        options.otlp_http = options
            .otlp_http
            .as_ref()
            .map(|_| http.trim_start_matches("http://").to_owned());
        options.otlp_grpc = address("OTLP/gRPC")?;
        options.admin = url(&address("Admin")?);
        options.clickhouse = url(&address("ClickHouse")?);
        options.query = url(&address("Health")?);
        Ok(installation)
    }

    /// What is printed when all runs.
    fn block(&mut self, stop: &Stop) -> Result<String, Error> {
        let stdout = self.child.stdout.take();
        let (sender, lines) = channel();
        // Ends with the child, whose output it reads to the end.
        std::thread::spawn(move || {
            let lines = stdout
                .into_iter()
                .flat_map(|stdout| BufReader::new(stdout).lines());
            for line in lines.map_while(Result::ok) {
                // Nobody listens any more once the block is there.
                let _ = sender.send(line);
            }
        });
        let until = Instant::now() + START_PATIENCE;
        let mut block = String::new();
        while !block.contains("Ctrl-C stops.") {
            match lines.recv_timeout(LOOK) {
                Ok(line) => block += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failed("it ended".into()));
                }
                Err(RecvTimeoutError::Timeout) if stop.is_stopped() => {
                    return Err(self.failed("it was asked to end".into()));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > until => {
                    return Err(self.failed("it took too long".into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(block)
    }

    fn failed(&self, reason: String) -> Error {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
        Error::Start {
            program: self.program.clone(),
            reason,
            log: lines.into_iter().rev().collect::<Vec<_>>().join("\n"),
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        terminate(self.pid.load(Ordering::SeqCst));
        let until = Instant::now() + STOP_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.pid.store(0, Ordering::SeqCst);
    }
}

/// Asks a process to end; it may have done so by itself.
pub(crate) fn terminate(pid: i32) {
    if pid > 0 {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}
