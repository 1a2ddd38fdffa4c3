//! Columns of values with one width (integers, ids, times), kept as the little-endian bytes that the
//! Native format wants; and the running offsets of arrays and maps.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use super::block::BlockWriter;
use super::column::{Buffer, Column, Picked, next_mark};
use super::{clear_buffer, truncate_buffer};

/// A column of `N`-byte values. Those that are `NEAR` have eight bytes, of which each has the upper ones or all in
/// common with the one before it, or nothing with any.
#[derive(Default)]
pub(crate) struct Fixed<const N: usize, const NEAR: bool = false> {
    bytes: Vec<u8>,
}

/// See [`Fixed`]: counts, times and offsets.
pub(crate) type Integers = Fixed<8, true>;

impl<const N: usize, const NEAR: bool> Fixed<N, NEAR> {
    #[inline]
    pub(crate) fn push(&mut self, value: [u8; N]) {
        self.bytes.extend_from_slice(&value);
    }

    /// Appends the same value `rows` times.
    pub(crate) fn push_run(&mut self, value: [u8; N], rows: usize) {
        let start = self.bytes.len();
        self.bytes.resize(start + rows * N, value[0]);
        if value != [value[0]; N] {
            self.bytes[start..].as_chunks_mut().0.fill(value);
        }
    }

    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.bytes.len() / N
    }

    /// Appends `value` until there are `rows` rows.
    #[inline]
    pub(crate) fn fill(&mut self, value: [u8; N], rows: usize) {
        let missing = rows - self.rows();
        if missing > 0 {
            self.push_run(value, missing);
        }
    }

    /// All values, one after the other.
    pub(crate) fn values(&self) -> impl Iterator<Item = [u8; N]> {
        self.bytes.as_chunks().0.iter().copied()
    }

    /// The values of these rows, as the Native format has them.
    pub(crate) fn data(&self, rows: Picked<'_>) -> Cow<'_, [u8]> {
        let Some(rows) = rows else {
            return Cow::Borrowed(&self.bytes);
        };
        let values = self.bytes.as_chunks::<N>().0;
        let picked = rows.iter().flat_map(|row| values[*row as usize]);
        Cow::Owned(picked.collect())
    }
}

impl<const N: usize, const NEAR: bool> Buffer for Fixed<N, NEAR> {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.push(self.bytes.len());
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        truncate_buffer(&mut self.bytes, next_mark(marks));
    }

    fn clear(&mut self) {
        clear_buffer(&mut self.bytes);
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn room(&self) -> usize {
        self.bytes.capacity()
    }
}

impl<const N: usize, const NEAR: bool> Column for Fixed<N, NEAR> {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        block.begin_column();
        block.fixed(self, rows);
    }
}

/// Where each row of an array or map ends in its elements: ClickHouse's cumulative `UInt64` offsets.
#[derive(Default)]
pub(crate) struct Offsets(Integers);

/// The rows of an array column that a block takes.
pub(crate) struct PickedArrays<'a> {
    /// Their offsets, as the Native format has them.
    pub(crate) offsets: Cow<'a, [u8]>,
    /// Where they lie among the block's frames, once they were written.
    pub(super) frames: OnceCell<Range<usize>>,
    elements: Option<Vec<u32>>,
}

impl PickedArrays<'_> {
    /// Whether there is no element in any of the rows.
    pub(crate) fn are_empty(&self) -> bool {
        self.offsets.last_chunk() == Some(&[0; 8])
    }

    /// The elements in those rows.
    pub(crate) fn elements(&self) -> Picked<'_> {
        self.elements.as_deref()
    }
}

impl Offsets {
    /// Ends a row at `elements` elements, counted from the start of the chunk.
    #[inline]
    pub(crate) fn end_row(&mut self, elements: usize) {
        self.0.push((elements as u64).to_le_bytes());
    }

    /// Ends rows that hold no elements of their own until there are `rows` rows.
    #[inline]
    pub(crate) fn fill(&mut self, elements: usize, rows: usize) {
        self.0.fill((elements as u64).to_le_bytes(), rows);
    }

    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.0.rows()
    }

    pub(crate) fn pick(&self, rows: Picked<'_>) -> PickedArrays<'_> {
        let Some(rows) = rows else {
            return PickedArrays {
                offsets: self.0.data(None),
                frames: OnceCell::new(),
                elements: None,
            };
        };
        let ends = self.0.bytes.as_chunks().0;
        let end = |row: u32| u64::from_le_bytes(ends[row as usize]) as u32;
        let mut elements = Vec::new();
        let mut offsets = Vec::with_capacity(rows.len() * 8);
        for &row in rows {
            elements.extend(row.checked_sub(1).map_or(0, end)..end(row));
            offsets.extend_from_slice(&(elements.len() as u64).to_le_bytes());
        }
        PickedArrays {
            offsets: Cow::Owned(offsets),
            frames: OnceCell::new(),
            elements: Some(elements),
        }
    }
}

/// An array column of `N`-byte values.
#[derive(Default)]
pub(crate) struct Arrays<const N: usize, const NEAR: bool = false> {
    offsets: Offsets,
    elements: Fixed<N, NEAR>,
}

impl<const N: usize, const NEAR: bool> Arrays<N, NEAR> {
    /// Appends an element to the row that is being built.
    #[inline]
    pub(crate) fn push(&mut self, value: [u8; N]) {
        self.elements.push(value);
    }

    /// Appends elements to the row that is being built.
    #[inline]
    pub(crate) fn extend(&mut self, values: &[[u8; N]]) {
        self.elements.bytes.extend_from_slice(values.as_flattened());
    }

    /// Ends the row that is being built.
    pub(crate) fn end_row(&mut self) {
        self.offsets.end_row(self.elements.rows());
    }

    /// Appends empty rows until there are `rows` rows. No row may be half built.
    #[inline]
    pub(crate) fn fill(&mut self, rows: usize) {
        self.offsets.fill(self.elements.rows(), rows);
    }
}

impl<const N: usize, const NEAR: bool> Buffer for Arrays<N, NEAR> {
    fn mark(&self, marks: &mut Vec<usize>) {
        self.offsets.mark(marks);
        self.elements.mark(marks);
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        self.offsets.rollback(marks);
        self.elements.rollback(marks);
    }

    fn clear(&mut self) {
        self.offsets.clear();
        self.elements.clear();
    }

    fn bytes(&self) -> usize {
        self.offsets.bytes() + self.elements.bytes()
    }

    fn room(&self) -> usize {
        self.offsets.room() + self.elements.room()
    }
}

impl<const N: usize, const NEAR: bool> Column for Arrays<N, NEAR> {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        block.array(&self.offsets.pick(rows), &self.elements);
    }
}

impl Buffer for Offsets {
    fn mark(&self, marks: &mut Vec<usize>) {
        self.0.mark(marks);
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        self.0.rollback(marks);
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn room(&self) -> usize {
        self.0.room()
    }
}
