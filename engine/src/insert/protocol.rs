//! The packets that a client of ClickHouse's native protocol sends: hello, the head of an INSERT, and the
//! few bytes before each block. Bytes only; no sockets.
//!
//! Revision 54460 is spoken: old enough for servers of 23.x, and short of the chunked framing and sparse
//! columns that came later. The server answers with the lower of both sides' revisions.

use spanmill_schema::{DATABASE, Table, TableId, Tables};

use crate::columns::push_varint;

/// What is advertised; see the module.
pub(super) const REVISION: u64 = 54_460;
/// The oldest server that understands every packet below.
pub(super) const SERVER_REVISION_MIN: u64 = REVISION;

/// The whole packet that asks for a Pong.
pub(super) const PING: [u8; 1] = [4];

const CLIENT_NAME: &str = "spanmill";
const CLIENT_VERSION: (u64, u64, u64) = (0, 1, 0);

const HELLO: u64 = 0;
const QUERY: u64 = 1;
/// Before every block: packet type 2 (Data) and an empty table name.
pub(super) const DATA: [u8; 2] = [2, 0];

const INITIAL_QUERY: u8 = 1;
const INTERFACE_TCP: u8 = 1;
const STAGE_COMPLETE: u64 = 2;
const COMPRESSED: u64 = 1;
const UNCOMPRESSED: u64 = 0;
/// A block without columns and rows: its info, and two zeros.
const EMPTY_BLOCK: [u8; 10] = [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0];
/// A setting that the server must know, not merely may.
const IMPORTANT: u64 = 1;
/// A setting that servers which do not know it pass over.
const AS_KNOWN: u64 = 0;
/// What is acknowledged is in the log, so inserts may wait a little for questions: a third of their weight for the
/// kernel's scheduler, the same as that of merges in the embedded server. ClickHouse sets it if it may (CAP_SYS_NICE).
const NICE: &str = "5";

fn push_string(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The first packet, and after the server's answer the addendum (an empty quota key).
pub(super) fn hello(user: &str, password: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    push_varint(&mut out, HELLO);
    push_string(&mut out, CLIENT_NAME);
    push_varint(&mut out, CLIENT_VERSION.0);
    push_varint(&mut out, CLIENT_VERSION.1);
    push_varint(&mut out, REVISION);
    push_string(&mut out, ""); // database: statements name theirs
    push_string(&mut out, user);
    push_string(&mut out, password);
    out
}

/// Sent once the server has said hello.
pub(super) const ADDENDUM: [u8; 1] = [0];

/// Everything of an INSERT before its blocks, save the empty block that says "no external tables".
pub(crate) fn insert(statement: &str, token: &str) -> Vec<u8> {
    query(statement, COMPRESSED, |out| {
        push_insert_settings(out, token)
    })
}

/// A whole SELECT, whose answer comes uncompressed.
pub(super) fn select(statement: &str) -> Vec<u8> {
    let mut out = query(statement, UNCOMPRESSED, |_| ());
    out.extend_from_slice(&DATA);
    out.extend_from_slice(&EMPTY_BLOCK);
    out
}

fn query(statement: &str, compression: u64, push_settings: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    push_varint(&mut out, QUERY);
    push_string(&mut out, ""); // query id: the server's
    push_client_info(&mut out);
    push_settings(&mut out);
    push_string(&mut out, ""); // end of settings
    push_string(&mut out, ""); // interserver secret
    push_varint(&mut out, STAGE_COMPLETE);
    push_varint(&mut out, compression);
    push_string(&mut out, statement);
    push_string(&mut out, ""); // end of query parameters
    out
}

fn push_client_info(out: &mut Vec<u8>) {
    out.push(INITIAL_QUERY);
    push_string(out, ""); // initial user
    push_string(out, ""); // initial query id
    push_string(out, "0.0.0.0:0"); // initial address
    out.extend_from_slice(&[0; 8]); // start time: the server's
    out.push(INTERFACE_TCP);
    push_string(out, ""); // operating system's user
    push_string(out, ""); // host name
    push_string(out, CLIENT_NAME);
    push_varint(out, CLIENT_VERSION.0);
    push_varint(out, CLIENT_VERSION.1);
    push_varint(out, REVISION);
    push_string(out, ""); // quota key
    push_varint(out, 0); // distributed depth
    push_varint(out, CLIENT_VERSION.2);
    out.push(0); // no OpenTelemetry context
    out.extend_from_slice(&[0, 0, 0]); // no parallel replicas
}

/// What makes a retry under the same token store nothing twice, base tables and their views alike; and that questions
/// come first.
fn push_insert_settings(out: &mut Vec<u8>, token: &str) {
    for (name, value) in [
        ("async_insert", "0"),
        ("insert_deduplicate", "1"),
        ("deduplicate_blocks_in_dependent_materialized_views", "1"),
        ("insert_deduplication_token", token),
        // A retry must be squashed into the same parts as the first try.
        ("max_insert_threads", "1"),
    ] {
        push_string(out, name);
        push_varint(out, IMPORTANT);
        push_string(out, value);
    }
    for name in [
        "os_threads_nice_value_query",
        "os_threads_nice_value_materialized_view",
    ] {
        push_string(out, name);
        push_varint(out, AS_KNOWN);
        push_string(out, NICE);
    }
}

/// The INSERT of each table, by [`TableId`]: every column is named, so that the table's own order is free.
pub(crate) fn statements(tables: &Tables) -> Vec<String> {
    let of = |id| statement(tables.table(id));
    TableId::ALL.into_iter().map(of).collect()
}

fn statement(table: &Table) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| format!("`{}`", column.name))
        .collect();
    format!(
        "INSERT INTO `{}`.`{}` ({}) FORMAT Native",
        DATABASE,
        table.name,
        columns.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the statement of a table.
    /// Guarantee: every column is named, dotted names included, so that the table's own order is free.
    #[test]
    fn the_statement_names_every_column() {
        let tables = Tables::default();
        let table = tables.table(TableId::Resources);
        let statement = statement(table);
        assert!(statement.starts_with("INSERT INTO `spanmill`.`otel_resources` (`ResourceId`, "));
        assert_eq!(statement.matches('`').count(), 4 + 2 * table.columns.len());
    }
}
