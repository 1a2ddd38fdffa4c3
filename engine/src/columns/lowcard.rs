//! A LowCardinality(String) column: a dictionary of the distinct values of one chunk and a key per row.
//! Values are checked for UTF-8 once, when they enter the dictionary.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::block::BlockWriter;
use super::column::{Buffer, Column, Picked, next_mark};
use super::text::{Text, WINDOW};
use super::varint::{push_varint, split_varint};
use super::{NotUtf8, clear_buffer, smaller_capacity, truncate_buffer};

/// Bit of the key header that says "the dictionary follows in this block" (`HasAdditionalKeysBit`).
const ADDITIONAL_KEYS: u64 = 0x200;
const KEY_U8: u64 = 0;
const KEY_U16: u64 = 1;
const KEY_U32: u64 = 2;

/// Bytes of a dictionary value besides its text: its length, its place and follower (12), and its place in a
/// hash table (5) that is between 7/16 and 7/8 full (12).
pub(crate) const DICTIONARY_ENTRY_BYTES: usize = LENGTH_BYTES_MAX + 12 + 12;
/// Of a value's length.
const LENGTH_BYTES_MAX: usize = 5;

/// Places in `LowCardinality::recent`: a power of two.
const RECENT: usize = 512;
/// What is left of a hash is one of them.
const RECENT_SHIFT: u32 = u64::BITS - RECENT.trailing_zeros();

/// See the module. Keys are `u32` while a chunk grows and are narrowed when it is sealed.
#[derive(Default)]
pub(crate) struct LowCardinality {
    /// Dictionary values back to back, each behind its length as the Native format has them; then `WINDOW`
    /// bytes of no meaning, unless there are none.
    values: Vec<u8>,
    entries: Vec<Entry>,
    lookup: HashTable<u32>,
    hasher: DefaultHashBuilder,
    keys: Vec<u32>,
    last: u32,
    /// Keys of short values by a hash of theirs, for columns whose values follow no order. Empty before the first, and
    /// maybe of other values: what is found is compared.
    recent: Vec<u32>,
}

/// A dictionary value.
#[derive(Clone, Copy)]
struct Entry {
    /// Where its length begins.
    start: u32,
    end: u32,
    /// The value that came after this one last time. Attribute keys repeat in the same order from span to
    /// span, so this guess is nearly always right and saves the hash.
    follower: u32,
}

