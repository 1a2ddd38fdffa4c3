//! What the chunks so far say of resources and series, and whether a chunk holds just what it should.

use std::collections::{BTreeMap, BTreeSet};

use spanmill_schema::TableId;

use super::block::{Row, Value, get};
use super::expected::{Expected, Stored};
use super::store::Read;
use super::tree::Telemetry;

/// Nanoseconds.
const DAY: u64 = 86_400_000_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// A resource's columns after `LastSeen`, by its id.
    resources: BTreeMap<u64, Row>,
    /// Series by their ids.
    series: BTreeMap<u64, Series>,
    /// The only id of each series.
    ids: BTreeMap<Row, u64>,
}

#[derive(Debug)]
struct Series {
    labels: Row,
    /// Days of the points that rows were written for, and all between them.
    first_day: u64,
    last_day: u64,
}

impl Known {
    /// Panics unless `read` holds just the rows `expected`, each in its partition and in order, each with
    /// its own resource, written at `now` (Unix seconds) or known from before; and each point with a
    /// series that has just its labels and was announced for its day.
    pub(super) fn assert_holds<S: Telemetry>(
        &mut self,
        read: &Read,
        expected: &[Expected],
        now: u32,
    ) {
        self.take_resources(read, now);
        self.take_series(read, expected);
        // In the order of blocks: by partition, and within one as they came.
        let mut by_partition = expected.to_vec();
        by_partition.sort_by_key(|expected| expected.time() / DAY);
        assert_eq!(read.rows(S::TABLE).count(), by_partition.len());
        let mut resources = BTreeSet::new();
        for (row, expected) in read.rows(S::TABLE).zip(&by_partition) {
            let id = match &expected.stored.series {
                None => number(row, "ResourceId"),
                Some(_) => self.check_series(number(row, "SeriesId"), expected),
            };
            resources.insert(id);
            assert_eq!(self.resources.get(&id), Some(&expected.resource));
            assert_eq!(
                without(row, &["ResourceId", "SeriesId"]),
                expected.stored.row
            );
        }
        for row in read.rows(TableId::Resources) {
            let id = number(row, "ResourceId");
            assert!(resources.contains(&id), "no row names resource {id}");
        }
    }

    fn take_resources(&mut self, read: &Read, now: u32) {
        for row in read.rows(TableId::Resources) {
            assert_eq!(get(row, "LastSeen"), &Value::Number(now.into()));
            let id = number(row, "ResourceId");
            let before = self.resources.insert(id, row[2..].to_vec());
            assert!(before.is_none_or(|before| before == row[2..]), "{id} twice");
        }
    }

    /// Takes the announced series: each must be that of a point in the same chunk, on its day.
    fn take_series(&mut self, read: &Read, expected: &[Expected]) {
        let announced = |point: &Expected| {
            let row = point.stored.series.clone()?;
            Some((row, point.resource.clone(), day(point)))
        };
        let points: BTreeSet<_> = expected.iter().filter_map(announced).collect();
        for row in read.rows(TableId::MetricSeries) {
            let day = number(row, "FirstDay");
            assert_eq!(number(row, "LastDay"), day);
            let resource = &self.resources[&number(row, "ResourceId")];
            let ids_and_days = ["SeriesId", "ResourceId", "FirstDay", "LastDay"];
            let series = without(row, &ids_and_days);
            let labels = labels(&series, resource);
            let point = (series, resource.clone(), day);
            assert!(points.contains(&point), "no point is of {point:?}");
            let id = number(row, "SeriesId");
            assert_eq!(*self.ids.entry(labels.clone()).or_insert(id), id);
            let known = self.series.entry(id).or_insert(Series {
                labels: labels.clone(),
                first_day: day,
                last_day: day,
            });
            assert_eq!(known.labels, labels, "two series have one id");
            known.first_day = known.first_day.min(day);
            known.last_day = known.last_day.max(day);
        }
    }

    /// Checks the series of a point, and gives the id of its resource.
    fn check_series(&self, id: u64, point: &Expected) -> u64 {
        let Stored { series, .. } = &point.stored;
        let known = &self.series[&id];
        let labels = labels(series.as_ref().unwrap(), &point.resource);
        assert_eq!(known.labels, labels);
        let day = day(point);
        assert!((known.first_day..=known.last_day).contains(&day));
        let named = |(_, row): &(&u64, &Row)| **row == point.resource;
        *self.resources.iter().find(named).unwrap().0
    }

    /// The ids of all resources and of all series so far, by what they stand for.
    pub(super) fn ids(self) -> (BTreeMap<Row, u64>, BTreeMap<Row, u64>) {
        let resources = self.resources.into_iter().map(|(id, row)| (row, id));
        (resources.collect(), self.ids)
    }
}

/// The day of a point, as ClickHouse's Date can hold it.
fn day(point: &Expected) -> u64 {
    (point.time() / DAY).min(u16::MAX.into())
}

/// What tells a series from others: its columns without those that describe it, attributes sorted, and
/// its resource.
fn labels(series: &Row, resource: &Row) -> Row {
    let described = [
        "MetricDescription",
        "MetricMetadata",
        "MetricMetadataTypes",
        "ScopeDroppedAttributesCount",
    ];
    let mut labels = without(series, &described);
    for (map, types) in [
        ("ScopeAttributes", "ScopeAttributeTypes"),
        ("Attributes", "AttributeTypes"),
    ] {
        let (Value::Map(entries), Value::List(kinds)) = (get(series, map), get(series, types))
        else {
            panic!("{map} is no map");
        };
        let mut entries: Vec<_> = entries.iter().zip(kinds).collect();
        entries.sort();
        let (entries, kinds): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        for (column, value) in &mut labels {
            if column == map {
                *value = Value::Map(entries.iter().map(|entry| (*entry).clone()).collect());
            } else if column == types {
                *value = Value::List(kinds.iter().map(|kind| (*kind).clone()).collect());
            }
        }
    }
    labels.extend(resource.iter().cloned());
    labels
}

fn without(row: &Row, columns: &[&str]) -> Row {
    let kept = row.iter().filter(|column| !columns.contains(&&*column.0));
    kept.cloned().collect()
}

fn number(row: &Row, column: &str) -> u64 {
    match get(row, column) {
        Value::Number(number) => *number,
        other => panic!("{column}: {other:?} is no number"),
    }
}
