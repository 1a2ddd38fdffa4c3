//! The limit on open files of the real binary: connections are served within the hard one.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use nix::sys::signal::Signal;
use support::{Spanmill, command, pid_in, value_of, wait_until_ok};

/// More connections than 256 descriptors are enough for, whatever the number of shards.
const CONNECTIONS: usize = 120;

/// The binary under limits of its own.
fn limited(subcommand: &str) -> Command {
    let inner = command(&[subcommand]);
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "ulimit -Sn 256 && ulimit -Hn 4096 && exec \"$0\" \"$@\"",
    ]);
    shell.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Soft and hard limit of a process.
fn limits_of(pid: u32) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words = line.expect("the limit").split_whitespace();
    words.skip(3).take(2).map(str::to_owned).collect()
}

/// One request on a connection that stays open, and all of its answer.
fn ask(stream: &mut TcpStream) {
    let request = "POST /v1/traces HTTP/1.1\r\nhost: s\r\ncontent-type: application/x-protobuf\r\n\
                   content-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        answer.extend(byte);
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.to_lowercase().contains("content-length: 0"),
        "{answer}"
    );
}

/// Scenario: `up` with a soft limit of 256 open files and a hard one of 4096, and more clients that keep their
/// connections than 256 are enough for. Guarantees: the process and its ClickHouse have 4096, which the log says; all
/// clients are served, and the first still is when the last has come.
#[test]
fn the_hard_limit_is_what_connections_are_served_within() {
    let data = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start_as(limited("up"), data.path());
    spanmill.log_line("the limit of open files is raised before=256 now=4096");
    let clickhouse = pid_in(&spanmill.log_line("embedded ClickHouse runs pid="));
    let block = spanmill.block();
    assert_eq!(limits_of(spanmill.pid()), ["4096", "4096"]);
    assert_eq!(limits_of(clickhouse), ["4096", "4096"]);
    wait_until_ok(value_of(&block, "Admin"), "/readyz");

    let http = value_of(&block, "OTLP/HTTP").split(' ').next();
    let http = http.expect("a URL").trim_start_matches("http://");
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(http).expect("a connection");
        ask(&mut client);
        clients.push(client);
    }
    clients.iter_mut().for_each(ask);

    spanmill.signal(Signal::SIGTERM);
    let (status, log) = spanmill.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}
