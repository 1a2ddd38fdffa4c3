//! A LowCardinality(String) column: a dictionary of the distinct values of one chunk and a key per row.
//! Values are checked for UTF-8 once, when they enter the dictionary.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::block::BlockWriter;
use super::column::{Buffer, Column, Picked, next_mark};
use super::varint::push_varint;
use super::{NotUtf8, clear_buffer, smaller_capacity, truncate_buffer};

/// Bit of the key header that says "the dictionary follows in this block" (`HasAdditionalKeysBit`).
const ADDITIONAL_KEYS: u64 = 0x200;
const KEY_U8: u64 = 0;
const KEY_U16: u64 = 1;
const KEY_U32: u64 = 2;

/// Bytes of a dictionary value besides its text: its end (4), its follower (4), and its place in a hash table
/// (5) that is between 7/16 and 7/8 full (12).
pub(crate) const DICTIONARY_ENTRY_BYTES: usize = 20;

/// See the module. Keys are `u32` while a chunk grows and are narrowed when it is sealed.
#[derive(Default)]
pub(crate) struct LowCardinality {
    /// Dictionary values back to back; value `i` is `values[ends[i - 1]..ends[i]]`.
    values: Vec<u8>,
    ends: Vec<u32>,
    lookup: HashTable<u32>,
    hasher: DefaultHashBuilder,
    keys: Vec<u32>,
    /// `follower[i]`: the value that came after value `i` last time. Attribute keys repeat in the same
    /// order from span to span, so this guess is nearly always right and saves the hash.
    follower: Vec<u32>,
    last: u32,
}

