//! Requests that ask for more room than they have bytes.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric};
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

/// Scenario: a block holds the names of its rows, so a request of 1 MiB whose rows lay in 720 days once
/// became 723 MiB. So: a name of 1 MiB (of a scope, a scope attribute, a service or a metric) over rows in
/// one day, in 60 days in order, and in 70.
/// Guarantees: what names take in blocks has the same bound.
#[test]
fn names_are_not_multiplied_without_bound_by_partitions() {
    fn check<S: Telemetry>(set_name: fn(&mut Group<S::Item>, &str)) {
        for (rows, days, is_taken) in [(200, 1, true), (180, 60, true), (70, 70, false)] {
            let items = (0..rows).map(|row| {
                let mut item = S::full().swap_remove(0);
                S::set_time(&mut item, row * days / rows * 86_400_000_000_000 + 5);
                item
            });
            let scope = InstrumentationScope::default();
            let mut request = one_group(Resource::default(), scope, items.collect());
            set_name(&mut request[0], &"x".repeat(1 << 20));
            let outcome = walk::<S>(&request);
            assert_eq!(outcome.is_ok(), is_taken, "{rows} rows in {days} days");
            assert!(is_taken || outcome == Err(DecodeError::ScopeTooLarge));
        }
    }
    fn of_scope<I>(group: &mut Group<I>, name: &str) {
        group.scopes[0].scope.get_or_insert_default().name = name.to_owned();
    }
    fn of_service<I>(group: &mut Group<I>, name: &str) {
        let service = string("service.name", name);
        group.resource.get_or_insert_default().attributes = vec![service];
    }
    check::<Traces>(of_scope);
    check::<Logs>(of_scope);
    check::<Traces>(of_service);
    check::<Logs>(of_service);
    check::<Metrics>(of_service);
    // The points of one metric have its name, sent once.
    check::<Metrics>(|group, name| {
        let metrics = std::mem::take(&mut group.scopes[0].items);
        let points = metrics.into_iter().flat_map(|metric| match metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points,
            other => panic!("{other:?} is no gauge"),
        });
        group.scopes[0].items.push(Metric {
            name: name.to_owned(),
            data: Some(Data::Gauge(Gauge {
                data_points: points.collect(),
            })),
            ..Metric::default()
        });
    });
    check::<Traces>(|group, name| group.scopes[0].schema_url = name.to_owned());
    check::<Traces>(|group, name| {
        let scope = group.scopes[0].scope.get_or_insert_default();
        scope.version = name.to_owned();
    });
}
