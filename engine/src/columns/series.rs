//! Rows of `otel_metric_series`, and the memory of which series this shard has written for which days, so
//! that a series costs its row once a day and a hash per point after that.

use std::hash::BuildHasher as _;

use cityhash_102_rs::city_hash_128;
use hashbrown::{DefaultHashBuilder, HashTable};
use spanmill_schema::TableId;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::limits::SERIES_MAX;

use super::canonical::{push_attributes, push_text, sort_attributes};
use super::column::{Buffer, column_group, next_mark};
use super::metrics::MetricKind;
use super::seal::NANOS_A_DAY;
use super::{
    Attributes, ColumnSet, DICTIONARY_ENTRY_BYTES, Fixed, Integers, LowCardinality, NotUtf8,
    Origin, OwnedAttribute, ResourceId, Scope, clear_buffer,
};

column_group! {
    /// Rows of `otel_metric_series` that wait to be sealed.
    SeriesColumns {
        id: Fixed<8>,
        name: LowCardinality,
        kind: Fixed<1>,
        temporality: Fixed<1>,
        monotonic: Fixed<1>,
        unit: LowCardinality,
        description: LowCardinality,
        metadata: Attributes,
        origin: Origin,
        attributes: Attributes,
        first_day: Fixed<2>,
        last_day: Fixed<2>,
    }
}

impl ColumnSet for SeriesColumns {
    const TABLE: TableId = TableId::MetricSeries;

    fn rows(&self) -> usize {
        self.id.rows()
    }

    fn timestamps(&self) -> Option<&Integers> {
        None
    }
}

/// What the series of one metric share.
#[derive(Debug)]
pub(crate) struct Metric<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) unit: &'a [u8],
    pub(crate) description: &'a [u8],
    pub(crate) metadata: Vec<OwnedAttribute>,
    pub(crate) kind: MetricKind,
    pub(crate) resource: ResourceId,
    pub(crate) service: &'a [u8],
    pub(crate) scope: &'a Scope<'a>,
}

/// A hash of all that tells a metric from others, resource and scope included; part of what is stored.
type MetricHash = [u8; 16];
/// A hash of a metric and of a point's attributes as they were encoded: what a series is remembered by. It is cheap, and
/// two series meet in it as seldom as in their ids, which have as many bits.
pub(crate) type SeriesKey = u64;

/// The key of a series, from its metric's and its point's encoded attributes.
#[inline]
pub(crate) fn series_key(metric: SeriesKey, encoded: &[u8]) -> SeriesKey {
    xxh3_64_with_seed(encoded, metric)
}

struct Remembered {
    key: SeriesKey,
    id: u64,
    /// Days (UTC, since 1970) that rows were written for, and all between them.
    first_day: u16,
    last_day: u16,
    /// Bytes of the encoded attributes.
    length: u32,
}

/// See the module.
pub(crate) struct Series {
    pub(super) columns: SeriesColumns,
    /// In the order in which they came first. Senders keep to their order, so the series of the next point is
    /// nearly always the one behind the last.
    remembered: Vec<Remembered>,
    /// Places in `remembered` by key.
    lookup: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The place of the last one that was looked for and found.
    last: usize,
    /// Past so many, memory starts over, and series that are seen again are written again (the table merges
    /// their rows).
    remembered_max: usize,
    /// What was remembered since the request began, so that a refused one can be taken back.
    added: Vec<SeriesKey>,
}

impl Remembered {
    /// Keeps the place, and holds no day.
    fn forget(&mut self) {
        (self.first_day, self.last_day) = (1, 0);
    }

    fn is_forgotten(&self) -> bool {
        self.first_day > self.last_day
    }
}

