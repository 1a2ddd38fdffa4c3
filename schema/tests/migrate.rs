//! The runner against a real ClickHouse: what it applies, records, repeats and refuses.

mod support;

use spanmill_embedded::testing::TestServer;
use spanmill_schema::{
    Connection, MigrateError, NotReady, Report, SchemaSettings, ServerError, Tables,
};
use support::{ask, fresh, migrated};

const FILES: [&str; 10] = [
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

async fn migrate(connection: &Connection) -> Result<Report, MigrateError> {
    spanmill_schema::migrate(connection, &SchemaSettings::default()).await
}

async fn verify(connection: &Connection) -> Result<(), NotReady> {
    spanmill_schema::verify(connection, &Tables::default()).await
}

fn everything() -> Report {
    Report {
        applied: FILES.map(String::from).to_vec(),
        already: 0,
    }
}

fn nothing() -> Report {
    Report {
        applied: Vec::new(),
        already: FILES.len(),
    }
}

/// What exists, to the column: equal before and after means that a run changed nothing. Views are
/// made anew on each run, so only their text is compared.
fn shape(server: &TestServer) -> String {
    ask(
        server,
        "SELECT database, name, if(engine = 'View', '', toString(uuid)), create_table_query FROM system.tables \
         WHERE database IN ('spanmill', 'otel') AND engine != 'Dictionary' ORDER BY ALL",
    )
}

/// Scenario: an empty server is migrated twice.
/// Guarantees: the first run creates databases and tables and records every file, the second
/// applies nothing and leaves the same tables (same UUIDs); `verify` turns from "missing, by name"
/// to ready.
#[tokio::test]
async fn a_second_run_applies_nothing() {
    let (server, connection) = fresh();
    match verify(&connection).await {
        Err(NotReady::Missing { names }) => assert_eq!(names, FILES),
        other => panic!("{other:?}"),
    }
    assert_eq!(migrate(&connection).await.unwrap(), everything());
    verify(&connection).await.unwrap();
    let before = shape(&server);
    assert_eq!(migrate(&connection).await.unwrap(), nothing());
    assert_eq!(shape(&server), before);
    assert_eq!(
        ask(&server, "SELECT count() FROM spanmill.schema_migrations"),
        FILES.len().to_string()
    );
}

/// Scenario: the ledger holds another checksum for a file than the binary does.
/// Guarantees: `migrate` and `verify` refuse it by name, and no other file is applied meanwhile.
#[tokio::test]
async fn a_changed_file_is_refused_by_name() {
    let (server, connection) = fresh();
    migrate(&connection).await.unwrap();
    ask(&server, "TRUNCATE TABLE spanmill.schema_migrations");
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.schema_migrations (name, checksum) VALUES ('{}', 'other')",
            FILES[1]
        ),
    );
    match migrate(&connection).await {
        Err(error @ MigrateError::Changed { .. }) => {
            assert!(error.to_string().contains(FILES[1]), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        ask(&server, "SELECT name FROM spanmill.schema_migrations"),
        FILES[1]
    );
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.schema_migrations (name, checksum) VALUES ('{}', 'other')",
            FILES[0]
        ),
    );
    match verify(&connection).await {
        Err(NotReady::Changed { name }) => assert_eq!(name, FILES[0]),
        other => panic!("{other:?}"),
    }
}

/// Scenario: a table stands where the first file wants a dictionary, so the file fails after some
/// of its statements; the table is taken away and the run repeated.
/// Guarantees: the error names file and statement, nothing is recorded, and the second run
/// completes.
#[tokio::test]
async fn a_file_that_failed_midway_is_run_again() {
    let (server, connection) = fresh();
    ask(&server, "CREATE DATABASE spanmill");
    ask(
        &server,
        "CREATE TABLE spanmill.otel_resource_attributes (x UInt8) ENGINE = MergeTree ORDER BY x",
    );
    match migrate(&connection).await {
        Err(MigrateError::Statement {
            name,
            number,
            beginning,
            ..
        }) => {
            assert_eq!((name.as_str(), number), (FILES[0], 6));
            assert!(
                beginning.contains("spanmill.otel_resource_attributes"),
                "{beginning}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ask(&server, "EXISTS TABLE spanmill.otel_resources"), "1");
    assert_eq!(
        ask(&server, "SELECT count() FROM spanmill.schema_migrations"),
        "0"
    );
    ask(&server, "DROP TABLE spanmill.otel_resource_attributes");
    assert_eq!(migrate(&connection).await.unwrap(), everything());
    verify(&connection).await.unwrap();
}

/// Scenario: numbers around the only applied one are not in the ledger, and the ledger holds a name
/// that this binary does not know.
/// Guarantees: just the missing files are applied; the unknown name is left alone.
#[tokio::test]
async fn holes_are_filled_and_unknown_names_are_left_alone() {
    let (server, connection) = migrated().await;
    let ledger = "spanmill.schema_migrations";
    let kept = ask(
        &server,
        &format!("SELECT checksum FROM {ledger} WHERE name = '{}'", FILES[1]),
    );
    ask(&server, &format!("TRUNCATE TABLE {ledger}"));
    ask(
        &server,
        &format!(
            "INSERT INTO {ledger} (name, checksum) VALUES ('{}', '{kept}'), ('999_newer.sql', 'x')",
            FILES[1]
        ),
    );
    let report = migrate(&connection).await.unwrap();
    assert_eq!(
        report,
        Report {
            applied: FILES
                .iter()
                .filter(|name| **name != FILES[1])
                .map(|name| String::from(*name))
                .collect(),
            already: 1
        }
    );
    verify(&connection).await.unwrap();
}

/// Scenario: four migrators start at once on an empty server.
/// Guarantees: all succeed, every table exists once, and a later run applies nothing.
#[tokio::test(flavor = "multi_thread")]
async fn migrators_at_once_do_no_harm() {
    let (_server, connection) = fresh();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { migrate(&connection).await })
        })
        .collect();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    verify(&connection).await.unwrap();
    assert_eq!(migrate(&connection).await.unwrap(), nothing());
}

/// Scenario: nobody listens; a user that does not exist; a port that is not ClickHouse's HTTP.
/// Guarantees: three different errors, each naming the address, for `migrate` and `verify`.
#[tokio::test]
async fn servers_that_cannot_be_used_are_told_apart() {
    let (server, connection) = fresh();

    let stranger = Connection {
        user: "stranger".into(),
        password: "s3cret".into(),
        ..connection
    };
    let error = migrate(&stranger).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Server(ServerError::Refused { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("stranger") && !format!("{error:?}").contains("s3cret"));
    let error = verify(&stranger).await.unwrap_err();
    assert!(
        matches!(error, NotReady::Server(ServerError::Refused { .. })),
        "{error:?}"
    );

    let native = Connection {
        url: format!("http://{}", server.native_addr()),
        ..stranger
    };
    let error = verify(&native).await.unwrap_err();
    assert!(matches!(error, NotReady::Server(_)), "{error:?}");

    // Bound and closed again: the port was free a moment ago, so nobody answers there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = Connection {
        url: format!("http://{closed}"),
        ..native
    };
    let error = migrate(&nobody).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Server(ServerError::Unreachable { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains(&closed.to_string()), "{error}");
}