impl LowCardinality {
    /// Appends one row.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> Result<(), NotUtf8> {
        let key = self.key_of(value.into())?;
        self.keys.push(key);
        Ok(())
    }

    /// Appends the same value `rows` times. None leaves the dictionary as it is: a value that no row
    /// holds would stay until there is a row to be sealed with.
    pub(crate) fn push_run(&mut self, value: &[u8], rows: usize) -> Result<(), NotUtf8> {
        if rows == 0 {
            return Ok(());
        }
        let key = self.key_of(value.into())?;
        self.keys.resize(self.keys.len() + rows, key);
        Ok(())
    }

    /// Appends `value` until there are `rows` rows.
    #[inline]
    pub(crate) fn fill(&mut self, value: &[u8], rows: usize) -> Result<(), NotUtf8> {
        self.push_run(value, rows - self.keys.len())
    }

    /// Appends a row by a key that `key_of` gave in this chunk.
    #[inline]
    pub(crate) fn push_key(&mut self, key: u32) {
        self.keys.push(key);
    }

    /// Appends one row with a value that says little about the next one's.
    #[inline]
    pub(crate) fn push_text(&mut self, value: Text<'_>) -> Result<(), NotUtf8> {
        let key = match value.hash() {
            Some(hash) => self.key_of_short(value, (hash >> RECENT_SHIFT) as usize)?,
            None => self.key_of(value)?,
        };
        self.keys.push(key);
        Ok(())
    }

    #[inline]
    fn key_of_short(&mut self, value: Text<'_>, place: usize) -> Result<u32, NotUtf8> {
        if let Some(&key) = self.recent.get(place)
            && let Some(entry) = self.entries.get(key as usize)
            && value.is_stored_at(&self.values, entry.range())
        {
            return Ok(key);
        }
        self.remember(value.bytes(), place)
    }

    #[inline(never)]
    fn remember(&mut self, value: &[u8], place: usize) -> Result<u32, NotUtf8> {
        let key = self.find_or_add(value)?;
        self.recent.resize(RECENT, 0);
        self.recent[place] = key;
        Ok(key)
    }

    /// The dictionary key of `value`, which is added if it is new.
    #[inline(always)]
    pub(crate) fn key_of(&mut self, value: Text<'_>) -> Result<u32, NotUtf8> {
        let last = self.entries.get(self.last as usize);
        let guess = last.map_or(0, |last| last.follower);
        if let Some(entry) = self.entries.get(guess as usize)
            && value.is_stored_at(&self.values, entry.range())
        {
            self.last = guess;
            return Ok(guess);
        }
        self.key_the_long_way(value.bytes(), guess)
    }

    /// The same for a value that is long or was not foreseen.
    #[inline(never)]
    fn key_the_long_way(&mut self, value: &[u8], guess: u32) -> Result<u32, NotUtf8> {
        let guessed = self.entries.get(guess as usize);
        let key = match guessed.is_some_and(|entry| same(entry.text(&self.values), value)) {
            true => guess,
            false => self.find_or_add(value)?,
        };
        if let Some(last) = self.entries.get_mut(self.last as usize) {
            last.follower = key;
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
        self.entries.is_empty()
    }

    /// Bytes of all values with their lengths.
    fn values_bytes(&self) -> usize {
        self.entries.last().map_or(0, |last| last.end as usize)
    }

    fn find_or_add(&mut self, value: &[u8]) -> Result<u32, NotUtf8> {
        let hash = self.hasher.hash_one(value);
        let (values, entries) = (&self.values, &self.entries);
        let text = |key: u32| entries[key as usize].text(values);
        if let Some(&key) = self.lookup.find(hash, |&key| same(text(key), value)) {
            return Ok(key);
        }
        simdutf8::basic::from_utf8(value).map_err(|_| NotUtf8)?;
        let key = self.entries.len() as u32;
        let start = self.values_bytes();
        self.values.truncate(start);
        push_varint(&mut self.values, value.len() as u64);
        self.values.extend_from_slice(value);
        let end = self.values.len();
        self.values.extend_from_slice(&[0; WINDOW]);
        self.entries.push(Entry {
            start: start as u32,
            end: end as u32,
            follower: key,
        });
        let (values, entries, hasher) = (&self.values, &self.entries, &self.hasher);
        let hash_of = |key: &u32| hasher.hash_one(entries[*key as usize].text(values));
        self.lookup.insert_unique(hash, key, hash_of);
        Ok(key)
    }

    /// Forgets dictionary values from `keep` on, so that a refused request leaves none of its text. Costs
    /// what those values cost, however large the dictionary is.
    fn truncate_dictionary(&mut self, keep: usize) {
        for key in keep..self.entries.len() {
            let hash = self.hasher.hash_one(self.entries[key].text(&self.values));
            let found = self.lookup.find_entry(hash, |found| *found == key as u32);
            if let Ok(entry) = found {
                entry.remove();
            }
        }
        // Guesses that lead past the end stay: a guess counts only when its value is the one looked for.
        truncate_buffer(&mut self.entries, keep);
        let window = if keep == 0 { 0 } else { WINDOW };
        let values = self.values_bytes() + window;
        truncate_buffer(&mut self.values, values);
        self.last = 0;
        let capacity = smaller_capacity(self.lookup.capacity(), keep, size_of::<u32>());
        if let Some(capacity) = capacity {
            let (values, entries, hasher) = (&self.values, &self.entries, &self.hasher);
            let hash_of = |key: &u32| hasher.hash_one(entries[*key as usize].text(values));
            self.lookup.shrink_to(capacity, hash_of);
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
            let size = self.entries.len();
            return write_keys(size, &self.values[..self.values_bytes()], &self.keys, block);
        };
        let mut keys: Vec<u32> = rows.iter().map(|row| self.keys[*row as usize]).collect();
        let mut used = keys.clone();
        used.sort_unstable();
        used.dedup();
        for key in &mut keys {
            // Every key is among those used.
            *key = used.partition_point(|before| before < key) as u32;
        }
        let entries = used.iter().map(|key| self.entries[*key as usize]);
        let values = entries.flat_map(|entry| &self.values[entry.range()]);
        write_keys(
            used.len(),
            &values.copied().collect::<Vec<_>>(),
            &keys,
            block,
        );
    }
}

