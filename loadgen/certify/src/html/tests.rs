//! Pages of made-up reports.

use super::*;
use crate::facts::{Facts, Host, Server};
use crate::options::Options;
use crate::sample::{LoadPoint, Sample};

const HOSTILE: &str = "<script>alert(1)</script>\"'&</style>";

fn report() -> Report {
    let verdict = |target, outcome| Verdict {
        target,
        title: "A target",
        outcome,
        value: Some(1.0),
        limit: 2.0,
        unit: "ms",
        measured: "1 ms".into(),
        bound: "< 2 ms".into(),
        sentence: HOSTILE.into(),
    };
    let sample = |at: u32| Sample {
        at: f64::from(at),
        seconds: 1.0,
        engine_cpus: (at != 5).then_some(0.5),
        engine_rss_bytes: Some(1e8),
        ..Sample::default()
    };
    let point = |at: u32| LoadPoint {
        at: f64::from(at),
        seconds: 1.0,
        due_per_second: 1000.0,
        acknowledged_per_second: 1000.0,
        p99_ms: Some(3.0),
        ..LoadPoint::default()
    };
    let options = Options {
        otlp_grpc: HOSTILE.into(),
        ..Options::default()
    };
    Report {
        version: "1",
        run: HOSTILE.into(),
        started_unix_seconds: 1.77e9,
        seconds: 60.0,
        interrupted: false,
        verdicts: vec![
            verdict("first", Outcome::Met),
            verdict("second", Outcome::NotMeasured),
        ],
        figures: Vec::new(),
        notes: vec![HOSTILE.into()],
        options,
        facts: Facts {
            host: Host {
                name: Some(HOSTILE.into()),
                cpu_model: Some(HOSTILE.into()),
                ..Host::default()
            },
            clickhouse: Server {
                version: HOSTILE.into(),
                host: HOSTILE.into(),
                ..Server::default()
            },
            ..Facts::default()
        },
        phases: Vec::new(),
        queries: Vec::new(),
        stored: Vec::new(),
        sizes: None,
        drift: Vec::new(),
        ack_curve: Vec::new(),
        load: (1..=10).map(point).collect(),
        samples: (1..=10).map(sample).collect(),
    }
}

/// Scenario: a host, a run, an address and sentences that are HTML. Guarantees: none of it is markup on the page,
/// all of it is shown, and each verdict is there with its outcome.
#[test]
fn hostile_facts_are_only_text() {
    let page = page(&report());
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(
        page.matches("&lt;script&gt;alert(1)").count() >= 8,
        "{page}"
    );
    for (target, outcome) in [("first", "met"), ("second", "not-measured")] {
        let tag = format!("data-target=\"{target}\" data-outcome=\"{outcome}\"");
        assert!(page.contains(&tag), "{page}");
    }
}

/// Scenario: a page with series, one value of which is missing. Guarantees: it names nothing outside of itself, the
/// line breaks where nothing was measured, and plots without any value say so.
#[test]
fn a_page_stands_alone() {
    let page = page(&report());
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let line = page
        .split("line c0")
        .find(|rest| rest.matches('M').count() >= 2);
    assert!(line.is_some(), "no broken line");
    assert!(page.contains("Nothing was measured."));
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

/// Scenario: reports in which all is met, one target is missed and another not measured, and which was cut short.
/// Guarantees: a missed one outweighs what was not measured, and only a whole and good run ends with 0.
#[test]
fn the_exit_code_follows_the_verdicts() {
    let code = |outcomes: &[Outcome], interrupted| {
        let mut report = report();
        report.interrupted = interrupted;
        report.verdicts = outcomes
            .iter()
            .map(|outcome| Verdict {
                outcome: *outcome,
                ..report.verdicts[0].clone()
            })
            .collect();
        report.exit_code()
    };
    use Outcome::{Met, Missed, NotMeasured};
    assert_eq!(code(&[Met, Met], false), 0);
    assert_eq!(code(&[Met, NotMeasured, Missed], false), 1);
    assert_eq!(code(&[Met, NotMeasured], false), 2);
    assert_eq!(code(&[Met], true), 2);
    assert_eq!(code(&[], false), 2);
}
