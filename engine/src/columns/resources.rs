//! Rows of `otel_resources`, and the memory of which resources this shard has written lately, so that a
//! resource costs its row once a day and a hash per request after that.

use std::hash::BuildHasher;
use std::rc::Rc;

use cityhash_102_rs::city_hash_128;
use hashbrown::{DefaultHashBuilder, HashTable};
use spanmill_schema::{TableId, ValueType};

use crate::limits::RESOURCES_BYTES;

use super::canonical::{push_attributes, push_text, sort_attributes};
use super::column::{Buffer, column_group, next_mark};
use super::{
    Attributes, ColumnSet, DICTIONARY_ENTRY_BYTES, Fixed, Integers, LowCardinality, NotUtf8,
    OwnedAttribute, clear_buffer,
};

/// Identity of a resource: a hash of its canonical form, the same on every shard, host and day.
pub(crate) type ResourceId = u64;

const SECONDS_A_DAY: u32 = 86_400;
/// Bytes of a remembered resource besides its texts: its place in a hash table that is between 7/16 and 7/8
/// full (56 bytes, once more while the table doubles) and what two allocations cost.
const REMEMBERED_ENTRY_BYTES: usize = 240;

column_group! {
    /// Rows of `otel_resources` that wait to be sealed.
    ResourceColumns {
        id: Fixed<8>,
        last_seen: Fixed<4>,
        service: LowCardinality,
        attributes: Attributes,
        schema_url: LowCardinality,
        dropped_attributes: Fixed<4>,
    }
}

impl ColumnSet for ResourceColumns {
    const TABLE: TableId = TableId::Resources;

    fn rows(&self) -> usize {
        self.id.rows()
    }

    fn timestamps(&self) -> Option<&Integers> {
        None
    }
}

/// A resource as the walk read it.
#[derive(Default)]
pub(crate) struct ResourceRow {
    pub(crate) attributes: Vec<OwnedAttribute>,
    pub(crate) schema_url: Vec<u8>,
    pub(crate) dropped_attributes: u32,
}

struct Remembered {
    encoded: Box<[u8]>,
    id: ResourceId,
    service: Rc<[u8]>,
    /// Counts additions, so that one can be told from another under the same hash.
    number: u64,
    /// Day (UTC, since 1970) on which the row was last written.
    day: u32,
}

/// See the module.
pub(crate) struct Resources {
    pub(super) columns: ResourceColumns,
    remembered: HashTable<Remembered>,
    remembered_bytes: usize,
    /// Past this many, memory starts over, and resources that are seen again are written again (the table
    /// replaces).
    remembered_bytes_max: usize,
    additions: u64,
    /// Hash and number of what was remembered since the request began, so that a refused one can be
    /// taken back.
    added: Vec<(u64, u64)>,
    hasher: DefaultHashBuilder,
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            columns: ResourceColumns::default(),
            remembered: HashTable::default(),
            remembered_bytes: 0,
            remembered_bytes_max: *RESOURCES_BYTES.end(),
            additions: 0,
            added: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl Resources {
    /// Bounds what is remembered to about so many bytes.
    pub(crate) fn remember_bytes(&mut self, bytes_max: usize) {
        self.remembered_bytes_max = bytes_max;
    }

    /// At least the bytes of a row besides its texts and attributes: fixed widths, numbers of dictionary
    /// values, an offset; and service and schema URL in their dictionaries.
    pub(crate) const ROW_BYTES: usize = 8 + 4 + 4 + 8 + 4 + 4 + 2 * DICTIONARY_ENTRY_BYTES;

    /// At least the bytes that a service's name takes, besides a number in each row.
    pub(crate) fn service_bytes(service: &[u8]) -> usize {
        DICTIONARY_ENTRY_BYTES + service.len()
    }

    /// Id and service name of a resource that was written today, by its encoded form.
    pub(crate) fn known(&self, encoded: &[u8], now: u32) -> Option<(ResourceId, Rc<[u8]>)> {
        let hash = self.hasher.hash_one(encoded);
        let found = self
            .remembered
            .find(hash, |entry| *entry.encoded == *encoded)?;
        (found.day == now / SECONDS_A_DAY).then(|| (found.id, Rc::clone(&found.service)))
    }

    /// Adds the row of a resource seen at `now` (Unix seconds) and remembers it.
    pub(crate) fn add(
        &mut self,
        encoded: &[u8],
        mut row: ResourceRow,
        now: u32,
    ) -> Result<(ResourceId, Rc<[u8]>), NotUtf8> {
        // Sorted, so that all rows of one id are equal and name one service.
        sort_attributes(&mut row.attributes);
        let id = identity(&row);
        let service = row
            .attributes
            .iter()
            .find(|entry| entry.key == b"service.name" && entry.kind == ValueType::String)
            .map_or(&[][..], |entry| &entry.value);
        let service: Rc<[u8]> = service.into();

        let columns = &mut self.columns;
        columns.id.push(id.to_le_bytes());
        columns.last_seen.push(now.to_le_bytes());
        columns.service.push(&service)?;
        columns.attributes.push_run(&row.attributes, 1)?;
        columns.schema_url.push(&row.schema_url)?;
        columns
            .dropped_attributes
            .push(row.dropped_attributes.to_le_bytes());
        self.remember(encoded, id, Rc::clone(&service), now / SECONDS_A_DAY);
        Ok((id, service))
    }

    fn remember(&mut self, encoded: &[u8], id: ResourceId, service: Rc<[u8]>, day: u32) {
        let bytes = remembered_bytes(encoded, &service);
        if self.remembered_bytes + bytes > self.remembered_bytes_max {
            self.forget();
        }
        let hash = self.hasher.hash_one(encoded);
        if let Ok(stale) = self
            .remembered
            .find_entry(hash, |entry| *entry.encoded == *encoded)
        {
            self.remembered_bytes -= remembered_bytes(encoded, &stale.get().service);
            stale.remove();
        }
        self.remembered_bytes += bytes;
        self.additions += 1;
        self.added.push((hash, self.additions));
        let hasher = &self.hasher;
        self.remembered.insert_unique(
            hash,
            Remembered {
                encoded: encoded.into(),
                id,
                service,
                number: self.additions,
                day,
            },
            |entry| hasher.hash_one(&*entry.encoded),
        );
    }

    /// Forgets which resources were written, because rows may not have arrived: they are written again.
    pub(crate) fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_bytes = 0;
    }

