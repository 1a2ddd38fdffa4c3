//! What a server outlives and what it must not outlive: hostile bytes on its ports, kill -9, the
//! end of its parent.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use spanmill_embedded::Server;
use spanmill_embedded::testing::{TestServer, private_options, start_private};

/// Bounds a wait for something that must happen; no test depends on how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `bytes` and reads whatever comes back until the server closes or falls silent.
fn provoke(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may close while we still write or read: that is an answer, too.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Scenario: garbage, cut-off and malformed requests and wrong passwords arrive on both ports; each
/// of them kills a clickhouse-local that has no terminal. Guarantees: the same process answers on.
#[test]
fn hostile_bytes_do_not_kill() {
    let mut server = start_private();
    let garbage: Vec<u8> = (0..100_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let bodies: [&[u8]; 9] = [
        b"",
        b"\x00",
        &garbage,
        &[0xff; 4096],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nSELECT",
        b"\x00\x04test\x01\x01\xaa\xa6\x03\x00\x07default\x05wrong",
    ];
    for body in bodies {
        provoke(server.native_addr(), body);
        provoke(server.http_addr(), body);
    }
    let refused = provoke(
        server.http_addr(),
        b"GET /?query=SELECT%201&user=default&password=wrong HTTP/1.0\r\n\r\n",
    );
    assert!(String::from_utf8_lossy(&refused).contains("Authentication failed"));
    assert!(server.server().try_exited().is_none());
    assert_eq!(server.query("SELECT 1").unwrap(), "1\n");
    server.stop();
}

/// Scenario: someone kills every query, and with them the one that keeps the listeners open.
/// Guarantees: the server answers on, and SIGTERM still stops it cleanly.
#[test]
fn survives_the_loss_of_its_own_session() {
    let mut server = start_private();
    // It may begin a moment after the server's first answer.
    let deadline = Instant::now() + PATIENCE;
    let kill = "KILL QUERY WHERE query LIKE 'SELECT count() FROM file(%' ASYNC";
    while server.query(kill).unwrap().is_empty() {
        assert!(
            Instant::now() < deadline,
            "the session's query is not there"
        );
    }
    assert_eq!(server.query("SELECT 1").unwrap(), "1\n");
    assert!(server.server().try_exited().is_none());
    server.stop();
}

/// Scenario: kill -9 arrives while rows are inserted one statement at a time. Guarantees: after a
/// new start every row whose insert was confirmed is there, and none twice.
#[test]
fn kill_keeps_acknowledged_rows() {
    let mut server = start_private();
    server.query("CREATE DATABASE d").unwrap();
    server
        .query("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
        .unwrap();
    let (acked, acks) = mpsc::channel();
    thread::scope(|scope| {
        let url = server.http_addr();
        scope.spawn(move || {
            for n in 0u64.. {
                let sql = format!("INSERT INTO d.t VALUES ({n})");
                let head = format!("POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n", sql.len());
                let answer = TcpStream::connect(url).and_then(|mut stream| {
                    stream.write_all((head + &sql).as_bytes())?;
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer)?;
                    Ok(answer)
                });
                match answer {
                    Ok(answer) if answer.starts_with("HTTP/1.0 200") => acked.send(n).unwrap(),
                    _ => return,
                }
            }
        });
        // In the middle: some are confirmed, the next is under way.
        for _ in 0..50 {
            acks.recv_timeout(PATIENCE).unwrap();
        }
        server.kill();
    });
    let last = acks.iter().last().unwrap_or(49);
    server.start();
    let sql = format!("SELECT count(), uniqExact(n) FROM d.t WHERE n <= {last}");
    let all = last + 1;
    assert_eq!(server.query(&sql).unwrap(), format!("{all}\t{all}\n"));
}

/// Scenario: the thread that started the server ends. Guarantees: the server belongs to the
/// process, not to the thread, and lives on.
#[test]
fn outlives_the_thread_that_started_it() {
    let mut server = thread::spawn(start_private).join().unwrap();
    assert_eq!(server.query("SELECT 1").unwrap(), "1\n");
    assert!(server.server().wait(Duration::from_millis(200)).is_none());
}

/// Scenario: the process that started the server is killed with SIGKILL. Guarantees: the server
/// ends and lets go of the folder, and a new one there has the rows.
#[test]
fn does_not_outlive_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--exact", "helper_parent", "--ignored", "--nocapture"])
        .env("HELPER_FOLDER", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(parent.stdout.take().unwrap()).lines();
    let ready = said
        .map(Result::unwrap)
        .any(|line| line.contains("the server is ready"));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(ready, "the helper did not start a server");

    // The server's process holds this lock until its last moment.
    let lock = File::open(folder.path().join("spanmill.lock")).unwrap();
    let (free, freed) = mpsc::channel();
    thread::spawn(move || {
        lock.lock().unwrap();
        // Closing it would not do: another test's child may have a copy until it runs its program.
        lock.unlock().unwrap();
        free.send(()).unwrap();
    });
    freed
        .recv_timeout(PATIENCE)
        .expect("the server ends with its parent");

    let server = Server::start(&private_options(folder.path())).unwrap();
    assert_eq!(server.query("SELECT n FROM d.t", PATIENCE).unwrap(), "7\n");
}

/// Not a test: the parent of [`does_not_outlive_its_parent`].
#[test]
#[ignore = "run by another test"]
fn helper_parent() {
    let Some(folder) = env::var_os("HELPER_FOLDER").map(PathBuf::from) else {
        return;
    };
    let server = Server::start(&private_options(&folder)).unwrap();
    for sql in [
        "CREATE DATABASE d",
        "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n",
        "INSERT INTO d.t VALUES (7)",
    ] {
        server.query(sql, PATIENCE).unwrap();
    }
    println!("\nthe server is ready");
    loop {
        thread::park();
    }
}

/// Scenario: a server is killed when it has noted an insert's token and not yet renamed the part into place;
/// after the restart the insert is sent again, and so is one that was stored before.
/// Guarantees: the first is stored, and the second is not stored twice.
#[test]
fn a_token_without_its_part_is_not_trusted() {
    let mut server = start_private();
    let insert = |server: &TestServer, value: u32| {
        let sql = format!(
            "INSERT INTO t SETTINGS insert_deduplication_token = 'token-{value}' VALUES ({value})"
        );
        server.query(&sql).unwrap();
    };
    server
        .query(
            "CREATE TABLE t (value UInt32) ENGINE = MergeTree ORDER BY value \
             SETTINGS non_replicated_deduplication_window = 100",
        )
        .unwrap();
    insert(&server, 1);
    insert(&server, 2);
    let newest =
        "SELECT path FROM system.parts WHERE table = 't' AND active AND min_block_number = 2";
    let part = PathBuf::from(server.query(newest).unwrap().trim_end());
    server.kill();
    std::fs::rename(&part, part.with_file_name("tmp_insert_all_2_2_0")).unwrap();
    server.start();
    assert_eq!(server.server().tokens_forgotten(), 1);
    insert(&server, 1);
    insert(&server, 2);
    let stored = server.query("SELECT value FROM t ORDER BY value").unwrap();
    assert_eq!(stored, "1\n2\n");
}
