//! The walk against prost: any request in any encoding gives the rows that prost's messages stand for,
//! and a request that is refused leaves nothing behind.

mod block;
mod equal;
mod expected;
mod hostile;
mod messages;
mod refused;
mod shapes;
mod wire;

use std::collections::BTreeMap;

use block::{Row, Value, get};
use expected::Expected;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::test_runner::Config;
use prost::Message as _;
use spanmill_schema::tables::RESOURCES;

use crate::columns::Columns;

/// A moment, in Unix seconds, and how far the same time of the next day is.
const NOW: u32 = 1_750_000_000;
const DAY: u32 = 86_400;

/// As many cases, unless `PROPTEST_CASES` asks for more.
fn cases(cases: u32) -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(cases),
    }
}

/// What prost makes of a body.
fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, prost::DecodeError> {
    ExportTraceServiceRequest::decode(body)
}

/// A sealed chunk, read back.
#[derive(Debug, Default, PartialEq)]
struct Read {
    resources: Vec<Row>,
    spans: Vec<Row>,
    /// All blocks as they were before compression.
    plain: Vec<u8>,
}

/// Seals the columns and reads the chunk back.
fn seal(columns: &mut Columns) -> Read {
    let mut read = Read::default();
    let Some(chunk) = columns.seal() else {
        return read;
    };
    for sealed in &chunk.sealed {
        let (plain, _) = block::unpack(&sealed.frames);
        let rows = block::rows(sealed.table, &plain);
        assert!(!rows.is_empty());
        match *sealed.table == RESOURCES {
            true => read.resources = rows,
            false => read.spans = rows,
        }
        read.plain.extend(plain);
    }
    assert_eq!(chunk.rows, read.spans.len());
    assert_eq!((columns.rows(), columns.bytes()), (0, 0));
    read
}

/// Resources by id, from all chunks so far.
type Known = BTreeMap<u64, Row>;

/// Panics unless `read` holds just `expected`, each span with its own resource, written at `now` or
/// known from before.
fn assert_holds(read: &Read, expected: &[Expected], now: u32, known: &mut Known) {
    for row in &read.resources {
        assert_eq!(row[1], ("LastSeen", Value::Number(now.into())));
        let id = resource_id(row);
        let before = known.insert(id, row[2..].to_vec());
        assert!(before.is_none_or(|before| before == row[2..]), "{id} twice");
    }
    assert_eq!(read.spans.len(), expected.len());
    for (row, expected) in read.spans.iter().zip(expected) {
        let id = resource_id(row);
        assert_eq!(known.get(&id), Some(&expected.resource));
        let row = row.iter().filter(|column| column.0 != "ResourceId");
        for (stored, expected) in row.clone().zip(&expected.span) {
            assert_eq!(stored, expected);
        }
        assert_eq!(row.count(), expected.span.len());
    }
}

fn resource_id(row: &Row) -> u64 {
    match get(row, "ResourceId") {
        Value::Number(id) => *id,
        other => panic!("{other:?} is no id"),
    }
}