impl Metric<'_> {
    /// At least the bytes that a new series' row takes besides its attributes.
    pub(crate) fn series_bytes(&self) -> usize {
        // Fixed widths, numbers of dictionary values, and offsets; of dictionaries here: name, unit,
        // description and service (those of scopes are in what they count themselves).
        const ROW: usize = 8 + 3 + 3 * 4 + 8 + Origin::ROW_BYTES + 8 + 4;
        let texts = self.name.len() + self.unit.len() + self.description.len();
        let metadata = self.metadata.iter().map(OwnedAttribute::stored_bytes);
        ROW + 4 * DICTIONARY_ENTRY_BYTES
            + texts
            + self.service.len()
            + metadata.sum::<usize>()
            + self.scope.stored_bytes(1)
    }

    /// At least the bytes that the name takes, besides a number in each row.
    pub(crate) fn name_bytes(&self) -> usize {
        DICTIONARY_ENTRY_BYTES + self.name.len()
    }

    /// What tells the metric from others, from the same of its scope.
    pub(crate) fn key(&self, scope: SeriesKey) -> SeriesKey {
        let MetricKind {
            kind,
            temporality,
            monotonic,
        } = self.kind;
        let kind = u32::from_le_bytes([kind as u8, temporality, u8::from(monotonic), 0]);
        let key = scope.wrapping_add(kind.into());
        series_key(series_key(key, self.name), self.unit)
    }

    /// See [`MetricHash`]. `room` is overwritten.
    fn hash(&self, room: &mut Vec<u8>) -> MetricHash {
        self.scope.push(self.resource, room);
        push_text(room, self.name);
        push_text(room, self.unit);
        room.extend_from_slice(&[
            self.kind.kind as u8,
            self.kind.temporality,
            u8::from(self.kind.monotonic),
        ]);
        city_hash_128(room).to_le_bytes()
    }
}

impl Scope<'_> {
    /// What tells the scope of a resource from others. `room` is overwritten.
    pub(crate) fn key(&self, resource: ResourceId, room: &mut Vec<u8>) -> SeriesKey {
        self.push(resource, room);
        xxh3_64(room)
    }

    /// Overwrites `room` with all that tells it from others.
    fn push(&self, resource: ResourceId, room: &mut Vec<u8>) {
        room.clear();
        room.extend_from_slice(&resource.to_le_bytes());
        push_text(room, self.name);
        push_text(room, self.version);
        push_text(room, self.schema_url);
        let mut attributes: Vec<_> = self.attributes.iter().collect();
        sort_attributes(&mut attributes);
        push_attributes(room, &attributes);
    }
}

impl Default for Series {
    fn default() -> Self {
        Series {
            columns: SeriesColumns::default(),
            remembered: Vec::new(),
            lookup: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            last: 0,
            remembered_max: SERIES_MAX,
            added: Vec::new(),
        }
    }
}

impl Series {
    /// Bounds how many are remembered.
    pub(crate) fn remember_at_most(&mut self, series_max: usize) {
        self.remembered_max = series_max;
    }

    /// The key of the series that is likely to come next, and the length of its encoded attributes.
    #[inline]
    pub(crate) fn next(&self) -> Option<(SeriesKey, usize)> {
        let next = self.remembered.get(self.last + 1)?;
        Some((next.key, next.length as usize))
    }

    /// The id of a series whose row was written for the day of `timestamp` (Unix nanoseconds).
    #[inline]
    pub(crate) fn known(&mut self, key: SeriesKey, timestamp: u64) -> Option<u64> {
        let next = self.remembered.get(self.last + 1);
        let place = match next.is_some_and(|next| next.key == key) {
            true => self.last + 1,
            false => self.find(key)?,
        };
        self.last = place;
        let found = &self.remembered[place];
        let day = day(timestamp);
        (found.first_day <= day && day <= found.last_day).then_some(found.id)
    }

    fn find(&self, key: SeriesKey) -> Option<usize> {
        let is_it = |place: &u32| self.remembered[*place as usize].key == key;
        let place = self.lookup.find(self.hasher.hash_one(key), is_it)?;
        Some(*place as usize)
    }

    /// Adds the row of a series with a point at `timestamp` and remembers it. Its encoded attributes take `length`
    /// bytes; `room` is overwritten.
    pub(crate) fn add(
        &mut self,
        key: SeriesKey,
        metric: &Metric<'_>,
        length: usize,
        attributes: &[OwnedAttribute],
        timestamp: u64,
        room: &mut Vec<u8>,
    ) -> Result<u64, NotUtf8> {
        let id = identity(&metric.hash(room), attributes, room);
        let day = day(timestamp);
        let columns = &mut self.columns;
        columns.id.push(id.to_le_bytes());
        columns.name.push(metric.name)?;
        columns.kind.push([metric.kind.kind as u8]);
        columns.temporality.push([metric.kind.temporality]);
        columns.monotonic.push([u8::from(metric.kind.monotonic)]);
        columns.unit.push(metric.unit)?;
        columns.description.push(metric.description)?;
        columns.metadata.push_run(&metric.metadata, 1)?;
        let rows = columns.id.rows();
        columns.origin.end_scope(metric.scope, rows)?;
        let (resource, service) = (metric.resource, metric.service);
        columns.origin.end_resource(resource, service, rows)?;
        columns.attributes.push_run(attributes, 1)?;
        columns.first_day.push(day.to_le_bytes());
        columns.last_day.push(day.to_le_bytes());
        self.remember(key, length as u32, id, day);
        Ok(id)
    }

