//! A ClickHouse of its own for each test, and the few questions that several tests ask of it.

use spanmill_embedded::testing::{TestServer, start_private};
use spanmill_schema::{Connection, SchemaSettings, migrate};

/// An empty server, and how to connect to it.
pub(crate) fn fresh() -> (TestServer, Connection) {
    let server = start_private();
    let connection = Connection {
        url: server.http_url(),
        user: "default".into(),
        password: String::new(),
    };
    (server, connection)
}

/// A server with all tables.
#[allow(dead_code, reason = "each test file compiles this module for itself")]
pub(crate) async fn migrated() -> (TestServer, Connection) {
    let (server, connection) = fresh();
    migrate(&connection, &SchemaSettings::default())
        .await
        .expect("migrations apply");
    (server, connection)
}

/// The answer's text without the last line's end.
pub(crate) fn ask(server: &TestServer, sql: &str) -> String {
    let answer = server
        .query(sql)
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    answer.trim_end_matches('\n').to_owned()
}
