//! Runs the real binary for a test: arguments go in; its printed block, log lines and exit code
//! come out. A process that a failed test leaves behind is killed.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far above what a loaded machine needs; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(200);

/// The binary with no settings from the outside, except where libchdb lies.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanmill"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SPANMILL_") && name != "SPANMILL_LIBCHDB" {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// Runs it to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

/// A running `spanmill`.
pub(crate) struct Spanmill {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Spanmill {
    /// Starts it on free ports over `data_dir`.
    pub(crate) fn start(subcommand: &str, data_dir: &Path) -> Self {
        Self::start_as(command(&[subcommand]), data_dir)
    }

    /// The same with a command that has the subcommand as its last argument.
    pub(crate) fn start_as(mut command: Command, data_dir: &Path) -> Self {
        let data_dir = data_dir.to_str().expect("a UTF-8 path");
        let free = "127.0.0.1:0";
        command.args(["--data-dir", data_dir]);
        command.args(["--otlp-grpc", free, "--otlp-http", free, "--admin", free]);
        command.args(["--query", free]);
        command.args([
            "--native-port",
            "0",
            "--http-port",
            "0",
            "--log-format",
            "text",
        ]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// All of the block that is printed when it is up.
    pub(crate) fn block(&self) -> String {
        let mut block = String::new();
        while !block.contains("Ctrl-C stops.") {
            let line = self.stdout.recv_timeout(PATIENCE);
            block += &line.unwrap_or_else(|_| panic!("no block, but {block:?}; {}", self.log()));
            block.push('\n');
        }
        block
    }

    /// Waits for a line of the log that contains `text`.
    pub(crate) fn log_line(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(_) => panic!("no line with {text:?} in the log"),
            }
        }
    }

    /// What the log holds beyond what was read.
    pub(crate) fn log(&self) -> String {
        self.stderr.try_iter().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits for its end by the end of its log.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            log += &line;
            log.push('\n');
        }
        (self.child.wait().expect("it can be waited for"), log)
    }
}

impl Drop for Spanmill {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to the process `pid`.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("a pid"));
    kill(pid, signal).expect("the signal is sent");
}

/// A process that is stopped as by SIGSTOP, until this is dropped.
pub(crate) struct Frozen(u32);

impl Frozen {
    pub(crate) fn new(pid: u32) -> Self {
        send(pid, Signal::SIGSTOP);
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        send(self.0, Signal::SIGCONT);
    }
}

/// The pid in a log line such as `... pid=123 ...`.
pub(crate) fn pid_in(line: &str) -> u32 {
    let digits = line.split("pid=").nth(1).expect("a pid").split(' ').next();
    digits.expect("digits").parse().expect("a number")
}

/// What stands behind `name` in the printed block.
pub(crate) fn value_of<'a>(block: &'a str, name: &str) -> &'a str {
    let value = block
        .lines()
        .find_map(|line| line.trim().strip_prefix(name));
    value
        .unwrap_or_else(|| panic!("no {name} in {block}"))
        .trim()
}

/// `GET` of `http://address/path`: status and body.
pub(crate) fn get(url: &str, path: &str) -> std::io::Result<(u16, String)> {
    exchange(url, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}

/// What ClickHouse at `url` answers to `sql`, without the end of line.
pub(crate) fn query(url: &str, sql: &str) -> String {
    let length = sql.len();
    let request = format!("POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{sql}");
    let (status, body) = exchange(url, &request).expect("ClickHouse answers");
    assert_eq!(status, 200, "{sql}: {body}");
    body.trim_end().to_owned()
}

/// HTTP/1.0, so that the answer comes in one piece and ends with the connection.
fn exchange(url: &str, request: &str) -> std::io::Result<(u16, String)> {
    let address = url.trim_start_matches("http://").split(['/', ' ']).next();
    let mut stream = TcpStream::connect(address.expect("an address"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.unwrap_or(0), body.to_owned()))
}

/// Asks until the answer is 200.
pub(crate) fn wait_until_ok(url: &str, path: &str) {
    let until = Instant::now() + PATIENCE;
    let mut last = get(url, path);
    while !matches!(last, Ok((200, _))) {
        assert!(Instant::now() < until, "{url}{path} answers {last:?}");
        // Nothing announces readiness but the answer itself.
        std::thread::sleep(Duration::from_millis(20));
        last = get(url, path);
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
