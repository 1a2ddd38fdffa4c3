//! Strategies for texts, numbers, times and attributes.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use spanmill_schema::{PROMOTED_LOGS, PROMOTED_SPANS};

use crate::decode::tests::NOW;

const DAY: u64 = 86_400_000_000_000;

/// An id that names something.
pub(super) fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), length), 0..length).prop_map(|(mut id, at)| {
        id[at] |= 1;
        id
    })
}

pub(in crate::decode::tests) fn text() -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => select(vec!["GET /", "cart", "1", "https://schema/1.30.0", "a\"\\\n\u{1}\u{7f}"])
            .prop_map(str::to_owned),
        2 => vec(any::<char>(), 1..8).prop_map(|chars| chars.into_iter().collect()),
        1 => (100..300usize).prop_map(|length| "é".repeat(length)),
    ]
    .boxed()
}

/// Times of which some lie on one day, some on the next ones, some anywhere.
pub(in crate::decode::tests) fn time() -> impl Strategy<Value = u64> {
    let now = u64::from(NOW) * 1_000_000_000;
    prop_oneof![
        4 => now..now + 1_000,
        3 => (0..5u64, 0..1_000u64).prop_map(move |(day, more)| now + day * DAY + more),
        1 => select(vec![0, 1, DAY - 1, DAY]),
        1 => select(vec![i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX]),
        1 => any::<u64>(),
    ]
}

/// A value of an enum, known or not.
pub(super) fn code() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 0..6i32, 1 => select(vec![-1, 255, 256, i32::MIN, i32::MAX])]
}

pub(super) fn count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..200u32, Just(u32::MAX)]
}

fn key() -> impl Strategy<Value = String> {
    let promoted = [PROMOTED_SPANS, PROMOTED_LOGS].concat();
    let key = |promoted: &str| promoted.split('=').next().unwrap_or_default().to_owned();
    prop_oneof![
        3 => select(promoted).prop_map(key),
        2 => select(vec!["service.name", "host.name", "k", "n", ""]).prop_map(str::to_owned),
        1 => text(),
    ]
}

pub(super) fn attributes() -> BoxedStrategy<Vec<KeyValue>> {
    vec(key_value(value()), 0..5).boxed()
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    let index = prop_oneof![9 => Just(0), 1 => any::<i32>()];
    (key(), option::weighted(0.95, value), index).prop_map(|(key, value, key_strindex)| KeyValue {
        key,
        value,
        key_strindex,
    })
}

pub(super) fn value() -> BoxedStrategy<AnyValue> {
    let nested = leaf().prop_recursive(4, 12, 3, |inner| {
        let array = vec(inner.clone(), 0..4).prop_map(|values| ArrayValue { values });
        let map = vec(key_value(inner), 0..4).prop_map(|values| KeyValueList { values });
        prop_oneof![
            array.prop_map(|array| some(Value::ArrayValue(array))),
            map.prop_map(|map| some(Value::KvlistValue(map))),
        ]
    });
    prop_oneof![3 => leaf(), 1 => nested].boxed()
}

fn leaf() -> BoxedStrategy<AnyValue> {
    prop_oneof![
        1 => Just(AnyValue { value: None }),
        5 => text().prop_map(|text| some(Value::StringValue(text))),
        1 => any::<bool>().prop_map(|value| some(Value::BoolValue(value))),
        3 => int().prop_map(|value| some(Value::IntValue(value))),
        2 => double().prop_map(|value| some(Value::DoubleValue(value))),
        1 => vec(any::<u8>(), 0..9).prop_map(|bytes| some(Value::BytesValue(bytes))),
        1 => any::<i32>().prop_map(|index| some(Value::StringValueStrindex(index))),
    ]
    .boxed()
}

pub(super) fn some(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(in crate::decode::tests) fn int() -> impl Strategy<Value = i64> {
    let edges = vec![0, 1, -1, 200, 65_535, 65_536, 65_736, i64::MIN, i64::MAX];
    prop_oneof![3 => select(edges), 1 => any::<i64>()]
}

pub(super) fn double() -> impl Strategy<Value = f64> {
    let edges = vec![
        0.0, -0.0, 1.0, 0.1, 1e-5, 1e-6, 1e-7, 1e15, 1e16, 1e20, 1e21, 5e-324,
    ];
    prop_oneof![
        2 => select(edges),
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN]),
        1 => -1e6..1e6f64,
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}
