//! The SQL files of this binary, their checksums, and how placeholders in them are filled in.

use crate::{Connection, split};
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

/// In order of number. 001 is kept for metrics and 002 for logs.
pub(crate) static MIGRATIONS: &[Migration] = migrations![
    "000_create_databases_and_resources.sql",
    "003_create_otel_traces.sql"
];

/// Where migrations keep the ledger of what was applied; run before any numbered file.
pub(crate) static LEDGER: &str = include_str!("../ledger.sql");

impl Migration {
    /// SHA-256 of the file in lower-case hex. Of the template: other credentials are no change.
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

/// Whether the statement holds the migrator's account and so must be repeated on each run.
pub(crate) fn names_account(statement: &str) -> bool {
    statement.contains("{{user}}")
}

/// The statement as ClickHouse gets it. Filled in after splitting, so that no password can split it.
pub(crate) fn render(statement: &str, connection: &Connection) -> String {
    // One pass from left to right: text that was filled in is not searched again.
    let mut rendered = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(at) = rest.find("{{") {
        let (before, from) = rest.split_at(at);
        rendered.push_str(before);
        rest = if let Some(after) = from.strip_prefix("{{user}}") {
            rendered.push_str(&literal(&connection.user));
            after
        } else if let Some(after) = from.strip_prefix("{{password}}") {
            rendered.push_str(&literal(&connection.password));
            after
        } else {
            rendered.push_str("{{");
            &from[2..]
        };
    }
    rendered.push_str(rest);
    rendered
}

/// `text` as an SQL string, for the few places where ClickHouse takes no query parameter.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, names_account, render};
    use crate::Connection;

    /// Scenario: the list of files as built into the binary.
    /// Guarantees: names are `NNN_what.sql`, strictly ascending in number, and each file has
    /// statements, all of which may be run twice.
    #[test]
    fn files_are_numbered_in_order_and_repeatable() {
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
            for statement in migration.statements() {
                assert!(
                    statement.contains("IF NOT EXISTS") || statement.contains("OR REPLACE"),
                    "{}: cannot be repeated: {statement}",
                    migration.name
                );
                // Repeated on each run, so it must take the place of what is there.
                assert!(!names_account(&statement) || statement.contains("OR REPLACE"));
            }
        }
    }

    /// Scenario: account and password full of quotes, backslashes, semicolons and placeholders.
    /// Guarantees: each ends up as one SQL string, and filled-in text is not filled in again.
    #[test]
    fn credentials_become_sql_strings() {
        let connection = Connection {
            url: String::new(),
            user: "o'brien{{password}}".into(),
            password: "a\\b';c".into(),
        };
        assert_eq!(
            render("USER {{user}} PASSWORD {{password}} {{other}}", &connection),
            "USER 'o\\'brien{{password}}' PASSWORD 'a\\\\b\\';c' {{other}}"
        );
    }
}
