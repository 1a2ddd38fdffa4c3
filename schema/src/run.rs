//! The runner: compares the files of this binary with the ledger in ClickHouse, applies what is
//! missing, records it, and brings what is there to the settings. It never drops a table or a column.

use crate::columns::Existing;
use crate::migrations::{LEDGER, MIGRATIONS, Migration};
use crate::server::Server;
use crate::template::{Values, is_repeated};
use crate::{Connection, MigrateError, NotReady, SchemaSettings, ServerError, Tables, split};
use std::collections::HashMap;

/// The oldest ClickHouse on which these tables and the deduplication through their views are tested
/// (year, month). Older ones may lack a part of it silently, so they are refused.
const VERSION_MIN: (u32, u32) = (26, 7);

/// ClickHouse's codes for a table and a database that do not exist.
const CODES_NO_TABLE: [u32; 2] = [60, 81];

/// The first record of a name counts, so that of two racing migrators one decides.
const READ_LEDGER: &str = "SELECT name, argMin(checksum, applied_at) \
                           FROM spanmill.schema_migrations GROUP BY name";

/// How the tables were made: all alike.
const READ_LEDGER_ENGINE: &str = "SELECT engine FROM system.tables \
                                  WHERE database = 'spanmill' AND name = 'schema_migrations'";

/// Tables that remember fewer inserts than wanted, or more where they may be told to forget.
const READ_OTHER_WINDOWS: &str = "SELECT name FROM system.tables WHERE database = 'spanmill' \
     AND (toUInt64OrZero(extract(create_table_query, 'replicated_deduplication_window = (\\\\d+)')) AS window) != 0 \
     AND window != WANTED AND (window < WANTED OR MAY_SHRINK)";

/// What a run of [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Names of the files applied now, in order.
    pub applied: Vec<String>,
    /// How many files of this binary had been applied before.
    pub already: usize,
}

/// Brings ClickHouse's tables to the form this binary knows and to these settings, creating the
/// databases if need be.
///
/// Files are applied in order of number, each recorded once all its statements succeeded. A file
/// that is missing from the ledger is applied even if higher numbers were applied before it: files
/// do not rely on later ones. Names in the ledger that this binary does not know come from a newer
/// one and are left alone. Each run also repeats the statements that hold settings or the migrator's
/// account: running it again is how a change of them reaches ClickHouse. One that changes nothing
/// touches no data; a changed retention is applied to what is stored in the background.
///
/// Two runs at once are harmless: every statement may be repeated, and the ledger counts the first
/// record of a name. If the two are of different versions, one is told [`MigrateError::Changed`]
/// on its next run.
///
/// Needs a Tokio runtime with time and I/O enabled.
///
/// # Errors
/// See [`MigrateError`]. After a failed statement the file is not recorded, and the next run
/// repeats it from its beginning.
pub async fn migrate(
    connection: &Connection,
    settings: &SchemaSettings,
) -> Result<Report, MigrateError> {
    if let Some(days) = settings.retention.out_of_range() {
        return Err(MigrateError::Retention { days });
    }
    let server = Server::new(connection);
    let found: Vec<String> = server.fetch("SELECT version()").await?;
    check_version(found.first().map_or("", String::as_str))?;
    refuse_other_cluster(&server, settings).await?;
    let existing = Existing::read(&server).await?;
    existing.refuse_conflicts(&settings.tables)?;
    let values = Values {
        connection,
        settings,
        existing: &existing,
    };
    for statement in split::statements(LEDGER) {
        if let Some(sql) = values.render(&statement) {
            server.execute(&sql).await?;
        }
    }
    let ledger = read_ledger(&server).await?;
    refuse_changed(&ledger)?;

    let mut report = Report {
        applied: Vec::new(),
        already: 0,
    };
    for migration in MIGRATIONS {
        let done = ledger.contains_key(migration.name);
        run_statements(&server, &values, migration, done).await?;
        if done {
            report.already += 1;
        } else {
            record(&server, migration).await?;
            report.applied.push(migration.name.to_owned());
        }
    }
    resize_windows(&server, &values).await?;
    Ok(report)
}

