//! Traces of a certain shape: one value in every column, dictionaries of every width, values of every
//! depth, and messages that ask for more memory than they have bytes.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use prost::Message as _;
use spanmill_schema::TableId;

use super::block::{self, Row, Value, get};
use super::expected::expected;
use super::full::spans::span;
use super::full::{full, nested, string};
use super::known::Known;
use super::store::Store;
use super::tree::{Group, Logs, Telemetry, Traces, decode, encode, one_group};
use super::{NOW, arrival, tables};
use crate::decode::{DecodeError, VALUE_DEPTH_MAX};

fn one_item<I>(item: I) -> Vec<Group<I>> {
    one_group(
        Resource::default(),
        InstrumentationScope::default(),
        vec![item],
    )
}

fn n(number: u64) -> Value {
    Value::Number(number)
}

fn t(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn f(byte: u8, length: usize) -> Value {
    Value::Fixed(vec![byte; length])
}

fn l<const N: usize>(values: [Value; N]) -> Value {
    Value::List(values.into())
}

fn m<const N: usize>(entries: [(&str, &str); N]) -> Value {
    Value::Map(entries.map(|(key, value)| (t(key), t(value))).into())
}

/// Scenario: one span and one resource whose every column holds a value of its own, written out here.
/// Guarantees: the writers' order is the tables' order; two columns of one type are not exchanged.
#[test]
fn columns_are_written_in_the_order_of_their_table() {
    let mut store = Store::new(tables(0));
    let body = encode::<Traces>(&full::<Traces>());
    store.walk::<Traces>(&body, arrival(NOW)).unwrap();
    let read = store.seal();
    let stored = |table| read.rows(table).cloned().collect::<Vec<Row>>();
    let id = get(&stored(TableId::Resources)[0], "ResourceId").clone();
    let resource = [
        id.clone(),
        n(NOW.into()),
        t("service"),
        m([("r-key", "r-value"), ("service.name", "service")]),
        l([n(0), n(0)]),
        t("resource-url"),
        n(11),
    ];
    let span = [
        n(16),
        f(0x1a, 16),
        f(0x1b, 8),
        f(0x1c, 8),
        t("span-state"),
        n(14),
        t("name"),
        n(15),
        t("service"),
        id,
        t("scope"),
        t("version"),
        t("scope-url"),
        m([("s-key", "true")]),
        l([n(1)]),
        n(12),
        n(17),
        n(25),
        t("status"),
        t("method"),
        n(13),
        t("route"),
        t("path"),
        t("address"),
        t("system"),
        t("rpc"),
        t("destination"),
        m([("a-key", "0.5"), ("a-map", r#"{"in":["core"]}"#)]),
        l([n(3), n(6)]),
        n(18),
        n(21),
        n(24),
        l([n(19)]),
        l([t("event")]),
        l([m([("e-key", "/w==")])]),
        l([l([n(4)])]),
        l([n(20)]),
        l([f(0x1d, 16)]),
        l([f(0x1e, 8)]),
        l([t("link-state")]),
        l([n(23)]),
        l([m([("l-key", "-1")])]),
        l([l([n(2)])]),
        l([n(22)]),
    ];
    for (table, values) in [
        (TableId::Resources, &resource[..]),
        (TableId::Traces, &span[..]),
    ] {
        let columns = &store.tables.table(table).columns;
        assert_eq!(columns.len(), values.len());
        let names = columns.iter().map(|column| column.name.clone());
        let row: Row = names.zip(values.iter().cloned()).collect();
        assert_eq!(stored(table), [row]);
    }
}

/// Scenario: as many distinct event names as need one, two and four bytes a key, and attributes of more
/// than one frame, some larger than a frame by themselves.
/// Guarantees: every row reads back, and no frame is larger than ClickHouse's own.
#[test]
fn wide_dictionaries_and_long_columns_read_back() {
    for names in [256, 257, 65_536, 65_537] {
        let event = |index| Event {
            name: format!("event {index}"),
            ..Event::default()
        };
        let long = |index: usize| string(&format!("key {index}"), &"long ".repeat(index * 10_000));
        let span = Span {
            events: (0..names).map(event).collect(),
            attributes: (0..30).map(long).collect(),
            ..span()
        };
        let request = one_item(span);
        let mut store = Store::new(tables(0));
        let body = encode::<Traces>(&request);
        store.walk::<Traces>(&body, arrival(NOW)).unwrap();
        let chunk = store.columns.seal().unwrap();
        let sealed = chunk.sealed.last().unwrap();
        let (plain, frames) = block::unpack(chunk.frames(sealed));
        assert!(frames > plain.len() >> 20);
        let rows = block::rows(store.tables.table(sealed.table), &plain);
        let (wanted, _) = expected::<Traces>(&request, &store.tables, arrival(NOW));
        for (stored, wanted) in ["Events.Name", "SpanAttributes"].iter().map(|name| {
            let wanted = get(&wanted[0].stored.row, name);
            (get(&rows[0], name).clone(), wanted.clone())
        }) {
            assert!(stored == wanted, "{names} names");
        }
    }
}

/// Scenario: arrays and maps as deep as is allowed, and one level deeper, as an attribute of a span and
/// as the body of a log record.
/// Guarantees: the former are stored, rows with the latter are left out.
#[test]
fn values_nest_up_to_the_bound() {
    fn walk<S: Telemetry>(item: S::Item) -> (usize, String) {
        let request = one_item(item);
        let mut store = Store::new(tables(0));
        let walked = store.walk::<S>(&encode::<S>(&request), arrival(NOW));
        let walked = walked.unwrap();
        let (rows, rejected) = expected::<S>(&request, &store.tables, arrival(NOW));
        assert_eq!((walked.rows, walked.rejected.rows), (rows.len(), rejected));
        Known::default().assert_holds::<S>(&store.seal(), &rows, NOW);
        (walked.rows, walked.rejected.to_string())
    }
    let span = |value| Span {
        attributes: vec![KeyValue {
            value: Some(value),
            ..string("deep", "")
        }],
        ..span()
    };
    let record = |value| LogRecord {
        body: Some(value),
        ..LogRecord::default()
    };
    let refused = (0, format!("1 refused: {}", DecodeError::TooDeep));
    let maps: [fn(usize) -> bool; 3] = [|_| false, |_| true, |level| level % 2 == 0];
    for map in maps {
        let (deep, deeper) = (
            nested(VALUE_DEPTH_MAX, map),
            nested(VALUE_DEPTH_MAX + 1, map),
        );
        assert_eq!(walk::<Traces>(span(deep.clone())), (1, String::new()));
        assert_eq!(walk::<Traces>(span(deeper.clone())), refused);
        assert_eq!(walk::<Logs>(record(deep)), (1, String::new()));
        assert_eq!(walk::<Logs>(record(deeper)), refused);
    }
}

/// Scenario: pieces of one value that are messages only when they are put together.
/// Guarantees: an error, as for prost: each piece must be whole.
#[test]
fn pieces_of_a_message_are_whole_messages() {
    // KeyValue { value: AnyValue "ab" }, whole, in two whole pieces, and cut inside the string.
    for (attribute, good) in [
        (&[0x12, 4, 0x0a, 2, b'a', b'b'][..], true),
        (&[0x12, 0, 0x12, 4, 0x0a, 2, b'a', b'b'], true),
        (&[0x12, 3, 0x0a, 2, b'a', 0x12, 1, b'b'], false),
    ] {
        let mut span = span().encode_to_vec();
        span.extend([0x4a, attribute.len() as u8]);
        span.extend(attribute);
        let mut body = span;
        for field in [2, 2, 1] {
            body.splice(0..0, [field << 3 | 2, body.len() as u8]);
        }
        assert_eq!(decode::<Traces>(&body).is_ok(), good);
        let walked = Store::new(tables(0)).walk::<Traces>(&body, arrival(NOW));
        assert_eq!(walked.is_ok(), good);
    }
}
