//! Spanmill beside itself, given as a command like any other: what holds for it holds for others.

use std::fs;

use crate::measure::Run;
use crate::options::{Options, parse_from};
use crate::report::Comparison;
use crate::sink::Sink;
use crate::{Interrupt, compare_over};

/// Items of each run: 20,000 a second for half a second.
const ITEMS: u64 = 10_000;
/// And of its warm-up, a tenth of a second.
const WARM_UP_ITEMS: u64 = 2_000;
const ROUNDS: usize = 2;

/// A second Spanmill, told of its places by `of_theirs`; both are quiet for longer than they gather rows.
fn options(more: &str, of_theirs: &str) -> Options {
    let program = &spanmill_embedded::testing::host_program()[0];
    let text = format!(
        "compare --not-pinned --rounds {ROUNDS} --warm-up 100ms --quiet 500ms --rate 20000 --duration 500ms \
         --items-per-request 100 --ours-arg --batch-age=50ms {more} -- {} engine --batch-age=50ms {of_theirs} --wal-dir={{folder}}/log",
        program.display()
    );
    parse_from(text.split_whitespace().map(str::to_owned)).unwrap()
}

fn compared(options: &Options, sink: &Sink) -> Comparison {
    let comparison = compare_over(options, None, sink, &Interrupt::default()).unwrap();
    let runs = |runs: &[Run]| -> Vec<_> {
        let counts = runs.iter().map(|run| (run.acknowledged, run.failed));
        counts.collect()
    };
    assert_eq!(runs(&comparison.ours), [(ITEMS, 0); ROUNDS]);
    assert_eq!(runs(&comparison.theirs), [(ITEMS, 0); ROUNDS]);
    comparison
}

/// Scenario: Spanmill is measured beside itself over HTTP, told of everything by a file that is filled in, with a sink
/// that keeps nothing. Guarantee: of each run of both sides all items are acknowledged, none fails, and as many bytes
/// come to the sink from one as from the other, as the printed report says too.
#[test]
fn both_sides_bring_the_same_to_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("their.yaml");
    let settings = "otlp_grpc: \"{otlp_grpc}\"\notlp_http: \"{otlp_http}\"\nadmin: 127.0.0.1:0\n\
                    clickhouse: \"{clickhouse_native}\"\nclickhouse_http: http://{clickhouse_http}\n";
    fs::write(&template, settings).unwrap();
    // A connection for each request, so that none waits for another on a busy machine and is not sent in time.
    let more = format!(
        "--protocol http --connections 100 --fill {}",
        template.display()
    );
    let options = options(&more, "--config={file}");
    let comparison = compared(&options, &Sink::start(&options).unwrap());

    for run in comparison.ours.iter().chain(&comparison.theirs) {
        assert!(run.inserts > Some(0) && run.inserted_bytes_per_item > Some(10.0));
    }
    let json: serde_json::Value = serde_json::from_str(&comparison.printed(true)).unwrap();
    let figures = json["figures"].as_array().unwrap();
    let figure = |name: &str| figures.iter().find(|figure| figure["name"] == name);
    let ratio = &figure("bytes inserted an item").unwrap()["ratio"]["median"];
    let ratio = ratio.as_f64().unwrap();
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
    assert_eq!(figure("items that failed").unwrap()["theirs"]["max"], 0.0);
    let text = comparison.printed(false);
    assert!(text.contains("items that failed       0 / 0 / 0"), "{text}");
}

/// Scenario: the same over gRPC into a real ClickHouse. Guarantee: it holds as many spans as all runs and warm-ups of
/// both sides have sent.
#[test]
fn a_real_clickhouse_has_what_both_sides_sent() {
    let options = options(
        "--clickhouse",
        "--otlp-grpc={otlp_grpc} --otlp-http={otlp_http} --admin=127.0.0.1:0 \
         --clickhouse={clickhouse_native} --clickhouse-http=http://{clickhouse_http}",
    );
    let sink = Sink::start(&options).unwrap();
    compared(&options, &sink);
    let stored = sink.query("SELECT count() FROM spanmill.otel_traces");
    let sent = 2 * ROUNDS as u64 * (ITEMS + WARM_UP_ITEMS);
    assert_eq!(stored.trim().parse(), Ok(sent));
}

/// Scenario: the other's command ends at once, having said why. Guarantee: the comparison fails with these words and
/// the side's name.
#[test]
fn a_command_that_ends_is_quoted() {
    let arguments = [
        "compare",
        "--not-pinned",
        "--rounds",
        "1",
        "--warm-up",
        "0s",
    ];
    let arguments = arguments.into_iter().chain([
        "--quiet",
        "0s",
        "--rate",
        "1000",
        "--duration",
        "100ms",
        "--",
        "sh",
        "-c",
        "echo no {otlp_grpc}; exit 3",
    ]);
    let options = parse_from(arguments.map(str::to_owned)).unwrap();
    let sink = Sink::start(&options).unwrap();
    let error = compare_over(&options, None, &sink, &Interrupt::default()).unwrap_err();
    let words = format!("{error:#}");
    assert!(
        words.contains("theirs") && words.contains("no 127.0.0.1:"),
        "{words}"
    );
}
