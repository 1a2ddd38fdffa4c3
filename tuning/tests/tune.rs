//! The script `tune` on a made-up root folder: what it would do, what it does, and that it puts everything back.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tune");
const STATE: &str = "run/spanmill/tuning.state";
const HUGE_PAGES: &str = "sys/kernel/mm/transparent_hugepage/enabled";

/// A host on which everything is to be changed, with two receive queues for 40 CPUs, and what that becomes.
const BEFORE_AND_AFTER: [(&str, &str, &str); 14] = [
    ("proc/sys/net/core/somaxconn", "128", "4096"),
    ("proc/sys/net/ipv4/tcp_max_syn_backlog", "1024", "4096"),
    (
        "proc/sys/net/ipv4/tcp_rmem",
        "4096\t131072\t2097152",
        "4096\t131072\t4194304",
    ),
    (
        "proc/sys/net/ipv4/tcp_wmem",
        "4096\t16384\t1048576",
        "4096\t16384\t4194304",
    ),
    ("proc/sys/vm/swappiness", "60", "1"),
    (HUGE_PAGES, "[always] madvise never", "madvise"),
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "powersave",
        "performance",
    ),
    (
        "sys/devices/system/cpu/cpu39/cpufreq/scaling_governor",
        "schedutil",
        "performance",
    ),
    ("proc/sys/net/core/rps_sock_flow_entries", "0", "32768"),
    ("sys/class/net/eth0/queues/rx-0/rps_flow_cnt", "0", "16384"),
    (
        "sys/class/net/eth0/queues/rx-0/rps_cpus",
        "00,00000000",
        "ff,ffffffff",
    ),
    ("sys/class/net/eth0/queues/rx-1/rps_flow_cnt", "0", "16384"),
    // Somebody chose this one.
    (
        "sys/class/net/eth0/queues/rx-1/rps_cpus",
        "00,00000f00",
        "00,00000f00",
    ),
    (
        "sys/class/net/eth1/queues/rx-0/rps_cpus",
        "00,00000000",
        "00,00000000",
    ),
];

/// What the script only reads.
const AROUND: [(&str, &str); 5] = [
    (
        "proc/swaps",
        "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb\tpartition\t8\t0\t-2",
    ),
    (
        "proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
      eth1\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\n\
      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0",
    ),
    ("sys/devices/system/cpu/online", "0-39"),
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors",
        "performance powersave",
    ),
    (
        "sys/devices/system/cpu/cpu39/cpufreq/scaling_available_governors",
        "performance schedutil",
    ),
];

fn write(root: &Path, path: &str, text: &str) {
    let at = root.join(path);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(at, format!("{text}\n")).unwrap();
}

fn made_up_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, before, _) in BEFORE_AND_AFTER {
        write(root.path(), path, before);
    }
    for (path, text) in AROUND {
        write(root.path(), path, text);
    }
    root
}

/// Every file below a folder and what it holds.
fn files(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let text = fs::read_to_string(&path).unwrap();
                    files.insert(path.strip_prefix(root).unwrap().to_owned(), text);
                }
            }
        }
    }
    files
}

fn tune(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(SCRIPT);
    command.args(arguments).env("SPANMILL_TUNING_ROOT", root);
    command.output().expect("the script runs")
}

