//! Rows as JSON objects: how they are read by SQL, changed and compared.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::support::Stack;

/// A minute ago in Unix nanoseconds, with every digit in use.
pub(crate) fn a_minute_ago() -> u64 {
    (nanos(SystemTime::now()) / 1_000_000_000 - 60) * 1_000_000_000 + 123_456_789
}

pub(crate) fn at(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// As OTLP sends it.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

/// `row` with the fields of `changes` in place of its own.
pub(crate) fn with(mut row: Value, changes: Value) -> Value {
    if let (Value::Object(row), Value::Object(changes)) = (&mut row, changes) {
        row.extend(changes);
    }
    row
}

pub(crate) fn json_rows(stack: &Stack, sql: &str) -> Vec<Value> {
    let answer = stack.query(&format!(
        "{sql} FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0, \
         output_format_json_named_tuples_as_objects = 0"
    ));
    let rows = answer.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("JSON")
}

/// Equal, or the fields that differ.
pub(crate) fn assert_same(way: impl Display, name: &str, sent: &Value, stored: &Value) {
    let (Some(sent), Some(stored)) = (sent.as_object(), stored.as_object()) else {
        panic!("rows are objects");
    };
    for key in sent.keys().chain(stored.keys()) {
        assert_eq!(
            sent.get(key),
            stored.get(key),
            "{way}: {key} of {name:?}, sent and stored"
        );
    }
}

pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().expect("a text")
}

/// SQL for key, text and type byte of each entry.
pub(crate) fn typed(map: &str, types: &str) -> String {
    format!("arrayZip(mapKeys({map}), mapValues({map}), {types})")
}

/// The same for a nested column.
pub(crate) fn typed_each(maps: &str, types: &str) -> String {
    let entries = typed("map", "types");
    format!("arrayMap((map, types) -> {entries}, {maps}, {types})")
}

/// Entries without their types.
pub(crate) fn map(entries: &Value) -> Value {
    let entries = entries.as_array().expect("entries").iter();
    let map: Map<_, _> = entries
        .map(|entry| {
            (
                entry[0].as_str().expect("a key").to_owned(),
                entry[1].clone(),
            )
        })
        .collect();
    Value::Object(map)
}