    /// A request begins: what was remembered before stays.
    pub(super) fn begin_request(&mut self) {
        clear_buffer(&mut self.added);
    }
}

impl Buffer for Resources {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.push(self.added.len());
        self.columns.mark(marks);
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        for (hash, number) in self.added.drain(next_mark(marks)..) {
            let added = |entry: &Remembered| entry.number == number;
            if let Ok(entry) = self.remembered.find_entry(hash, added) {
                let Remembered {
                    encoded, service, ..
                } = entry.get();
                self.remembered_bytes -= remembered_bytes(encoded, service);
                entry.remove();
            }
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

fn remembered_bytes(encoded: &[u8], service: &[u8]) -> usize {
    REMEMBERED_ENTRY_BYTES + encoded.len() + service.len()
}

/// Hash of the sorted attributes, the schema URL and the dropped count.
fn identity(row: &ResourceRow) -> ResourceId {
    let mut canonical = Vec::with_capacity(512);
    push_attributes(&mut canonical, &row.attributes);
    push_text(&mut canonical, &row.schema_url);
    canonical.extend_from_slice(&row.dropped_attributes.to_le_bytes());
    city_hash_128(&canonical) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(attributes: &[(&str, &str)]) -> ResourceRow {
        ResourceRow {
            attributes: attributes
                .iter()
                .map(|(key, value)| OwnedAttribute {
                    key: key.as_bytes().into(),
                    kind: ValueType::String,
                    value: value.as_bytes().into(),
                })
                .collect(),
            ..ResourceRow::default()
        }
    }

    /// Scenario: one resource in two attribute orders, and another that only splits differently.
    /// Guarantee: order does not change the id; key and value boundaries do.
    #[test]
    fn identity_ignores_order_and_keeps_boundaries() {
        let mut resources = Resources::default();
        let mut id = |attributes: &[(&str, &str)], encoded: &[u8]| {
            resources.add(encoded, row(attributes), 0).unwrap().0
        };
        let first = id(&[("service.name", "cart"), ("host.name", "a")], b"1");
        assert_eq!(
            first,
            id(&[("host.name", "a"), ("service.name", "cart")], b"2")
        );
        assert_ne!(
            first,
            id(&[("service.name", "car"), ("thost.name", "a")], b"3")
        );
    }

    /// Scenario: a resource is seen twice on one day and again on the next.
    /// Guarantee: it is known for the rest of its day only, and its service name comes with it.
    #[test]
    fn a_resource_is_written_once_a_day() {
        let mut resources = Resources::default();
        resources
            .add(b"enc", row(&[("service.name", "cart")]), 10)
            .unwrap();
        assert_eq!(resources.known(b"enc", 86_399).unwrap().1.as_ref(), b"cart");
        assert!(resources.known(b"enc", 86_400).is_none());
        assert!(resources.known(b"other", 10).is_none());
        resources.forget();
        assert!(resources.known(b"enc", 10).is_none());
    }

    /// Scenario: a rollback once forgot one resource too many, the last of the requests before the refused
    /// one, and its row was written a second time. So: one resource, then another that is rolled back.
    /// Guarantee: the first is still known, the second is not.
    #[test]
    fn a_rollback_forgets_only_what_was_added_since() {
        let mut resources = Resources::default();
        resources.add(b"kept", row(&[]), 10).unwrap();
        let mut marks = Vec::new();
        resources.mark(&mut marks);
        resources.add(b"refused", row(&[]), 10).unwrap();
        resources.rollback(&mut marks.drain(..));
        assert!(resources.known(b"kept", 10).is_some());
        assert!(resources.known(b"refused", 10).is_none());
        assert_eq!(resources.remembered_bytes, remembered_bytes(b"kept", b""));
    }
}