/// Runs it and gives what it says.
fn said(root: &Path, arguments: &[&str]) -> String {
    let output = tune(root, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Scenario: `--dry-run` of both verbs.
/// Guarantee: every change is named with what is there and what it would become, and no file is touched or made.
#[test]
fn a_dry_run_names_changes_and_makes_none() {
    let root = made_up_root();
    let before = files(root.path());
    let text = said(root.path(), &["apply", "--dry-run"]);
    for (path, was, becomes) in BEFORE_AND_AFTER {
        let line = match path {
            HUGE_PAGES => format!("/{path}: always -> {becomes}"),
            _ => format!("/{path}: {was} -> {becomes}"),
        };
        assert_eq!(text.contains(&line), was != becomes, "{line}\n{text}");
    }
    assert!(said(root.path(), &["revert", "--dry-run"]).contains("nothing to put back"));
    assert_eq!(files(root.path()), before);
}

/// Scenario: applied, applied again, one setting changed by hand, applied a third time, reverted, reverted again.
/// Guarantee: everything is set; a second time nothing is; the first "before" counts; and every file is as it
/// was, byte by byte (but for the list of modes, which the kernel writes itself), with nothing left behind.
#[test]
fn what_was_there_is_put_back_exactly() {
    let root = made_up_root();
    let before = files(root.path());
    said(root.path(), &["apply"]);
    for (path, _, after) in BEFORE_AND_AFTER {
        let text = fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(text, format!("{after}\n"), "{path}");
    }
    let applied = files(root.path());
    let again = said(root.path(), &["apply"]);
    assert!(!again.contains("->"), "{again}");
    assert_eq!(files(root.path()), applied);

    write(root.path(), "proc/sys/net/core/somaxconn", "256");
    said(root.path(), &["apply"]);
    assert_eq!(files(root.path()), applied);

    let dry = said(root.path(), &["revert", "--dry-run"]);
    assert!(
        dry.contains("/proc/sys/net/core/somaxconn: 4096 -> 128"),
        "{dry}"
    );
    assert_eq!(files(root.path()), applied);
    said(root.path(), &["revert"]);
    let mut expected = before;
    expected.insert(HUGE_PAGES.into(), "always\n".to_owned());
    assert_eq!(files(root.path()), expected);
    assert!(said(root.path(), &["revert"]).contains("nothing to put back"));
}

/// Scenario: a host without cpufreq, huge pages, swap and a default route, whose limits are higher than needed, and
/// one file with garbage.
/// Guarantee: nothing is lowered, made or guessed.
#[test]
fn what_is_high_or_missing_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("proc/sys/net/core/somaxconn", "65535"),
        ("proc/sys/net/ipv4/tcp_max_syn_backlog", "banana"),
        ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t33554432"),
        ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384"),
        ("proc/sys/vm/swappiness", "60"),
        ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority"),
        ("sys/devices/system/cpu/online", "0-3"),
    ] {
        write(root.path(), path, text);
    }
    let mut expected = files(root.path());
    let text = said(root.path(), &["apply"]);
    assert!(
        text.contains("\"banana\" is no number, left alone"),
        "{text}"
    );
    assert!(text.contains("are not three numbers, left alone"), "{text}");
    expected.insert(STATE.into(), String::new());
    assert_eq!(files(root.path()), expected);
}

/// Scenario: a setting that cannot be written, because its file has become a folder, on the way back.
/// Guarantee: it is named, the exit code tells, the others are put back, and the note of what was there stays.
#[test]
fn what_cannot_be_put_back_is_named_and_kept() {
    let root = made_up_root();
    said(root.path(), &["apply"]);
    let stuck = root.path().join("proc/sys/vm/swappiness");
    fs::remove_file(&stuck).unwrap();
    fs::create_dir(&stuck).unwrap();
    let output = tune(root.path(), &["revert"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("/proc/sys/vm/swappiness does not take \"60\""),
        "{errors}"
    );
    let first = fs::read_to_string(root.path().join("proc/sys/net/core/somaxconn")).unwrap();
    assert_eq!(first, "128\n");
    assert!(root.path().join(STATE).exists());
}

/// Scenario: somebody who is not root, on the real machine; words that it does not know.
/// Guarantee: it says that it needs root and why, and does nothing; its usage is shown with exit code 2.
#[test]
fn it_needs_root_and_known_words() {
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    fs::write(&id, "#!/bin/sh\necho 1000\n").unwrap();
    fs::set_permissions(&id, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    for verb in ["apply", "revert"] {
        let mut command = Command::new(SCRIPT);
        command
            .arg(verb)
            .env("PATH", &path)
            .env_remove("SPANMILL_TUNING_ROOT");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("needs root: sudo"));
        assert!(output.stdout.is_empty());
    }
    let root = made_up_root();
    let before = files(root.path());
    for words in [&[][..], &["aply"], &["apply", "--now"]] {
        assert_eq!(tune(root.path(), words).status.code(), Some(2), "{words:?}");
    }
    assert_eq!(tune(root.path(), &["limits", "0"]).status.code(), Some(1));
    let limits = said(root.path(), &["limits", "4"]);
    assert!(
        limits.contains("[Service]\nLimitNOFILE=16672\nLimitMEMLOCK=2048K\n"),
        "{limits}"
    );
    assert_eq!(files(root.path()), before);
}