impl LowCardinality {
    /// Appends one row.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> Result<(), NotUtf8> {
        let key = self.key_of(value)?;
        self.keys.push(key);
        Ok(())
    }

    /// Appends the same value `rows` times. None leaves the dictionary as it is: a value that no row
    /// holds would stay until there is a row to be sealed with.
    pub(crate) fn push_run(&mut self, value: &[u8], rows: usize) -> Result<(), NotUtf8> {
        if rows == 0 {
            return Ok(());
        }
        let key = self.key_of(value)?;
        self.keys.resize(self.keys.len() + rows, key);
        Ok(())
    }

    /// Appends a row by a key that `key_of` gave in this chunk.
    #[inline]
    pub(crate) fn push_key(&mut self, key: u32) {
        self.keys.push(key);
    }

    /// The dictionary key of `value`, which is added if it is new.
    #[inline]
    pub(crate) fn key_of(&mut self, value: &[u8]) -> Result<u32, NotUtf8> {
        let guess = self.follower.get(self.last as usize).copied().unwrap_or(0);
        let key = if self.value(guess).is_some_and(|known| same(known, value)) {
            guess
        } else {
            self.find_or_add(value)?
        };
        if let Some(slot) = self.follower.get_mut(self.last as usize) {
            *slot = key;
        }
        self.last = key;
        Ok(key)
    }

    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Whether the dictionary is empty, as it is at the start of a chunk.
    #[inline]
    pub(crate) fn has_no_values(&self) -> bool {
        self.ends.is_empty()
    }

    #[inline]
    fn value(&self, key: u32) -> Option<&[u8]> {
        value_at(&self.values, &self.ends, key)
    }

    fn find_or_add(&mut self, value: &[u8]) -> Result<u32, NotUtf8> {
        let hash = self.hasher.hash_one(value);
        let (values, ends) = (&self.values, &self.ends);
        let found = self.lookup.find(hash, |&key| {
            value_at(values, ends, key).is_some_and(|known| same(known, value))
        });
        if let Some(&key) = found {
            return Ok(key);
        }
        simdutf8::basic::from_utf8(value).map_err(|_| NotUtf8)?;
        let key = self.ends.len() as u32;
        self.values.extend_from_slice(value);
        self.ends.push(self.values.len() as u32);
        self.follower.push(key);
        let (values, ends, hasher) = (&self.values, &self.ends, &self.hasher);
        self.lookup.insert_unique(hash, key, |&key| {
            hasher.hash_one(value_at(values, ends, key).unwrap_or_default())
        });
        Ok(key)
    }

    /// Forgets dictionary values from `keep` on, so that a refused request leaves none of its text. Costs
    /// what those values cost, however large the dictionary is.
    fn truncate_dictionary(&mut self, keep: usize) {
        for key in keep as u32..self.ends.len() as u32 {
            let hash = self.hasher.hash_one(self.value(key).unwrap_or_default());
            if let Ok(entry) = self.lookup.find_entry(hash, |found| *found == key) {
                entry.remove();
            }
        }
        truncate_buffer(&mut self.ends, keep);
        let values = self.ends.last().map_or(0, |end| *end as usize);
        truncate_buffer(&mut self.values, values);
        // Guesses that lead past the end stay: a guess counts only when its value is the one looked for.
        truncate_buffer(&mut self.follower, keep);
        self.last = 0;
        let capacity = smaller_capacity(self.lookup.capacity(), keep, size_of::<u32>());
        if let Some(capacity) = capacity {
            let (values, ends, hasher) = (&self.values, &self.ends, &self.hasher);
            self.lookup.shrink_to(capacity, |&key| {
                hasher.hash_one(value_at(values, ends, key).unwrap_or_default())
            });
        }
    }

    /// The serialization version, which ClickHouse wants before any offsets above this leaf.
    pub(crate) fn write_prefix(block: &mut BlockWriter<'_>) {
        block.small(&1u64.to_le_bytes());
    }

    /// The dictionary and the keys of these rows. A leaf without rows has no body at all.
    ///
    /// Of picked rows the dictionary has only their values: a chunk over many partitions would
    /// otherwise write all of it once for each.
    pub(crate) fn write_body(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        let Some(rows) = rows else {
            let dictionary = 0..self.ends.len() as u32;
            return self.write_keys(dictionary, &self.keys, block);
        };
        let mut keys: Vec<u32> = rows.iter().map(|row| self.keys[*row as usize]).collect();
        let mut used = keys.clone();
        used.sort_unstable();
        used.dedup();
        for key in &mut keys {
            // Every key is among those used.
            *key = used.partition_point(|before| before < key) as u32;
        }
        self.write_keys(used.into_iter(), &keys, block);
    }

    fn write_keys(
        &self,
        dictionary: impl ExactSizeIterator<Item = u32>,
        keys: &[u32],
        block: &mut BlockWriter<'_>,
    ) {
        if keys.is_empty() {
            return;
        }
        let size = dictionary.len();
        let width = match size {
            0..=0x100 => KEY_U8,
            0x101..=0x1_0000 => KEY_U16,
            _ => KEY_U32,
        };
        block.small(&(ADDITIONAL_KEYS | width).to_le_bytes());
        block.small(&(size as u64).to_le_bytes());
        block.built(|out| {
            for key in dictionary {
                let value = self.value(key).unwrap_or_default();
                push_varint(out, value.len() as u64);
                out.extend_from_slice(value);
            }
        });
        block.small(&(keys.len() as u64).to_le_bytes());
        block.built(|out| match width {
            KEY_U8 => out.extend(keys.iter().map(|key| *key as u8)),
            KEY_U16 => out.extend(keys.iter().flat_map(|key| (*key as u16).to_le_bytes())),
            _ => out.extend(keys.iter().flat_map(|key| key.to_le_bytes())),
        });
    }
}

/// Equality of values that are nearly always short: compared by their first and last bytes, which
/// overlap, instead of by a call. For empty values the call is slow beyond its worth: libc's reads no
/// byte at an address that is not mapped, which the CPU handles by an assist of a hundred cycles.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    fn ends_match<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
    }
    a.len() == b.len()
        && match a.len() {
            0 => true,
            1..=3 => a.iter().eq(b),
            4..=7 => ends_match::<4>(a, b),
            8..=15 => ends_match::<8>(a, b),
            16..=32 => ends_match::<16>(a, b),
            _ => a == b,
        }
}

#[inline]
fn value_at<'a>(values: &'a [u8], ends: &[u32], key: u32) -> Option<&'a [u8]> {
    let key = key as usize;
    let end = *ends.get(key)? as usize;
    let start = key.checked_sub(1).map_or(0, |before| ends[before] as usize);
    values.get(start..end)
}

impl Buffer for LowCardinality {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.extend([self.keys.len(), self.ends.len()]);
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        truncate_buffer(&mut self.keys, next_mark(marks));
        self.truncate_dictionary(next_mark(marks));
    }

    fn clear(&mut self) {
        let lookup = smaller_capacity(self.lookup.capacity(), self.lookup.len(), size_of::<u32>());
        self.lookup.clear();
        if let Some(capacity) = lookup {
            self.lookup.shrink_to(capacity, |_| 0);
        }
        clear_buffer(&mut self.values);
        clear_buffer(&mut self.ends);
        clear_buffer(&mut self.keys);
        clear_buffer(&mut self.follower);
        self.last = 0;
    }

    fn bytes(&self) -> usize {
        self.values.len() + self.keys.len() * 4 + self.ends.len() * DICTIONARY_ENTRY_BYTES
    }

    fn room(&self) -> usize {
        let numbers = self.keys.capacity() + self.ends.capacity() + self.follower.capacity();
        self.values.capacity() + numbers * 4 + self.lookup.allocation_size()
    }
}

