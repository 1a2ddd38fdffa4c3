//! What the walk guesses of metrics to be done sooner, where the guess is wrong.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, Sum};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::expected::expected;
use super::full::metrics::number_point;
use super::full::{attribute, string};
use super::known::Known;
use super::store::Store;
use super::tree::{Group, Metrics, ScopeGroup, encode, one_group};
use super::{NOW, arrival, tables};

/// A sum of unknown temporality with a point for each of these attributes.
fn sum(points: Vec<Vec<KeyValue>>) -> Metric {
    let points = points.into_iter().map(|attributes| NumberDataPoint {
        attributes,
        flags: 0,
        ..number_point(AsInt(1))
    });
    Metric {
        name: "sum".to_owned(),
        data: Some(Data::Sum(Sum {
            data_points: points.collect(),
            ..Sum::default()
        })),
        ..Metric::default()
    }
}

fn group(items: Vec<Metric>) -> Vec<Group<Metric>> {
    let scope = InstrumentationScope {
        name: "scope".to_owned(),
        ..InstrumentationScope::default()
    };
    one_group(Resource::default(), scope, items)
}

/// Walks requests one after the other, and checks that nothing but their rows is stored.
fn assert_stored(requests: &[&[Group<Metric>]]) {
    let mut store = Store::new(tables(0));
    let mut known = Known::default();
    for request in requests {
        let (rows, _) = expected::<Metrics>(request, &store.tables, arrival(NOW));
        let body = encode::<Metrics>(request);
        let counts = store.counts::<Metrics>(&body, arrival(NOW)).unwrap();
        assert_eq!(counts, (rows.len(), 0));
        known.assert_holds::<Metrics>(&store.seal(), &rows, NOW);
    }
}

/// Scenario: a sum without a temporality whose last attribute is a boolean, so that its last bytes are those of a
/// temporality of 1.
/// Guarantees: it is stored without a temporality, and nothing of the walk that guessed it remains.
#[test]
fn a_sum_that_seems_to_end_with_a_temporality() {
    let request = group(vec![
        sum(vec![vec![]]),
        sum(vec![vec![attribute("last", Any::BoolValue(true))]]),
    ]);
    let body = encode::<Metrics>(&request);
    let url = b"\x1a\x09scope-url";
    let end = body.windows(url.len()).position(|bytes| bytes == url);
    let end = end.unwrap_or(body.len());
    assert!(body[..end].ends_with(&[2 << 3, 1]), "{:x?}", &body[..end]);
    assert_stored(&[&request, &request]);
}

/// Scenario: a scope has a schema URL, and the next one has none but ends with a metric whose unit, its last field, is
/// that text.
/// Guarantee: the series of each scope have its own schema URL, or none.
#[test]
fn a_scope_that_seems_to_end_with_a_schema_url() {
    let mut request = group(vec![sum(vec![vec![]])]);
    let scope = &mut request[0].scopes[0];
    scope.schema_url = "1".to_owned();
    let without = ScopeGroup {
        schema_url: String::new(),
        items: vec![
            sum(vec![vec![string("k", "v")]]),
            Metric {
                unit: "1".to_owned(),
                ..Metric::default()
            },
        ],
        ..scope.clone()
    };
    request[0].scopes.push(without);
    assert_stored(&[&request, &request]);
}

/// Scenario: points with attributes that begin like those of the series which came next in the request before, and go
/// on otherwise; or end earlier.
/// Guarantee: each has its own series.
#[test]
fn points_whose_attributes_begin_like_others() {
    let (a, b, c) = (string("a", "1"), string("b", "2"), string("c", "3"));
    let long = vec![a.clone(), b.clone(), c.clone()];
    let middle = vec![a.clone(), b];
    let requests = [
        vec![vec![], vec![a.clone()], middle.clone(), long.clone()],
        vec![vec![], long, vec![a.clone()], vec![c], middle, vec![a]],
    ];
    let [first, second] = requests.map(|points| group(vec![sum(points)]));
    assert_stored(&[&first, &second, &first, &second]);
}
