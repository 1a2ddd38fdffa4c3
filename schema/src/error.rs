//! What can go wrong with the schema, in words a person can act on. Messages never hold a password.

use crate::Promoted;

/// ClickHouse could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No connection, or it broke before the answer was complete.
    #[error(
        "cannot reach ClickHouse at {url}: {reason}; check that it runs and that this is its HTTP port"
    )]
    Unreachable {
        /// The address that was tried.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// Connected, but no answer in time.
    #[error(
        "ClickHouse at {url} gave no answer within {seconds} s; check its load, or run this again"
    )]
    TimedOut {
        /// The address that was tried.
        url: String,
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// Unknown user or wrong password.
    #[error("ClickHouse at {url} refused user `{user}`: unknown user or wrong password")]
    Refused {
        /// The address that was tried.
        url: String,
        /// The account that was refused.
        user: String,
    },
    /// Something answers there, but not with ClickHouse's data formats.
    #[error("{url} is not ClickHouse's HTTP interface ({reason}); its usual port is 8123")]
    NotClickHouse {
        /// The address that was tried.
        url: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// ClickHouse understood and failed.
    #[error("ClickHouse at {url} answered: {message}")]
    Failed {
        /// The address that was asked.
        url: String,
        /// ClickHouse's error code, listed in its `system.errors`.
        code: u32,
        /// ClickHouse's own text.
        message: String,
    },
}

/// Why migrations were not, or not all, applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Before or between migrations.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server lacks what the tables rely on. Nothing was changed.
    #[error(
        "ClickHouse {found} is too old: {needed} or newer is needed; upgrade it, or use the embedded one"
    )]
    TooOld {
        /// What `SELECT version()` answered.
        found: String,
        /// The oldest version this schema is tested on.
        needed: String,
    },
    /// A file differs from the one of that name which was applied. Nothing was changed.
    #[error(
        "migration {name} was applied with checksum {applied} but this binary holds {known}: an \
         applied migration must not change; restore the file and put the change into a new one"
    )]
    Changed {
        /// The file's name.
        name: String,
        /// SHA-256 in the ledger.
        applied: String,
        /// SHA-256 of the file in this binary.
        known: String,
    },
    /// A number of days to keep rows for. Nothing was changed.
    #[error(
        "rows cannot be kept for {days} days: give 1 to {} days",
        crate::Retention::DAYS_MAX
    )]
    Retention {
        /// The number that is out of range.
        days: u16,
    },
    /// A promoted attribute's column is there with another meaning. Nothing was changed.
    #[error(
        "the promoted attribute {wanted} needs the column {} in {table} as {}, but that column is \
         there as {found_type} and holds {found}: configure it as it was, promote another \
         attribute, or give the old column another name with ALTER TABLE spanmill.{table} RENAME \
         COLUMN",
        .wanted.column,
        .wanted.kind.column_type()
    )]
    ColumnTaken {
        /// The table's name.
        table: &'static str,
        /// The attribute as configured, with its column.
        wanted: Box<Promoted>,
        /// What the column holds, from its comment.
        found: String,
        /// The type it has.
        found_type: String,
    },
    /// A cluster is configured and the tables were made without. Nothing was changed.
    #[error(
        "the cluster {name} is configured, but the tables in database `spanmill` were made for a \
         single server and are not replicated: start with an empty server, or leave the cluster out"
    )]
    NoCluster {
        /// The configured name.
        name: String,
    },
    /// No cluster is configured and the tables were made for one. Nothing was changed.
    #[error(
        "the tables in database `spanmill` were made for a cluster, but none is configured: name it \
         (setting `clickhouse_cluster`)"
    )]
    ClusterUnnamed,
    /// One statement failed; those before it hold, and the next run repeats the file from its start.
    #[error(
        "migration {name}, statement {number} (`{beginning} …`): {source}; mend the cause and run it again"
    )]
    Statement {
        /// The file's name.
        name: String,
        /// Counted from 1.
        number: usize,
        /// The statement's first words, before credentials are filled in.
        beginning: String,
        /// What ClickHouse said.
        source: ServerError,
    },
}

/// Why rows cannot be written or read yet.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// ClickHouse does not answer as it should.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Migrations that this binary needs were not applied.
    #[error("tables are missing or old: not yet applied: {}; run `spanmill migrate`", .names.join(", "))]
    Missing {
        /// Their file names, in order.
        names: Vec<String>,
    },
    /// Promoted attributes have no column yet, or one of another type.
    #[error(
        "promoted attributes have no fit column yet: {}; run `spanmill migrate` with the same settings",
        .columns.join(", ")
    )]
    MissingColumns {
        /// As `table.column`.
        columns: Vec<String>,
    },
    /// The tables were made by another form of this migration.
    #[error(
        "migration {name} was applied in another form than this binary's; run the binary that applied it"
    )]
    Changed {
        /// The file's name.
        name: String,
    },
}
