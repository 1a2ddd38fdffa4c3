//! Columns of values with one width (integers, ids, times), kept as the little-endian bytes that the
//! Native format wants; and the running offsets of arrays and maps.

use super::block::BlockWriter;
use super::clear_buffer;
use super::column::{Buffer, Column, next_mark};

/// A column of `N`-byte values.
#[derive(Default)]
pub(crate) struct Fixed<const N: usize> {
    bytes: Vec<u8>,
}

impl<const N: usize> Fixed<N> {
    #[inline]
    pub(crate) fn push(&mut self, value: [u8; N]) {
        self.bytes.extend_from_slice(&value);
    }

    /// Appends the same value `rows` times.
    pub(crate) fn push_run(&mut self, value: [u8; N], rows: usize) {
        for _ in 0..rows {
            self.bytes.extend_from_slice(&value);
        }
    }

    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.bytes.len() / N
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes
    }
}

impl<const N: usize> Buffer for Fixed<N> {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.push(self.bytes.len());
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        self.bytes.truncate(next_mark(marks));
    }

    fn clear(&mut self) {
        clear_buffer(&mut self.bytes);
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl<const N: usize> Column for Fixed<N> {
    fn write(&self, block: &mut BlockWriter<'_>) {
        block.begin_column();
        block.bulk(&self.bytes);
    }
}

/// Where each row of an array or map ends in its elements: ClickHouse's cumulative `UInt64` offsets.
#[derive(Default)]
pub(crate) struct Offsets(Fixed<8>);

impl Offsets {
    /// Ends a row at `elements` elements, counted from the start of the chunk.
    #[inline]
    pub(crate) fn end_row(&mut self, elements: usize) {
        self.0.push((elements as u64).to_le_bytes());
    }

    /// Ends `rows` rows that hold no elements of their own.
    pub(crate) fn end_empty_rows(&mut self, elements: usize, rows: usize) {
        self.0.push_run((elements as u64).to_le_bytes(), rows);
    }

    pub(crate) fn data(&self) -> &[u8] {
        self.0.data()
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
}
