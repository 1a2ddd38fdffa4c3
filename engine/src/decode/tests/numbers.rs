//! Numbers of points and exemplars read back as they were sent.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::collection::vec;
use proptest::prelude::*;
use spanmill_schema::{NumberType, TableId};

use super::block::{Row, Value, get};
use super::full::metrics::number_point;
use super::store::Store;
use super::tree::{Metrics, encode, one_group};
use super::{NOW, arrival, for_all, tables};

/// What was sent, as an integer or as the bits of a float.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    Double(u64),
}

/// Integers of every size, many of them where floats get coarser.
fn number() -> impl Strategy<Value = Number> {
    let around = (0..64u32, -3..=3i64, any::<bool>()).prop_map(|(bit, off, is_negative)| {
        let power = 1i64.wrapping_shl(bit).wrapping_add(off);
        if is_negative {
            power.wrapping_neg()
        } else {
            power
        }
    });
    prop_oneof![
        3 => around.prop_map(Number::Int),
        3 => any::<i64>().prop_map(Number::Int),
        1 => any::<u64>().prop_map(Number::Double),
    ]
}

/// Scenario: any integers and floats as values of points and of their exemplars.
/// Guarantees: each reads back exactly, an integer as the type of numbers says: its float as a 128-bit
/// integer plus the remainder.
#[test]
fn any_number_reads_back() {
    for_all(256, vec(number(), 1..20), |numbers| {
        let point = |number: &Number| {
            let (value, exemplar) = match *number {
                Number::Int(int) => (
                    number_data_point::Value::AsInt(int),
                    exemplar::Value::AsInt(int),
                ),
                Number::Double(bits) => (
                    number_data_point::Value::AsDouble(f64::from_bits(bits)),
                    exemplar::Value::AsDouble(f64::from_bits(bits)),
                ),
            };
            let mut point = number_point(value);
            point.exemplars.push(Exemplar {
                value: Some(exemplar),
                ..Exemplar::default()
            });
            point
        };
        let metric = Metric {
            data: Some(Data::Gauge(Gauge {
                data_points: numbers.iter().map(point).collect(),
            })),
            ..Metric::default()
        };
        let scope = InstrumentationScope::default();
        let request = one_group(Resource::default(), scope, vec![metric]);
        let mut store = Store::new(tables(0));
        let body = encode::<Metrics>(&request);
        store.walk::<Metrics>(&body, arrival(NOW)).unwrap();
        let read = store.seal();
        let columns = ["ValueType", "Value", "IntRemainder"];
        let stored = read.rows(TableId::Metrics).map(|row| {
            let of_point = columns.map(|column| get(row, column).clone());
            let of_exemplar = columns.map(|column| first(row, &format!("Exemplars.{column}")));
            [read_back(of_point), read_back(of_exemplar)]
        });
        assert!(stored.eq(numbers.iter().map(|number| [*number; 2])));
    });
}

fn first(row: &Row, column: &str) -> Value {
    match get(row, column) {
        Value::List(values) => values[0].clone(),
        other => panic!("{other:?} is no list"),
    }
}

fn read_back([kind, value, remainder]: [Value; 3]) -> Number {
    let (Value::Number(kind), Value::Float(bits), Value::Int(remainder)) = (kind, value, remainder)
    else {
        panic!("the types are other ones");
    };
    if kind == NumberType::Double as u64 {
        assert_eq!(remainder, 0);
        return Number::Double(bits);
    }
    assert_eq!(kind, NumberType::Int as u64);
    let int = f64::from_bits(bits) as i128 + i128::from(remainder);
    assert!(int.unsigned_abs() > 1 << 53 || remainder == 0);
    Number::Int(int.try_into().unwrap())
}
