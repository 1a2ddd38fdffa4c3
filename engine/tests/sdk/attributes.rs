//! The attributes that are sent, each with the text and the type byte that it is stored as.

use opentelemetry::{Array, KeyValue, StringValue, Value as Otel};
use serde_json::{Value, json};
use spanmill_schema::ValueType;

/// An attribute with the text and the type byte that it is stored as.
pub(crate) type Attribute = (KeyValue, &'static str, ValueType);

pub(crate) fn every_type() -> Vec<Attribute> {
    let array = |array: Array| Otel::Array(array);
    let strings = ["a", "", "ö\"\\"].map(StringValue::from).to_vec();
    vec![
        (
            KeyValue::new("text", "ünïcode ☃ 'q' \\ \t\n"),
            "ünïcode ☃ 'q' \\ \t\n",
            ValueType::String,
        ),
        (KeyValue::new("text.empty", ""), "", ValueType::String),
        (KeyValue::new("text.digits", "1"), "1", ValueType::String),
        (KeyValue::new("yes", true), "true", ValueType::Bool),
        (KeyValue::new("no", false), "false", ValueType::Bool),
        (KeyValue::new("int", 1), "1", ValueType::Int),
        (
            KeyValue::new("int.min", i64::MIN),
            "-9223372036854775808",
            ValueType::Int,
        ),
        (
            KeyValue::new("int.max", i64::MAX),
            "9223372036854775807",
            ValueType::Int,
        ),
        (KeyValue::new("double", 0.1), "0.1", ValueType::Double),
        (KeyValue::new("double.whole", 1.0), "1", ValueType::Double),
        (
            KeyValue::new("double.small", 5e-324),
            "5e-324",
            ValueType::Double,
        ),
        (
            KeyValue::new("double.nan", f64::NAN),
            "NaN",
            ValueType::Double,
        ),
        (
            KeyValue::new("double.inf", f64::NEG_INFINITY),
            "-Inf",
            ValueType::Double,
        ),
        (
            KeyValue::new("texts", array(Array::String(strings))),
            r#"["a","","ö\"\\"]"#,
            ValueType::Array,
        ),
        (
            KeyValue::new("bools", array(Array::Bool(vec![true, false]))),
            "[true,false]",
            ValueType::Array,
        ),
        (
            KeyValue::new("ints", array(Array::I64(vec![1, -2]))),
            "[1,-2]",
            ValueType::Array,
        ),
        (
            KeyValue::new("doubles", array(Array::F64(vec![0.5, 1.0, f64::INFINITY]))),
            r#"[0.5,1.0,"+Inf"]"#,
            ValueType::Array,
        ),
        (
            KeyValue::new("nothing", array(Array::I64(Vec::new()))),
            "[]",
            ValueType::Array,
        ),
    ]
}

/// Attributes that have a column of their own: key, and the column's text.
pub(crate) const PROMOTED: [(&str, &str); 8] = [
    ("http.request.method", "GET"),
    ("http.response.status_code", "503"),
    ("http.route", "/users/{id}"),
    ("url.path", "/users/1"),
    ("server.address", "shop.example"),
    ("db.system.name", "clickhouse"),
    ("rpc.method", "Get"),
    ("messaging.destination.name", "orders"),
];

pub(crate) fn promoted() -> impl Iterator<Item = KeyValue> {
    PROMOTED
        .into_iter()
        .map(|(key, text)| match text.parse::<i64>() {
            Ok(code) => KeyValue::new(key, code),
            Err(_) => KeyValue::new(key, text),
        })
}

/// The keys of promoted attributes with values that do not fit their columns.
pub(crate) fn unpromoted() -> Vec<Attribute> {
    vec![
        (KeyValue::new("http.request.method", 7), "7", ValueType::Int),
        (
            KeyValue::new("http.response.status_code", "503"),
            "503",
            ValueType::String,
        ),
        (KeyValue::new("http.route", ""), "", ValueType::String),
        (KeyValue::new("rpc.method", true), "true", ValueType::Bool),
    ]
}

pub(crate) fn key_values(attributes: Vec<Attribute>) -> Vec<KeyValue> {
    attributes.into_iter().map(|(sent, ..)| sent).collect()
}

/// As `typed` reads them.
pub(crate) fn entries(attributes: &[Attribute]) -> Value {
    let entry = |(sent, text, kind): &Attribute| json!([sent.key.as_str(), text, *kind as u8]);
    attributes.iter().map(entry).collect()
}

/// Entries in the order of their keys.
pub(crate) fn sorted(mut entries: Value) -> Value {
    if let Value::Array(entries) = &mut entries {
        entries.sort_by(|a, b| a[0].as_str().cmp(&b[0].as_str()));
    }
    entries
}
