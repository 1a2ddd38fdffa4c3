//! The real binary examines the machine that the tests run on. What it finds there is not known, only its form.

mod support;

use serde_json::Value;
use support::{command, output};

/// Scenario: `doctor --json` over a folder that is not there yet, with a number of shards.
/// Guarantee: every check has a verdict and says what it saw, advice and problems come with what to do, the exit
/// code follows the problems, and nothing is left in the folder.
#[test]
fn the_machine_is_examined() {
    let folder = tempfile::tempdir().expect("a folder");
    let wal_dir = folder.path().join("data/wal");
    let wal_dir = wal_dir.to_str().expect("UTF-8");
    let out = output(&mut command(&[
        "doctor",
        "--json",
        "--shards",
        "3",
        "--wal-dir",
        wal_dir,
    ]));
    let report: Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    assert_eq!(report["shards"], 3);
    assert_eq!(report["wal_dir"], wal_dir);
    let findings = report["findings"].as_array().expect("a list");
    assert!(findings.len() > 20);
    let mut problems = 0;
    for finding in findings {
        let verdict = finding["verdict"].as_str().expect("a verdict");
        assert!(!finding["seen"].as_str().expect("words").is_empty());
        match verdict {
            "ok" | "unknown" => assert!(finding.get("change").is_none(), "{finding}"),
            "advice" | "problem" => {
                for key in ["what", "command", "why"] {
                    let words = finding["change"][key].as_str();
                    assert!(words.is_some_and(|words| !words.is_empty()), "{finding}");
                }
            }
            _ => panic!("{finding}"),
        }
        problems += u64::from(verdict == "problem");
    }
    assert_eq!(report["problems"], problems);
    assert_eq!(out.status.code(), Some(i32::from(problems > 0)));
    let left = std::fs::read_dir(folder.path())
        .expect("the folder")
        .count();
    assert_eq!(left, 0);
    // This kernel runs the test, so these two can be read and tried wherever that is.
    for check in ["kernel", "wal_sync"] {
        let finding = findings.iter().find(|finding| finding["check"] == check);
        assert_ne!(finding.expect(check)["verdict"], "unknown");
    }
}

/// Scenario: the same for a person, by the variables that the engine takes too; flags that it does not have; and
/// flags of other subcommands in front of it.
/// Guarantee: a line for each check and a sum; bad arguments are named with exit code 2 and nothing is examined.
#[test]
fn a_person_reads_lines_and_complaints() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut examined = command(&["doctor"]);
    examined
        .env("SPANMILL_WAL_DIR", folder.path())
        .env("SPANMILL_SHARDS", "1");
    let out = output(&mut examined);
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty());
    let words: Vec<_> = lines
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let (sum, verdicts) = words.split_last().expect("lines");
    assert!(sum.parse::<u32>().is_ok(), "{text}");
    let known = ["ok", "advice", "problem", "unknown"];
    assert!(
        verdicts.iter().all(|verdict| known.contains(verdict)),
        "{text}"
    );
    assert!(text.contains("; shards 1, log in "), "{text}");

    for arguments in [
        &["doctor", "--shards", "0"][..],
        &["doctor", "--batch-rows", "5"],
        &["--shards", "4", "doctor"],
    ] {
        let out = output(&mut command(arguments));
        assert_eq!(out.status.code(), Some(2), "{arguments:?}");
        assert!(out.stdout.is_empty());
        assert!(!out.stderr.is_empty());
    }
}
