//! Requests that ask for more room than they have bytes.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::full::{full, string};
use super::store::Store;
use super::tree::{Group, Logs, Metrics, Telemetry, Traces, encode, one_group};
use super::{NOW, arrival, tables};
use crate::decode::DecodeError;

/// A group for each of `sizes`: one scope with 1 MiB of attributes over as many copies of one item.
fn large_scopes<S: Telemetry>(sizes: &[usize]) -> Vec<Group<S::Item>> {
    let scope = || InstrumentationScope {
        attributes: vec![string("large", &"x".repeat(1 << 20))],
        ..InstrumentationScope::default()
    };
    let group = |size: &usize| {
        let item = S::full().swap_remove(0);
        one_group(Resource::default(), scope(), vec![item; *size])
    };
    sizes.iter().flat_map(group).collect()
}

fn walk<S: Telemetry>(request: &[Group<S::Item>]) -> Result<(usize, usize), DecodeError> {
    let mut store = Store::new(tables(0));
    let outcome = store.counts::<S>(&encode::<S>(request), arrival(NOW));
    assert_eq!(outcome.is_err(), store.columns.bytes() == 0);
    outcome
}

/// Scenario: one scope with 1 MiB of attributes over 63 and over 65 rows, in one and in two groups.
/// Guarantees: what a request's scopes take in rows has a bound, however it is spread; a refused one
/// leaves nothing.
#[test]
fn scope_attributes_are_not_multiplied_without_bound() {
    fn check<S: Telemetry>() {
        assert_eq!(walk::<S>(&large_scopes::<S>(&[63])), Ok((63, 0)));
        for sizes in [&[65][..], &[32, 33]] {
            let outcome = walk::<S>(&large_scopes::<S>(sizes));
            assert_eq!(outcome, Err(DecodeError::ScopeTooLarge));
        }
    }
    check::<Traces>();
    check::<Logs>();
}

/// Scenario: one scope with 1 MiB of attributes over 65 points of one series; then over one point each
/// of 65 series.
/// Guarantees: a point does not hold its scope, so points alone are not bounded by it; series are.
#[test]
fn points_do_not_repeat_their_scope() {
    assert_eq!(
        walk::<Metrics>(&large_scopes::<Metrics>(&[65])),
        Ok((65, 0))
    );
    let mut series = large_scopes::<Metrics>(&[65]);
    for (number, metric) in super::tree::items(&mut series).enumerate() {
        metric.name = format!("metric {number}");
    }
    assert_eq!(walk::<Metrics>(&series), Err(DecodeError::ScopeTooLarge));
    assert!(walk::<Metrics>(&full::<Metrics>()).is_ok());
}
