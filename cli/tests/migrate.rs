//! `migrate` against a real ClickHouse, and against none.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;

use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};
use support::{Spanmill, command, output, query, value_of};

fn migrate(http: &str, flags: &[&str], password: &str) -> (Output, String) {
    let mut command = command(&["migrate", "--clickhouse-http", http]);
    let output = output(
        command
            .args(flags)
            .env("SPANMILL_CLICKHOUSE_PASSWORD", password),
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// Scenario: `migrate` twice on a fresh ClickHouse, logging JSON. Guarantees: the first run makes
/// the tables, the second finds nothing to do, both end with 0, and each log line is an object.
#[test]
fn tables_are_made_once() {
    let data = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("clickhouse", data.path());
    let block = spanmill.block();
    let http = value_of(&block, "ClickHouse");
    let applied = || query(http, "SELECT count() FROM spanmill.schema_migrations");

    let (first, said) = migrate(http, &["--log-format", "json"], "");
    assert!(first.status.success(), "{said}");
    let after_first = applied();
    assert_ne!(after_first, "0");
    assert!(said.contains("tables are up to date"), "{said}");
    assert!(
        said.lines()
            .all(|line| line.starts_with('{') && line.ends_with('}')),
        "{said}"
    );

    let (second, said) = migrate(http, &[], "");
    assert!(second.status.success(), "{said}");
    assert!(said.contains("applied=[]"), "{said}");
    assert_eq!(applied(), after_first);

    spanmill.signal(Signal::SIGTERM);
    assert_eq!(spanmill.ended().0.code(), Some(0));
}

/// Scenario: a wrong password, with everything logged that can be. Guarantees: it fails with 1,
/// and the password is nowhere in what is said.
#[test]
fn a_password_is_never_logged() {
    let data = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("clickhouse", data.path());
    let block = spanmill.block();
    let password = "s3cret-of-this-test";
    let http = value_of(&block, "ClickHouse");
    let (output, said) = migrate(http, &["--log-level", "trace"], password);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TRACE"), "nothing was logged: {said}");
    assert!(!said.contains(password), "{said}");
}

/// Scenario: nobody listens at the address. Guarantees: it fails with 1 and names the address.
#[test]
fn a_missing_clickhouse_is_named() {
    // Bound, so that nobody else takes it, and never listened on.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a free port");
    let address = socket
        .local_addr()
        .expect("its address")
        .as_socket()
        .expect("an IP address");
    let (output, said) = migrate(&format!("http://{address}"), &[], "");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}
