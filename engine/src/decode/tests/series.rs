//! Series: which rows announce them, and what their ids depend on. That each point's series has just its
//! labels is checked wherever metrics are, in `Known`.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Gauge, Metric, NumberDataPoint, Sum};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::collection::vec;
use proptest::prelude::any;
use spanmill_schema::TableId;

use super::expected::expected;
use super::full::metrics::number_point;
use super::full::{attribute, string};
use super::known::Known;
use super::messages::groups;
use super::store::Store;
use super::texts::each_point;
use super::tree::{Group, Metrics, encode, items, one_group};
use super::{NOW, arrival, for_all, tables, wire};

const DAY: u64 = 86_400_000_000_000;

/// Scenario: a request is walked by one shard; by another one the same request with its groups and all
/// attributes in another order and in another encoding.
/// Guarantees: series and resources have the same ids, so those do not depend on a shard, on what it did
/// before, or on the order of attributes.
#[test]
fn ids_depend_on_labels_alone() {
    for_all(
        128,
        (groups::<Metrics>(), any::<u64>()),
        |(request, seed)| {
            let mut shuffled = request.clone();
            shuffle(&mut shuffled, &mut Rng::with_seed(seed));
            let ids = |request: &[Group<Metric>], seed| {
                let mut store = Store::new(tables(0));
                let (rows, _) = expected::<Metrics>(request, &store.tables, arrival(NOW));
                let body =
                    wire::reencode(super::Signal::Metrics, &encode::<Metrics>(request), seed);
                store.walk::<Metrics>(&body, arrival(NOW)).unwrap();
                let mut known = Known::default();
                known.assert_holds::<Metrics>(&store.seal(), &rows, NOW);
                known.ids()
            };
            assert_eq!(ids(&request, 0), ids(&shuffled, seed));
        },
    );
}

fn shuffle(request: &mut [Group<Metric>], rng: &mut Rng) {
    rng.shuffle(request);
    for group in request {
        rng.shuffle(&mut group.scopes);
        if let Some(resource) = &mut group.resource {
            rng.shuffle(&mut resource.attributes);
        }
        for below in &mut group.scopes {
            rng.shuffle(&mut below.items);
            if let Some(scope) = &mut below.scope {
                rng.shuffle(&mut scope.attributes);
            }
            for metric in &mut below.items {
                each_point!(metric, |point| rng.shuffle(&mut point.attributes));
            }
        }
    }
}

fn gauge(attributes: Vec<KeyValue>, time: u64) -> Vec<Group<Metric>> {
    let point = NumberDataPoint {
        attributes,
        time_unix_nano: time,
        ..number_point(AsInt(1))
    };
    let metric = Metric {
        name: "gauge".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![point],
        })),
        ..Metric::default()
    };
    one_group(
        Resource::default(),
        InstrumentationScope::default(),
        vec![metric],
    )
}

/// Scenario: points of one series on arbitrary days, each in a chunk of its own.
/// Guarantees: a row is written for just the points that lie outside the days from the first to the last
/// one so far, and again once the shard was told to forget.
#[test]
fn a_series_is_announced_once_for_a_range_of_days() {
    for_all(64, vec(0..8u64, 1..16), |days| {
        let mut store = Store::new(tables(0));
        let mut known = Known::default();
        let mut announced = |store: &mut Store, day: u64| {
            let request = gauge(Vec::new(), (20_000 + day) * DAY + 5);
            let (rows, _) = expected::<Metrics>(&request, &store.tables, arrival(NOW));
            let body = encode::<Metrics>(&request);
            store.walk::<Metrics>(&body, arrival(NOW)).unwrap();
            let read = store.seal();
            known.assert_holds::<Metrics>(&read, &rows, NOW);
            read.rows(TableId::MetricSeries).count()
        };
        for (at, day) in days.iter().enumerate() {
            let before = &days[..at];
            let range = before.iter().min().zip(before.iter().max());
            let is_covered = range.is_some_and(|(first, last)| (first..=last).contains(&day));
            assert_eq!(announced(&mut store, *day), usize::from(!is_covered));
        }
        store.columns.forget_written();
        assert_eq!(announced(&mut store, days[0]), 1);
        assert_eq!(announced(&mut store, days[0]), 0);
    });
}

