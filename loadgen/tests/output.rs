//! What a run leaves behind: its files, and the page that shows it while it lasts.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use spanmill_loadgen::{Error, Live, Options, Rate, Stop, run};
use support::{Reaction, Receiver};

fn options(receiver: &Receiver) -> Options {
    Options {
        endpoint: Some(receiver.address.to_string()),
        rate: Rate::Items(2000.0),
        duration: Duration::from_millis(1200),
        items_per_request: 20,
        distinct: 4,
        ..Options::default()
    }
}

/// Scenario: a run with one partial success is saved. Guarantees: the JSON holds options, seed, version, counts,
/// failures by status and the series; the percentile file counts every acknowledged request.
#[test]
fn a_report_is_saved() {
    let receiver = Receiver::start(true, |number| match number {
        3 => Reaction::Partial(5),
        _ => Reaction::Store,
    });
    let report = run(&options(&receiver), &Stop::default(), |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made");
    report.save(&folder).unwrap();
    let json = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["options"]["seed"], 1);
    assert_eq!(json["options"]["signals"], "traces=1");
    assert_eq!(json["options"]["rate"], 2000.0);
    assert_eq!(json["total"]["acknowledged"], receiver.stored("traces"));
    assert_eq!(json["total"]["due"], 2400);
    assert_eq!(json["failures"]["partial success"]["items"], 5);
    let series = json["series"].as_array().unwrap().iter();
    let acknowledged: u64 = series
        .map(|second| second["acknowledged"].as_u64().unwrap())
        .sum();
    assert_eq!(acknowledged, 2395);

    let text = std::fs::read_to_string(folder.join("latency.hgrm")).unwrap();
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(2)
        .take_while(|line| !line.starts_with('#'))
        .map(|line| {
            line.split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect()
        })
        .collect();
    assert!(rows.iter().all(|row| row.len() == 4));
    assert!(
        rows.is_sorted_by(|one, other| one[0] <= other[0]
            && one[1] <= other[1]
            && one[2] <= other[2])
    );
    assert_eq!(rows.last().unwrap()[1..3], [1.0, 120.0]);
    assert!(text.contains("Total count    =          120]"), "{text}");
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Scenario: the page is asked while a run goes on. Guarantees: it is there, names no other host, and its data
/// are the run's; other paths are not there, and an address that is not on loopback is refused.
#[test]
fn the_page_shows_the_run() {
    let receiver = Receiver::start(true, |_| Reaction::Store);
    let options = options(&receiver);
    let live = Live::start("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let page = get(live.address(), "/");
    assert!(
        page.contains("200 OK") && page.contains("text/html"),
        "{page}"
    );
    assert!(
        !page.contains("://"),
        "the page takes something from elsewhere"
    );
    assert!(get(live.address(), "/state.json").contains("\"snapshot\":null"));
    assert!(get(live.address(), "/other").contains("404"));

    let mut shown = Vec::new();
    let report = run(&options, &Stop::default(), |snapshot| {
        live.show(snapshot);
        let answer = get(live.address(), "/state.json?again");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let state: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            state["snapshot"]["total"]["acknowledged"],
            snapshot.total.acknowledged
        );
        shown.push(state["seconds"].as_array().unwrap().len());
    });
    let report = report.unwrap();
    // What comes in the fifth of a second at the end is shown with the second before.
    assert_eq!(shown.last(), Some(&report.series.len()));
    assert!(shown.is_sorted());

    let elsewhere = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        Live::start(elsewhere, &options),
        Err(Error::LiveAddress(_))
    ));
}