/// Whether rows can be written and read: ClickHouse answers, every file of this binary is applied in
/// the same form, and every promoted attribute of `tables` has its column. Two short queries, so it
/// can be asked every few seconds.
///
/// Needs a Tokio runtime with time and I/O enabled.
///
/// # Errors
/// [`NotReady`] says what is missing.
pub async fn verify(connection: &Connection, tables: &Tables) -> Result<(), NotReady> {
    let server = Server::new(connection);
    let ledger = match read_ledger(&server).await {
        Err(ServerError::Failed { code, .. }) if CODES_NO_TABLE.contains(&code) => HashMap::new(),
        other => other?,
    };
    let mut missing = Vec::new();
    for migration in MIGRATIONS {
        match ledger.get(migration.name) {
            None => missing.push(migration.name.to_owned()),
            Some(applied) if *applied != migration.checksum() => {
                return Err(NotReady::Changed {
                    name: migration.name.to_owned(),
                });
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        return Err(NotReady::Missing { names: missing });
    }
    let missing = Existing::read(&server).await?.missing(tables);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(NotReady::MissingColumns { columns: missing })
    }
}

/// A table is made with replicas or without and cannot change over, and views that read through the
/// other kind would show a part of the rows: refused before anything is changed.
async fn refuse_other_cluster(
    server: &Server<'_>,
    settings: &SchemaSettings,
) -> Result<(), MigrateError> {
    let engines: Vec<String> = server.fetch(READ_LEDGER_ENGINE).await?;
    let Some(engine) = engines.first() else {
        return Ok(());
    };
    let replicated = engine.starts_with("Replicated");
    match &settings.cluster {
        Some(name) if !replicated => Err(MigrateError::NoCluster { name: name.clone() }),
        None if replicated => Err(MigrateError::ClusterUnnamed),
        _ => Ok(()),
    }
}

/// Brings tables that were made with another number of remembered inserts to that of the settings. Those
/// that remember none stay so, and those that remember more unless the number was asked for.
async fn resize_windows(server: &Server<'_>, values: &Values<'_>) -> Result<(), MigrateError> {
    let wanted = values.settings.inserts_remembered.to_string();
    let may_shrink = values.settings.inserts_remembered_is_given.to_string();
    let sql = READ_OTHER_WINDOWS
        .replace("WANTED", &wanted)
        .replace("MAY_SHRINK", &may_shrink);
    let tables: Vec<String> = server.fetch(&sql).await?;
    for table in tables {
        let statement = format!(
            "ALTER TABLE spanmill.`{table}` {{{{on_cluster}}}} MODIFY SETTING {{{{deduplication}}}}"
        );
        if let Some(sql) = values.render(&statement) {
            server.execute(&sql).await?;
        }
    }
    Ok(())
}

/// Checksum by file name.
async fn read_ledger(server: &Server<'_>) -> Result<HashMap<String, String>, ServerError> {
    Ok(server
        .fetch::<(String, String)>(READ_LEDGER)
        .await?
        .into_iter()
        .collect())
}

/// Refused before anything is applied, so that a run does all or says why.
fn refuse_changed(ledger: &HashMap<String, String>) -> Result<(), MigrateError> {
    for migration in MIGRATIONS {
        let known = migration.checksum();
        match ledger.get(migration.name) {
            Some(applied) if *applied != known => {
                return Err(MigrateError::Changed {
                    name: migration.name.to_owned(),
                    applied: applied.clone(),
                    known,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// All statements of a new file; of a file applied before, only those that hold configuration.
async fn run_statements(
    server: &Server<'_>,
    values: &Values<'_>,
    migration: &Migration,
    done: bool,
) -> Result<(), MigrateError> {
    for (at, statement) in migration.statements().iter().enumerate() {
        if done && !is_repeated(statement) {
            continue;
        }
        let Some(sql) = values.render(statement) else {
            continue;
        };
        server
            .execute(&sql)
            .await
            .map_err(|source| MigrateError::Statement {
                name: migration.name.to_owned(),
                number: at + 1,
                beginning: statement
                    .split_whitespace()
                    .take(6)
                    .collect::<Vec<_>>()
                    .join(" "),
                source,
            })?;
    }
    Ok(())
}

async fn record(server: &Server<'_>, migration: &Migration) -> Result<(), ServerError> {
    server
        .execute_with(
            "INSERT INTO spanmill.schema_migrations (name, checksum, version) \
             SELECT {name:String}, {checksum:String}, {version:String}",
            &[
                ("name", migration.name),
                ("checksum", &migration.checksum()),
                ("version", env!("CARGO_PKG_VERSION")),
            ],
        )
        .await
}

fn check_version(found: &str) -> Result<(), MigrateError> {
    let mut numbers = found.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(year), Some(month)) if (year, month) >= VERSION_MIN => Ok(()),
        _ => Err(MigrateError::TooOld {
            found: found.to_owned(),
            needed: format!("{}.{}", VERSION_MIN.0, VERSION_MIN.1),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::check_version;
    use crate::MigrateError;

    /// Scenario: version strings of older, equal and newer servers, and of none at all.
    /// Guarantees: numbers are compared, not texts; what cannot be read is refused.
    #[test]
    fn old_servers_are_refused() {
        for good in ["26.7.2.1", "26.10.1.1", "27.1.1.1"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["26.6.9.9", "25.12.1.1", "9.8", "26", "", "x.y"] {
            let refused = check_version(bad);
            assert!(matches!(refused, Err(MigrateError::TooOld { .. })), "{bad}");
        }
    }
}
