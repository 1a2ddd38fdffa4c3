//! The SQL files of this binary, as templates, and their checksums.

use crate::split;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// One numbered SQL file.
pub(crate) struct Migration {
    /// The file's name, which is what the ledger keeps.
    pub(crate) name: &'static str,
    /// Its text, with placeholders.
    template: &'static str,
}

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        &[$(Migration { name: $name, template: include_str!(concat!("../", $name)) }),*]
    };
}

/// In order of number.
pub(crate) static MIGRATIONS: &[Migration] = migrations![
    "000_create_databases_and_resources.sql",
    "001_create_otel_metrics.sql",
    "002_create_otel_logs.sql",
    "003_create_otel_traces.sql",
    "004_create_otel_span_stats.sql",
    "005_create_otel_service_dependencies.sql",
    "006_create_otel_metrics_5m.sql",
    "007_create_otel_metrics_1h.sql",
    "008_create_otel_span_stats_1d.sql",
    "009_create_otel_span_stats_1w.sql",
];

/// Where migrations keep the ledger of what was applied; run before any numbered file.
pub(crate) static LEDGER: &str = include_str!("../ledger.sql");

impl Migration {
    /// SHA-256 of the file in lower-case hex. Of the template: other settings are no change.
    pub(crate) fn checksum(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(self.template) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// The file's statements, placeholders still in place.
    pub(crate) fn statements(&self) -> Vec<String> {
        split::statements(self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::{LEDGER, MIGRATIONS};
    use crate::split;
    use crate::template::{is_known, is_repeated};

    /// Scenario: the list of files as built into the binary.
    /// Guarantees: names are `NNN_what.sql`, strictly ascending in number, and each file has
    /// statements.
    #[test]
    fn files_are_numbered_in_order() {
        let numbers: Vec<u32> = MIGRATIONS
            .iter()
            .map(|m| {
                assert!(
                    m.name.ends_with(".sql") && m.name.as_bytes()[3] == b'_',
                    "{}",
                    m.name
                );
                m.name[..3].parse().unwrap()
            })
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "{numbers:?}"
        );
        for migration in MIGRATIONS {
            assert!(!migration.statements().is_empty(), "{}", migration.name);
        }
    }

    fn all_statements() -> Vec<(&'static str, String)> {
        let files = MIGRATIONS.iter().flat_map(|migration| {
            let statements = migration.statements().into_iter();
            statements.map(|statement| (migration.name, statement))
        });
        let ledger = split::statements(LEDGER).into_iter();
        files
            .chain(ledger.map(|statement| ("ledger.sql", statement)))
            .collect()
    }

    /// Scenario: every statement of every file.
    /// Guarantees: all may be run twice, and those that hold configuration, which each run repeats,
    /// bring what is there to that configuration.
    #[test]
    fn statements_are_repeatable() {
        for (name, statement) in all_statements() {
            let says = |words: &str| statement.contains(words);
            let replaces = says("OR REPLACE")
                || says("MODIFY TTL")
                || says("{{span_promoted_columns}}")
                || says("{{log_promoted_columns}}");
            assert!(
                says("IF NOT EXISTS") || replaces,
                "{name}: cannot be repeated: {statement}"
            );
            assert!(
                !is_repeated(&statement) || replaces,
                "{name}: repeated without effect: {statement}"
            );
        }
    }

    /// Scenario: every placeholder of every file.
    /// Guarantees: the runner knows it; each CREATE and ALTER is for a cluster too, and so is each
    /// table's engine.
    #[test]
    fn placeholders_are_known_and_clusters_are_thought_of() {
        for (name, statement) in all_statements() {
            for from in statement.split("{{").skip(1) {
                let (placeholder, _) = from.split_once("}}").expect("a closed placeholder");
                assert!(is_known(placeholder), "{name}: {{{{{placeholder}}}}}");
            }
            assert!(statement.contains("{{on_cluster}}"), "{name}: {statement}");
            if statement.contains("MergeTree") {
                let replicated = statement.contains("ENGINE = {{Replicated}}");
                assert!(replicated, "{name}: {statement}");
            }
        }
    }
}
