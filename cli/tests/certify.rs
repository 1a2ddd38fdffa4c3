//! `certify` against `up`: the real binary on both sides, with a real embedded ClickHouse, at rates that any machine
//! keeps and bounds that no machine misses.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Spanmill, command, output, query, send, value_of, wait_until_ok};

const TARGETS: [&str; 6] = [
    "exactly_once",
    "rate",
    "engine_cpu",
    "engine_rss",
    "query_p95",
    "bytes_per_span",
];

/// A short certification of what `block` says, with bounds that are always met.
fn certify(block: &str, out: &Path) -> Command {
    let grpc = value_of(block, "OTLP/gRPC");
    let admin = value_of(block, "Admin")
        .split(' ')
        .next()
        .expect("an address");
    let admin = match admin.contains("://") {
        true => admin.to_owned(),
        false => format!("http://{admin}"),
    };
    let mut certify = command(&["certify", "--profile", "smoke", "--no-search", "--out"]);
    certify.arg(out);
    certify.args(["--otlp-grpc", grpc, "--admin", &admin]);
    certify.args(["--clickhouse", value_of(block, "ClickHouse")]);
    let queries = value_of(block, "Health").split(' ').next();
    certify.args(["--query", queries.expect("an address")]);
    certify.args([
        "--rate",
        "2000",
        "--cpu-rate",
        "1000",
        "--spans-per-request",
        "100",
    ]);
    certify.args([
        "--cpu-share",
        "1000",
        "--query-p95",
        "1h",
        "--sustained-ack-p99",
        "1h",
    ]);
    certify
}

fn report(out: &Path) -> (Value, String) {
    let read = |name| std::fs::read_to_string(out.join(name)).expect("a report");
    let json = serde_json::from_str(&read("report.json")).expect("JSON");
    (json, read("report.html"))
}

fn outcome<'a>(report: &'a Value, target: &str) -> &'a str {
    let verdicts = report["verdicts"].as_array().expect("verdicts");
    let mut found = verdicts
        .iter()
        .filter(|verdict| verdict["target"] == target);
    let verdict = found
        .next()
        .unwrap_or_else(|| panic!("no {target} in {verdicts:?}"));
    verdict["outcome"].as_str().expect("an outcome")
}

/// Scenario: a short certification of a fresh `up`, and a second one with a target that nothing meets. Guarantees:
/// 0 and then 1; both reports have each verdict, in JSON and on the page; only the impossible one is missed; and as
/// many spans are stored as both say, though each counts its own alone.
#[test]
fn targets_are_met_and_missed() {
    let data = tempfile::tempdir().expect("a folder");
    let out = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("up", data.path());
    let block = spanmill.block();
    wait_until_ok(value_of(&block, "Admin"), "/readyz");
    let mut stored = 0;
    for (more, code) in [
        ([].as_slice(), 0),
        (["--bytes-per-span", "0.001"].as_slice(), 1),
    ] {
        let ran = output(
            certify(&block, out.path())
                .args(["--duration", "2s"])
                .args(more),
        );
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{said}");
        let (json, page) = report(out.path());
        for target in TARGETS {
            let is_impossible = code == 1 && target == "bytes_per_span";
            let expected = if is_impossible { "missed" } else { "met" };
            assert_eq!(outcome(&json, target), expected, "{target}: {said}");
            let tag = format!("data-target=\"{target}\" data-outcome=\"{expected}\"");
            assert!(page.contains(&tag), "{target} on the page");
        }
        let rows = json["stored"].as_array().expect("stretches").iter();
        let own: u64 = rows
            .map(|stretch| stretch["rows"].as_u64().expect("rows"))
            .sum();
        assert!(own > 0);
        stored += own;
        assert!(
            json["samples"]
                .as_array()
                .is_some_and(|samples| !samples.is_empty())
        );
        let queries = json["queries"].as_array().expect("queries");
        let sum = |figure: &str| -> u64 {
            let figures = queries.iter().map(|query| query[figure].as_u64());
            figures.map(|figure| figure.expect("a number")).sum()
        };
        assert!(sum("asked") > sum("failed"), "{queries:?}");
        for query in queries {
            let question = query["question"].as_str().expect("a question");
            assert!(
                question.starts_with("/api/"),
                "{question} is not the query server's"
            );
        }
        let state = &json["samples"][1];
        for figure in [
            "engine_cpus",
            "clickhouse_cpus",
            "engine_rss_bytes",
            "clickhouse_memory_bytes",
            "parts",
        ] {
            assert!(state[figure].is_f64(), "{figure} in {state}");
        }
    }
    let all = query(
        value_of(&block, "ClickHouse"),
        "SELECT count() FROM spanmill.otel_traces",
    );
    assert_eq!(all, stored.to_string());
}

/// Scenario: a certification of ten minutes is told to end while it holds the target rate. Guarantees: it ends with
/// 2, reports what it has, says that it was ended early, and what was acknowledged is found stored.
#[test]
fn ctrl_c_ends_it_in_order() {
    let data = tempfile::tempdir().expect("a folder");
    let out = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("up", data.path());
    let block = spanmill.block();
    wait_until_ok(value_of(&block, "Admin"), "/readyz");
    let mut long = certify(&block, out.path());
    let mut child = long
        .args(["--duration", "10m"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let begun = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.starts_with("target rate"));
    assert!(begun);
    // Its line comes after ten seconds of load.
    let loaded = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("acknowledged"));
    assert!(loaded);
    send(child.id(), Signal::SIGINT);
    let said: Vec<String> = lines.map_while(Result::ok).collect();
    let status = child.wait().expect("it can be waited for");
    assert_eq!(status.code(), Some(2), "{said:?}");
    let (json, _) = report(out.path());
    assert_eq!(json["interrupted"], true);
    assert_eq!(outcome(&json, "exactly_once"), "met");
    assert_eq!(outcome(&json, "engine_cpu"), "not_measured");
}

/// Scenario: no engine, bad options, and `up`'s arguments without one to start. Guarantees: 2 each time, with words
/// that name the place and what to do; `--help` lists it.
#[test]
fn what_cannot_be_measured_is_named() {
    let said = |arguments: &[&str]| {
        let ran = output(&mut command(arguments));
        let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        (ran.status.code(), text)
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let (code, text) = said(&["certify", "--admin", &nobody]);
    assert!(
        code == Some(2) && text.contains(&nobody) && text.contains("--start"),
        "{text}"
    );
    let (code, text) = said(&["certify", "--rate", "0"]);
    assert!(code == Some(2) && text.contains("--rate"), "{text}");
    let (code, text) = said(&["certify", "--clickhouse", "localhost:9000"]);
    assert!(
        code == Some(2) && text.contains("http://HOST:PORT"),
        "{text}"
    );
    let (code, text) = said(&["certify", "--", "--shards", "1"]);
    assert!(code == Some(2) && text.contains("--start"), "{text}");
    let (code, text) = said(&["--help"]);
    assert!(code == Some(0) && text.contains("certify"), "{text}");
}
