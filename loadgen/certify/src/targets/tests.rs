//! Verdicts of made-up measurements.

use super::*;
use crate::options::Options;
use crate::verdict::Outcome;

/// Scenario: a soak with a bound for acknowledgements, of which nothing was measured; then one whose rows were
/// counted and some are lost. Guarantees: each target has a verdict with a sentence and none is met; a loss is
/// missed, with its number.
#[test]
fn what_was_not_measured_is_not_met() {
    let mut targets = Options::default().targets;
    targets.ack_p99 = Some(std::time::Duration::from_millis(25));
    let mut measured = Measured {
        targets: &targets,
        must_not_drift: true,
        stored: Err("nobody answered"),
        hold: None,
        cpu: None,
        engine_cpus: None,
        rss_max: None,
        queries: None,
        sizes: Err("nobody answered"),
        drift: &[],
    };
    let all = verdicts(&measured);
    let names: Vec<_> = all.iter().map(|verdict| verdict.target).collect();
    let expected =
        "exactly_once rate engine_cpu engine_rss query_p95 bytes_per_span ack_p99 no_drift";
    assert_eq!(names.join(" "), expected);
    let is_open =
        |verdict: &Verdict| verdict.outcome == Outcome::NotMeasured && verdict.value.is_none();
    assert!(
        all.iter()
            .all(|verdict| is_open(verdict) && !verdict.sentence.is_empty())
    );
    let stored = [Stored {
        mark: "run/0".into(),
        acknowledged: 1000,
        uncertain: 5,
        rows: 998,
        distinct: Some(997),
    }];
    measured.stored = Ok(&stored);
    let once = &verdicts(&measured)[0];
    assert_eq!((once.outcome, once.value), (Outcome::Missed, Some(4.0)));
    assert_eq!(once.measured, "3 lost, 1 too many");
}