    fn remember(&mut self, key: SeriesKey, length: u32, id: u64, day: u16) {
        if self.remembered.len() >= self.remembered_max {
            self.forget();
        }
        self.added.push(key);
        if let Some(place) = self.find(key) {
            let known = &mut self.remembered[place];
            if known.is_forgotten() {
                (known.first_day, known.last_day) = (day, day);
            }
            known.first_day = known.first_day.min(day);
            known.last_day = known.last_day.max(day);
            return;
        }
        self.last = self.remembered.len();
        self.remembered.push(Remembered {
            key,
            id,
            first_day: day,
            last_day: day,
            length,
        });
        let (remembered, hasher) = (&self.remembered, &self.hasher);
        let hash_of = |place: &u32| hasher.hash_one(remembered[*place as usize].key);
        let place = self.last as u32;
        self.lookup
            .insert_unique(hasher.hash_one(key), place, hash_of);
    }

    /// Forgets a series that a refused request added. A range that grew in such a request is forgotten with it:
    /// one row more, nothing wrong.
    fn take_back(&mut self, key: SeriesKey) {
        let remembered = &mut self.remembered;
        let is_it = |place: &u32| remembered[*place as usize].key == key;
        let Ok(found) = self.lookup.find_entry(self.hasher.hash_one(key), is_it) else {
            return;
        };
        let place = *found.get() as usize;
        if place + 1 == remembered.len() {
            found.remove();
            remembered.pop();
        } else {
            remembered[place].forget();
        }
    }

    /// Forgets which series were written, because rows may not have arrived: they are written again.
    pub(crate) fn forget(&mut self) {
        self.remembered.clear();
        self.lookup.clear();
    }

    /// A request begins: what was remembered before stays.
    pub(super) fn begin_request(&mut self) {
        clear_buffer(&mut self.added);
    }
}

impl Buffer for Series {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.push(self.added.len());
        self.columns.mark(marks);
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        let added = next_mark(marks);
        while self.added.len() > added
            && let Some(key) = self.added.pop()
        {
            self.take_back(key);
        }
        self.columns.rollback(marks);
    }

    fn clear(&mut self) {
        self.columns.clear();
    }

    fn bytes(&self) -> usize {
        self.columns.bytes()
    }

    fn room(&self) -> usize {
        self.columns.room()
    }
}

fn day(timestamp: u64) -> u16 {
    // Until 2149, as ClickHouse's Date.
    u16::try_from(timestamp / NANOS_A_DAY).unwrap_or(u16::MAX)
}

