//! The tables in ClickHouse: the numbered SQL files that create them, the runner that applies those
//! files, and the one Rust description of each table's columns. It never reads or writes rows of
//! telemetry.

mod columns;
mod error;
mod literal;
mod migrations;
mod promoted;
mod run;
mod server;
mod settings;
mod split;
mod tables;
mod template;
mod value_type;

pub use error::{MigrateError, NotReady, ServerError};
pub use promoted::{PROMOTED_LOG_ALWAYS, PROMOTED_LOGS, PROMOTED_MAX, PROMOTED_SPANS};
pub use promoted::{Promoted, PromotedError, PromotedKind};
pub use run::{Report, migrate, verify};
pub use settings::{Retention, SchemaSettings};
pub use tables::{Column, DATABASE, MetricType, NumberType, Partition, Table, TableId, Tables};
pub use value_type::ValueType;

/// Where ClickHouse's HTTP interface listens, and the account to use there.
#[derive(Clone)]
pub struct Connection {
    /// For example `http://127.0.0.1:8123`.
    pub url: String,
    /// `default` unless the server's configuration names another.
    pub user: String,
    /// Empty for an account without a password.
    pub password: String,
}

impl std::fmt::Debug for Connection {
    /// The password never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("url", &self.url)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;

    /// Scenario: a connection is printed with `{:?}`, as error paths do.
    /// Guarantees: the password is not in the text, the user is.
    #[test]
    fn debug_hides_the_password() {
        let connection = Connection {
            url: "http://127.0.0.1:8123".into(),
            user: "writer".into(),
            password: "hunter2".into(),
        };
        let shown = format!("{connection:?}");
        assert!(shown.contains("writer") && !shown.contains("hunter2"));
    }
}