/// Scenario: a series comes first with a point that is left out (its time, or an exemplar, is bad), then
/// with a good one, in one request and in two.
/// Guarantees: the bad point does not make the series count as announced.
#[test]
fn a_rejected_point_announces_nothing() {
    let closed = super::Arrival {
        latest: 30_000 * DAY,
        ..arrival(NOW)
    };
    for faults in [&[1, 2, 3][..], &[3, 1], &[2]] {
        for is_one_request in [true, false] {
            let mut store = Store::new(tables(0));
            let mut requests: Vec<_> = faults
                .iter()
                .map(|fault| {
                    let mut bad = gauge(Vec::new(), 20_000 * DAY);
                    let item = items(&mut bad).next().unwrap();
                    super::faults::metrics::FAULTS[*fault](item);
                    bad
                })
                .collect();
            requests.push(gauge(Vec::new(), 20_000 * DAY));
            if is_one_request {
                requests = vec![requests.concat()];
            }
            let mut all = Vec::new();
            for request in &requests {
                let (rows, rejected) = expected::<Metrics>(request, &store.tables, closed);
                let outcome = store.counts::<Metrics>(&encode::<Metrics>(request), closed);
                assert_eq!(outcome, Ok((rows.len(), rejected)));
                all.extend(rows);
            }
            let read = store.seal();
            assert_eq!(all.len(), 1);
            assert_eq!(read.rows(TableId::MetricSeries).count(), 1);
            Known::default().assert_holds::<Metrics>(&read, &all, NOW);
        }
    }
}

/// Something that is changed in a request with one sum of one point.
type Change = fn(&mut Group<Metric>);

fn sum(group: &mut Group<Metric>) -> &mut Sum {
    match &mut group.scopes[0].items[0].data {
        Some(Data::Sum(sum)) => sum,
        other => panic!("{other:?} is no sum"),
    }
}

fn scope(group: &mut Group<Metric>) -> &mut InstrumentationScope {
    group.scopes[0].scope.get_or_insert_default()
}

/// Each makes another series.
const LABELS: &[Change] = &[
    |_| (),
    |group| group.schema_url.push('x'),
    |group| {
        group
            .resource
            .get_or_insert_default()
            .attributes
            .push(string("k", "1"))
    },
    |group| {
        group
            .resource
            .get_or_insert_default()
            .dropped_attributes_count = 1
    },
    |group| group.scopes[0].schema_url.push('x'),
    |group| scope(group).name.push('x'),
    |group| scope(group).version.push('x'),
    |group| scope(group).attributes.push(string("k", "1")),
    |group| {
        scope(group)
            .attributes
            .push(attribute("k", Any::IntValue(1)))
    },
    |group| group.scopes[0].items[0].name.push('x'),
    |group| group.scopes[0].items[0].unit.push('x'),
    |group| sum(group).is_monotonic = true,
    |group| sum(group).aggregation_temporality = 1,
    |group| sum(group).aggregation_temporality = 2,
    |group| {
        let data_points = std::mem::take(&mut sum(group).data_points);
        group.scopes[0].items[0].data = Some(Data::Gauge(Gauge { data_points }));
    },
    |group| sum(group).data_points[0].attributes.push(string("k", "1")),
    |group| sum(group).data_points[0].attributes.push(string("k", "2")),
    |group| sum(group).data_points[0].attributes.push(string("k1", "")),
    |group| sum(group).data_points[0].attributes.push(string("", "k1")),
    |group| {
        sum(group).data_points[0]
            .attributes
            .push(attribute("k", Any::IntValue(1)))
    },
    |group| {
        sum(group).data_points[0]
            .attributes
            .extend([string("k", "1"), string("k", "1")])
    },
];

/// None makes another series.
const NO_LABELS: &[Change] = &[
    |group| scope(group).dropped_attributes_count = 1,
    |group| group.scopes[0].items[0].description.push('x'),
    |group| group.scopes[0].items[0].metadata.push(string("k", "1")),
    |group| sum(group).data_points[0].time_unix_nano += 2 * DAY,
    |group| sum(group).data_points[0].start_time_unix_nano = 1,
    |group| sum(group).data_points[0].flags = 1,
    |group| sum(group).data_points[0].value = None,
    |group| {
        sum(group).data_points[0]
            .exemplars
            .push(Exemplar::default())
    },
];

/// Scenario: requests that differ in one thing each: one of those that make a series, or one of the rest.
/// Guarantees: as many series as there are different labels, each announced with its own.
#[test]
fn each_label_tells_series_apart() {
    let changed = |change: &Change| {
        let mut request = gauge(Vec::new(), 20_000 * DAY);
        let metric = &mut request[0].scopes[0].items[0];
        if let Some(Data::Gauge(gauge)) = metric.data.take() {
            metric.data = Some(Data::Sum(Sum {
                data_points: gauge.data_points,
                ..Sum::default()
            }));
        }
        change(&mut request[0]);
        request
    };
    let request: Vec<_> = LABELS.iter().chain(NO_LABELS).flat_map(changed).collect();
    let mut store = Store::new(tables(0));
    let (rows, _) = expected::<Metrics>(&request, &store.tables, arrival(NOW));
    assert_eq!(rows.len(), LABELS.len() + NO_LABELS.len());
    let body = encode::<Metrics>(&request);
    store.walk::<Metrics>(&body, arrival(NOW)).unwrap();
    let mut known = Known::default();
    known.assert_holds::<Metrics>(&store.seal(), &rows, NOW);
    assert_eq!(known.ids().1.len(), LABELS.len());
}
