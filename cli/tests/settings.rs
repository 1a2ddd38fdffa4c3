//! The settings as a user meets them: the real binary, its exit code and what it says.

mod support;

use support::{command, output};

fn complaint(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Scenario: a settings file with an unknown key and a bad value. Guarantees: exit code 2 before
/// anything starts, both named with their lines.
#[test]
fn a_bad_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.yaml");
    std::fs::write(&path, "shardz: 2\nbatch_rows: many\n").expect("written");
    let output = output(&mut command(&["--config", path.to_str().expect("UTF-8")]));
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("bad.yaml:1: shardz: no such setting"),
        "{said}"
    );
    assert!(
        said.contains("batch_rows = \"many\"") && said.contains("bad.yaml:2"),
        "{said}"
    );
    assert!(output.stdout.is_empty());
}

/// Scenario: a variable with a typing error. Guarantees: exit code 2, and it is named.
#[test]
fn an_unknown_variable_is_refused() {
    let output = output(command(&["engine"]).env("SPANMILL_OTLP_GRCP", "x"));
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("SPANMILL_OTLP_GRCP: no such setting"),
        "{said}"
    );
    assert!(said.contains("did you mean SPANMILL_OTLP_GRPC?"), "{said}");
}

/// Scenario: an unknown flag. Guarantees: exit code 2, and it is named.
#[test]
fn an_unknown_flag_is_refused() {
    let output = output(&mut command(&["up", "--shardz", "2"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("--shardz"));
}

/// Scenario: help is asked for, of the program and of a subcommand. Guarantees: every setting of
/// the reference is listed, with its default.
#[test]
fn help_lists_every_setting() {
    let reference = output(&mut command(&["settings"]));
    assert!(reference.status.success());
    let reference = String::from_utf8(reference.stdout).expect("UTF-8");
    let flags: Vec<_> = reference
        .split('`')
        .filter(|word| word.starts_with("--") && !word.contains(' '))
        .collect();
    assert!(flags.len() > 20, "{flags:?}");
    for arguments in [&["--help"][..], &["up", "--help"]] {
        let help = output(&mut command(arguments));
        assert!(help.status.success());
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        for flag in &flags {
            assert!(
                help.contains(&format!("{flag} ")),
                "{flag} is not in {help}"
            );
        }
        assert!(help.contains("[default: 127.0.0.1:4317]"), "{help}");
        assert!(!help.contains("clickhouse-host"), "{help}");
    }
}

/// Scenario: the version is asked for. Guarantees: it is the crate's.
#[test]
fn the_version_is_told() {
    let output = output(&mut command(&["--version"]));
    assert!(output.status.success());
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(version, format!("spanmill {}\n", env!("CARGO_PKG_VERSION")));
}