/// Writes a dictionary of `size` values and a key for each row.
fn write_keys(size: usize, values: &[u8], keys: &[u32], block: &mut BlockWriter<'_>) {
    if keys.is_empty() {
        return;
    }
    let width = match size {
        0..=0x100 => KEY_U8,
        0x101..=0x1_0000 => KEY_U16,
        _ => KEY_U32,
    };
    block.small(&(ADDITIONAL_KEYS | width).to_le_bytes());
    block.small(&(size as u64).to_le_bytes());
    block.bulk(values);
    block.small(&(keys.len() as u64).to_le_bytes());
    if size == 1 {
        return block.integers(&vec![0; keys.len()]);
    }
    block.built(keys.len(), |out| match width {
        KEY_U8 => out.extend(keys.iter().map(|key| *key as u8)),
        KEY_U16 => out.extend(keys.iter().flat_map(|key| (*key as u16).to_le_bytes())),
        _ => out.extend(keys.iter().flat_map(|key| key.to_le_bytes())),
    });
}

impl Entry {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The value's text, without its length.
    #[inline]
    fn text(self, values: &[u8]) -> &[u8] {
        match &values[self.range()] {
            [0..0x80, text @ ..] => text,
            long => split_varint(long).map_or(&[], |(_, text)| text),
        }
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

impl Buffer for LowCardinality {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.extend([self.keys.len(), self.entries.len()]);
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
        clear_buffer(&mut self.entries);
        clear_buffer(&mut self.keys);
        self.last = 0;
    }

    fn bytes(&self) -> usize {
        // The lengths of values are in what an entry takes besides its text.
        let entries = self.entries.len() * (DICTIONARY_ENTRY_BYTES - LENGTH_BYTES_MAX);
        self.values_bytes() + self.keys.len() * 4 + entries
    }

    fn room(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        let keys = (self.keys.capacity() + self.recent.capacity()) * size_of::<u32>();
        self.values.capacity() + keys + entries + self.lookup.allocation_size()
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
            .map(|key| column.entries[*key as usize].text(&column.values))
            .collect()
    }

    fn assert_is_small(column: &LowCardinality) {
        let capacities = [
            column.values.capacity(),
            column.entries.capacity() * size_of::<Entry>(),
            column.keys.capacity() * 4,
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
        assert_eq!(column.entries.len(), 4);
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
        assert_eq!(column.values[..column.values_bytes()], *b"\x04kept");
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
        assert_eq!(column.entries.len(), 1);
    }

    /// Scenario: a thousand short texts come at random, as they lie in requests; some requests are refused, and
    /// chunks end.
    /// Guarantee: each row has its value, whatever is remembered of values that are gone.
    #[test]
    fn short_texts_in_no_order() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut column = LowCardinality::default();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for request in 0..60 {
            let mut marks = Vec::new();
            column.mark(&mut marks);
            let before = expected.len();
            for _ in 0..200 {
                let text = format!("{}", random.u32(0..1000) * 7919).into_bytes();
                let around = [&[text.len() as u8], &text[..], &[b'x'; WINDOW]].concat();
                column
                    .push_text(Text::at_start_of(&around).unwrap())
                    .unwrap();
                expected.push(text);
            }
            if request % 3 == 0 {
                column.rollback(&mut marks.drain(..));
                expected.truncate(before);
            }
            assert_eq!(values_of(&column), expected);
            if request % 20 == 19 {
                column.clear();
                expected.clear();
            }
        }
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