/// The hash of the metric and the sorted attributes: the same on every shard, host and day.
fn identity(hash: &MetricHash, attributes: &[OwnedAttribute], room: &mut Vec<u8>) -> u64 {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sort_attributes(&mut sorted);
    room.clear();
    room.extend_from_slice(hash);
    push_attributes(room, &sorted);
    city_hash_128(room) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanmill_schema::{MetricType, ValueType};

    fn metric<'a>(name: &'a [u8], scope: &'a Scope<'a>) -> Metric<'a> {
        Metric {
            name,
            unit: b"1",
            description: b"",
            metadata: vec![],
            kind: MetricKind {
                kind: MetricType::Sum,
                temporality: 2,
                monotonic: true,
            },
            resource: 7,
            service: b"cart",
            scope,
        }
    }

    fn attribute(key: &str, kind: ValueType) -> OwnedAttribute {
        OwnedAttribute {
            key: key.into(),
            kind,
            value: b"1".to_vec(),
        }
    }

    /// Scenario: one series with its attributes in two orders, and others that differ in a value's type, the
    /// metric's name, its unit, its temporality and its scope.
    /// Guarantee: order does not change the id; everything else does.
    #[test]
    fn what_tells_series_apart_is_in_the_id() {
        let (scope, other_scope) = (
            Scope::default(),
            Scope {
                version: b"2",
                ..Scope::default()
            },
        );
        let (a, b) = (
            attribute("a", ValueType::Int),
            attribute("b", ValueType::Int),
        );
        let id = |metric: &Metric<'_>, attributes: &[OwnedAttribute]| {
            let room = &mut Vec::new();
            identity(&metric.hash(room), attributes, room)
        };
        let plain = metric(b"m", &scope);
        let first = id(&plain, &[a.clone(), b.clone()]);
        assert_eq!(first, id(&plain, &[b.clone(), a.clone()]));
        let text = attribute("b", ValueType::String);
        let mut delta = metric(b"m", &scope);
        delta.kind.temporality = 1;
        let mut unit = metric(b"m", &scope);
        unit.unit = b"s";
        let others = [
            id(&plain, &[a.clone(), text]),
            id(&plain, std::slice::from_ref(&a)),
            id(&metric(b"n", &scope), &[a.clone(), b.clone()]),
            id(&metric(b"m", &other_scope), &[a.clone(), b.clone()]),
            id(&delta, &[a.clone(), b.clone()]),
            id(&unit, &[a, b]),
        ];
        assert!(!others.contains(&first));
    }

    /// Scenario: points of several series in one order, in another, and with one left out; then all are forgotten.
    /// Guarantee: the guess at the next series never changes which one is found.
    #[test]
    fn series_are_found_in_any_order() {
        let scope = Scope::default();
        let metric = metric(b"m", &scope);
        let mut series = Series::default();
        let room = &mut Vec::new();
        let mut ids = Vec::new();
        for key in 0..5_u8 {
            let attributes = [attribute(&format!("{key}"), ValueType::Int)];
            let id = series.add(key.into(), &metric, 0, &attributes, 0, room);
            ids.push(Some(id.unwrap()));
        }
        for order in [&[0, 1, 2, 3, 4][..], &[4, 2, 0, 1, 3], &[0, 2, 3, 4, 0, 0]] {
            for key in order {
                assert_eq!(series.known(*key as u64, 0), ids[*key]);
            }
        }
        assert_eq!(series.known(5, 0), None);
        series.forget();
        assert!((0..5).all(|key| series.known(key, 0).is_none()));
    }

    /// Scenario: points of one series on day 10, on day 12, between them, and before; then a refused request
    /// that brought a new series and a new day of the known one.
    /// Guarantee: a row is due for days outside the range that rows cover; what a refused request added
    /// is due again.
    #[test]
    fn a_row_is_due_for_days_that_no_row_covers() {
        let scope = Scope::default();
        let metric = metric(b"m", &scope);
        let mut series = Series::default();
        let room = &mut Vec::new();
        let mut add = |series: &mut Series, key, day: u64| {
            series
                .add(key, &metric, 0, &[], day * NANOS_A_DAY, room)
                .unwrap()
        };
        let id = add(&mut series, 1, 10);
        assert_eq!(series.known(1, 11 * NANOS_A_DAY), None);
        add(&mut series, 1, 12);
        assert_eq!(series.known(1, 11 * NANOS_A_DAY), Some(id));
        assert_eq!(series.known(1, 9 * NANOS_A_DAY), None);
        assert_eq!(series.columns.rows(), 2);

        add(&mut series, 5, 12);

        series.begin_request();
        let mut marks = Vec::new();
        series.mark(&mut marks);
        add(&mut series, 1, 13);
        add(&mut series, 2, 13);
        add(&mut series, 3, 13);
        series.rollback(&mut marks.drain(..));
        for key in [1, 2, 3] {
            assert_eq!(series.known(key, 13 * NANOS_A_DAY), None);
        }
        assert_eq!(series.known(5, 12 * NANOS_A_DAY), Some(id));
        assert_eq!(series.columns.rows(), 3);
        assert_eq!(series.remembered.len(), 2, "what was new takes no place");
        add(&mut series, 1, 13);
        assert_eq!(series.known(1, 13 * NANOS_A_DAY), Some(id));
        assert_eq!(series.known(1, 12 * NANOS_A_DAY), None);
    }
}