impl Column for LowCardinality {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        block.begin_column();
        Self::write_prefix(block);
        self.write_body(rows, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values_of(column: &LowCardinality) -> Vec<&[u8]> {
        column
            .keys
            .iter()
            .map(|key| column.value(*key).unwrap())
            .collect()
    }

    fn assert_is_small(column: &LowCardinality) {
        let capacities = [
            column.values.capacity(),
            column.ends.capacity() * 4,
            column.keys.capacity() * 4,
            column.follower.capacity() * 4,
            // A hash table's capacity is a power of two, less an eighth.
            column.lookup.capacity() * 4 / 2,
        ];
        assert!(
            capacities
                .iter()
                .all(|bytes| *bytes <= super::super::KEEP_BYTES),
            "{capacities:?}"
        );
    }

    /// Scenario: the same keys in the same order, then in another order, as attributes come.
    /// Guarantee: the follower guess never changes which value a row holds.
    #[test]
    fn guesses_do_not_change_values() {
        let mut column = LowCardinality::default();
        let rows = ["a", "b", "c", "a", "b", "c", "c", "a", "", "b", "a", ""];
        for row in rows {
            column.push(row.as_bytes()).unwrap();
        }
        assert_eq!(values_of(&column), rows.map(str::as_bytes));
        assert_eq!(column.ends.len(), 4);
    }

    /// Scenario: values of every length up to 70 that differ in one byte, or in length.
    /// Guarantee: they are different, and equal ones are equal.
    #[test]
    fn short_values_are_compared_whole() {
        for length in 0..70 {
            let value: Vec<u8> = (0..length).collect();
            assert!(same(&value, &value.clone()));
            assert!(!same(&value, &[&value[..], b"x"].concat()));
            for position in 0..value.len() {
                let mut other = value.clone();
                other[position] ^= 1;
                assert!(!same(&value, &other), "{length} {position}");
            }
        }
    }

    /// Scenario: a request adds rows and new values and is then refused.
    /// Guarantee: neither its rows nor its dictionary values remain, and later rows are right.
    #[test]
    fn rollback_forgets_values_of_a_refused_request() {
        let mut column = LowCardinality::default();
        column.push(b"kept").unwrap();
        let mut marks = Vec::new();
        column.mark(&mut marks);
        column.push(b"refused").unwrap();
        column.push(b"kept").unwrap();
        assert_eq!(column.push(&[0xff]), Err(NotUtf8));
        column.rollback(&mut marks.drain(..));
        assert_eq!(column.values, b"kept");
        column.push(b"later").unwrap();
        column.push(b"refused").unwrap();
        assert_eq!(values_of(&column), [&b"kept"[..], b"later", b"refused"]);
        assert_eq!(column.lookup.len(), 3);
    }

    /// Scenario: a request adds 300,000 distinct values and is then refused.
    /// Guarantee: the memory that only it needed is given back at once, and what was there before is found.
    #[test]
    fn a_refused_outlier_gives_its_memory_back() {
        let mut column = LowCardinality::default();
        column.push(b"kept").unwrap();
        let mut marks = Vec::new();
        column.mark(&mut marks);
        for value in 0..300_000_u32 {
            column.push(format!("{value}").as_bytes()).unwrap();
        }
        column.rollback(&mut marks.drain(..));
        assert_is_small(&column);
        column.push(b"kept").unwrap();
        assert_eq!(values_of(&column), [b"kept"; 2]);
        assert_eq!(column.ends.len(), 1);
    }

    /// Scenario: one chunk has 300,000 distinct values, the next ones have one.
    /// Guarantee: the memory that the outlier needed is given back.
    #[test]
    fn an_outlier_does_not_keep_its_memory() {
        let mut column = LowCardinality::default();
        for value in 0..300_000_u32 {
            column.push(&(value % 0x80).to_le_bytes()).unwrap();
            column.push(format!("{value}").as_bytes()).unwrap();
        }
        column.clear();
        column.push(b"one").unwrap();
        column.clear();
        assert_is_small(&column);
    }
}
