//! `forget-lost-tokens` on the folders of a ClickHouse that was killed.

mod support;

use std::fs;

use support::{command, output};

/// Scenario: a table has noted an insert and does not hold its part. Guarantees: the command ends with 0, says
/// how many tokens it dropped, and the table's log of tokens drops it.
#[test]
fn what_was_noted_and_not_stored_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("store/abc/abcdef/deduplication_logs");
    fs::create_dir_all(&logs).expect("the table's folder");
    let log = logs.join("deduplication_log_1.txt");
    fs::write(&log, "1\tall_1_1_0\tall_12_34\n").expect("the table's log");

    let mended = output(command(&["forget-lost-tokens"]).arg(folder.path()));
    let said = String::from_utf8_lossy(&mended.stderr);
    assert!(mended.status.success(), "{said}");
    assert!(said.contains("tokens=1"), "{said}");
    let log = fs::read_to_string(&log).expect("the table's log");
    assert!(log.ends_with("\n2\tall_1_1_0\tall_12_34\n"), "{log}");
}

/// Scenario: a folder that is none of ClickHouse's. Guarantees: it ends with 1 and names the folder.
#[test]
fn another_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = output(command(&["forget-lost-tokens"]).arg(folder.path()));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&*folder.path().to_string_lossy()), "{said}");
}
