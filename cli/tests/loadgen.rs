//! `loadgen` against `up`: the real binary on both sides, with a real embedded ClickHouse.

mod support;

use nix::sys::signal::Signal;
use support::{Spanmill, command, output, query, value_of, wait_until_ok};

/// Scenario: two seconds of all signals are sent to a fresh `up`, which then stops in order; ClickHouse comes up
/// again alone. Guarantees: `loadgen` ends with 0, and as many spans, records and points are stored as its
/// report says were acknowledged, no span twice.
#[test]
fn what_is_acknowledged_is_stored() {
    let data = tempfile::tempdir().expect("a folder");
    let out = tempfile::tempdir().expect("a folder");
    let spanmill = Spanmill::start("up", data.path());
    let block = spanmill.block();
    wait_until_ok(value_of(&block, "Admin"), "/readyz");

    let out_path = out.path().to_str().expect("UTF-8");
    let endpoint = value_of(&block, "OTLP/gRPC");
    let rate = [
        "--duration",
        "2s",
        "--rate",
        "5000",
        "--items-per-request",
        "100",
    ];
    let signals = ["--signals", "traces=3,logs=1,metrics=1", "--out", out_path];
    let mut load = command(&["loadgen", "--endpoint", endpoint]);
    let ran = output(load.args(rate).args(signals));
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{said}{complained}");
    let report = std::fs::read_to_string(out.path().join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["total"]["due"], report["total"]["acknowledged"]);
    assert!(
        report["total"]["due"]
            .as_u64()
            .is_some_and(|due| due >= 10_000)
    );

    // When it has stopped, all that it took is stored.
    spanmill.signal(Signal::SIGTERM);
    let (status, log) = spanmill.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    let clickhouse = Spanmill::start("clickhouse", data.path());
    let block = clickhouse.block();
    let ask = |sql: &str| query(value_of(&block, "ClickHouse"), sql);
    for (signal, table) in [
        ("traces", "otel_traces"),
        ("logs", "otel_logs"),
        ("metrics", "otel_metrics"),
    ] {
        let stored = ask(&format!("SELECT count() FROM spanmill.{table}"));
        let acknowledged = report["signals"][signal]["acknowledged"].to_string();
        assert_eq!(stored, acknowledged, "{signal}");
    }
    let twice = "SELECT count() - uniqExact(SpanId) FROM otel.otel_traces";
    assert_eq!(ask(twice), "0");
    clickhouse.signal(Signal::SIGTERM);
    assert_eq!(clickhouse.ended().0.code(), Some(0));
}

/// Scenario: `loadgen` with bad options, without an endpoint that listens, and behind a setting. Guarantees: 2
/// for what is mistyped, 1 for what cannot be reached, each with words that name it; `--help` lists it.
#[test]
fn mistakes_are_named() {
    let said = |arguments: &[&str]| {
        let ran = output(&mut command(arguments));
        let text = [ran.stdout, ran.stderr].concat();
        (
            ran.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, text) = said(&["loadgen", "--rate", "0"]);
    assert!(code == Some(2) && text.contains("above 0"), "{text}");
    let (code, text) = said(&["loadgen", "--encoding", "json"]);
    assert!(
        code == Some(2) && text.contains("--protocol http"),
        "{text}"
    );
    let (code, text) = said(&["--batch-rows", "5", "loadgen"]);
    assert!(code == Some(2) && text.contains("loadgen --help"), "{text}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let (code, text) = said(&["loadgen", "--endpoint", &address]);
    assert!(code == Some(1) && text.contains(&address), "{text}");
    let (code, text) = said(&["--help"]);
    assert!(code == Some(0) && text.contains("loadgen"), "{text}");
    let (code, text) = said(&["loadgen", "--help"]);
    assert!(
        code == Some(0) && text.contains("--items-per-request"),
        "{text}"
    );
}
