//! A private server from outside: it answers on both ports, keeps its data over a stop, shares a
//! machine with others, and refuses to start with words that name what is in the way.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use spanmill_embedded::testing::{TestServer, private_options, start_private};
use spanmill_embedded::{Error, Port, Server, ServerOptions};

fn start_error(options: &ServerOptions) -> Error {
    Server::start(options).expect_err("the server refuses to start")
}

fn text(error: &Error, parts: &[&str]) {
    let error = error.to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

fn program(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// The client's Hello of the native protocol, and the first bytes of what the server says to it.
fn hello(server: &TestServer) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.native_addr()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // Packet 0, client name, version 1.1, revision 54058, database, user, password.
    stream
        .write_all(b"\x00\x04test\x01\x01\xaa\xa6\x03\x00\x07default\x00")
        .unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// Scenario: a private server is started. Guarantees: it answers over HTTP and says Hello over the
/// native protocol, its zone is UTC, and a refused statement is an error with the server's words.
#[test]
fn answers_on_both_ports() {
    let server = start_private();
    assert_eq!(
        server.query("SELECT 1 + 1, timezone()").unwrap(),
        "2\tUTC\n"
    );
    assert_eq!(hello(&server), b"\x00\x0aClickHouse");
    let refused = server
        .query("SELECT no_such_column")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no_such_column"), "{refused}");
}

/// Scenario: rows are written, the server is stopped with SIGTERM and started again. Guarantees: it
/// ends cleanly, comes back at the same addresses, and has every row; its former log is kept.
#[test]
fn data_survives_a_restart() {
    let mut server = start_private();
    server.query("CREATE DATABASE d").unwrap();
    server
        .query("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
        .unwrap();
    server
        .query("INSERT INTO d.t SELECT number FROM numbers(1000)")
        .unwrap();
    let pid = server.server().pid();
    let url = server.http_url();
    server.restart();
    assert_ne!(server.server().pid(), pid);
    assert_eq!(server.server().http_url(), url);
    assert_eq!(
        server.query("SELECT count(), sum(n) FROM d.t").unwrap(),
        "1000\t499500\n"
    );
    assert!(server.data_dir().join("clickhouse.log.1").exists());
}

/// Scenario: a table with mutations and merges on the small merge pool. Guarantees: both finish,
/// which they never do when the pool is smaller than the thresholds for starting them.
#[test]
fn merges_and_mutations_run() {
    let server = start_private();
    server.query("CREATE DATABASE d").unwrap();
    server
        .query("CREATE TABLE d.t (n UInt64, m UInt8) ENGINE = MergeTree ORDER BY n")
        .unwrap();
    for _ in 0..3 {
        server
            .query("INSERT INTO d.t SELECT number, 0 FROM numbers(1000)")
            .unwrap();
    }
    server
        .query("ALTER TABLE d.t UPDATE m = 1 WHERE n < 10 SETTINGS mutations_sync = 2")
        .unwrap();
    server.query("OPTIMIZE TABLE d.t FINAL").unwrap();
    assert_eq!(server.query("SELECT sum(m) FROM d.t").unwrap(), "30\n");
    let parts = "SELECT count() FROM system.parts WHERE database = 'd' AND active";
    assert_eq!(server.query(parts).unwrap(), "1\n");
}

/// Scenario: two servers are started at the same moment and the same table is made in both.
/// Guarantees: they get different ports and each sees its own row only.
#[test]
fn two_do_not_collide() {
    let starting = thread::spawn(start_private);
    let servers = [start_private(), starting.join().unwrap()];
    assert_ne!(servers[0].native_addr(), servers[1].native_addr());
    assert_ne!(servers[0].http_addr(), servers[1].http_addr());
    for (i, server) in servers.iter().enumerate() {
        server.query("CREATE DATABASE d").unwrap();
        server
            .query("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
            .unwrap();
        server
            .query(&format!("INSERT INTO d.t VALUES ({i})"))
            .unwrap();
    }
    for (i, server) in servers.iter().enumerate() {
        assert_eq!(server.query("SELECT n FROM d.t").unwrap(), format!("{i}\n"));
    }
}

/// Scenario: a second server is started on the folder of a running one. Guarantees: it is refused
/// with the folder and the running process named, and the first one is undisturbed.
#[test]
fn folder_in_use_is_refused() {
    let mut server = start_private();
    let error = start_error(&private_options(server.data_dir()));
    assert!(matches!(error, Error::DataFolderInUse { .. }), "{error}");
    let pid = format!("by process {}", server.server().pid());
    text(&error, &[server.data_dir().to_str().unwrap(), &pid]);
    assert_eq!(server.query("SELECT 1").unwrap(), "1\n");
    assert!(!server.data_dir().join("clickhouse.log.1").exists());
}

/// Scenario: the port asked for is held by somebody, and by another ClickHouse of ours.
/// Guarantees: `Exactly` is refused with port and use named; `Prefer` takes another port and the
/// server is the new one.
#[test]
fn taken_port_is_refused_or_avoided() {
    let folder = tempfile::tempdir().unwrap();
    let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = owner.local_addr().unwrap().port();
    let options = private_options(folder.path());
    let exact = ServerOptions {
        native_port: Port::Exactly(taken),
        ..options.clone()
    };
    let error = start_error(&exact);
    assert!(matches!(error, Error::PortTaken { .. }), "{error}");
    text(&error, &[&taken.to_string(), "native"]);

    let other = start_private();
    let taken = other.http_addr().port();
    let exact = ServerOptions {
        http_port: Port::Exactly(taken),
        ..options.clone()
    };
    text(&start_error(&exact), &[&taken.to_string(), "HTTP"]);

    let server = Server::start(&ServerOptions {
        http_port: Port::Prefer(taken),
        ..options
    })
    .unwrap();
    assert_ne!(server.http_addr(), other.http_addr());
}

/// Scenario: the library named is not there, and is no library. Guarantees: the first error names
/// the path and the variable, the second shows what the loader said.
#[test]
fn missing_or_broken_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("nowhere.so");
    let mut options = private_options(folder.path());
    options.library = Some(library.clone());
    let error = start_error(&options);
    assert!(matches!(error, Error::LibraryMissing { .. }), "{error}");
    text(&error, &[library.to_str().unwrap(), "SPANMILL_LIBCHDB"]);

    fs::write(&library, "no library").unwrap();
    let error = start_error(&options);
    assert!(matches!(error, Error::StartFailed { .. }), "{error}");
    text(&error, &["exit status: 1", "nowhere.so: file too short"]);
}

/// Scenario: the host program does not exist, or ends at once with a message. Guarantees: both are
/// noticed at once, the error names the program or repeats its message, and the folder is free
/// again.
#[test]
fn failing_host_program_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = private_options(folder.path());
    options.host_program = program(&["/nowhere/spanmill"]);
    text(
        &start_error(&options),
        &["/nowhere/spanmill", "No such file"],
    );

    options.host_program = program(&["/bin/sh", "-c", "echo 'out of luck' >&2; exit 3"]);
    text(&start_error(&options), &["exit status: 3", "out of luck"]);

    options.host_program = private_options(folder.path()).host_program;
    Server::start(&options).unwrap().stop().unwrap();
}

/// Scenario: the server is killed behind our back. Guarantees: waiting for it returns at once, and
/// stopping it says how it ended.
#[test]
fn end_of_the_server_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&private_options(folder.path())).unwrap();
    assert!(server.wait(Duration::ZERO).is_none() && server.try_exited().is_none());
    let kill = format!("kill -9 {}", server.pid());
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let status = server
        .wait(Duration::from_secs(60))
        .expect("the end is noticed");
    assert_eq!(server.try_exited(), Some(status));
    text(
        &server.stop().unwrap_err(),
        &["signal: 9", folder.path().to_str().unwrap()],
    );
}
