//! A column of strings in Native layout: each value's length as a varint, then its bytes.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::block::BlockWriter;
use super::column::{Buffer, Column, Picked, next_mark};
use super::text::Text;
use super::varint::{push_varint, split_varint};
use super::{clear_buffer, truncate_buffer};

#[derive(Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    rows: usize,
    /// Where each value begins, and where the last one ends: built when single rows are first asked for,
    /// which is when all rows are there and a chunk is being sealed.
    starts: OnceCell<Vec<usize>>,
}

impl Strings {
    /// Appends one value. The caller vouches for UTF-8 where the column promises it.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        push_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.rows += 1;
    }

    /// Appends one value, as `push` does.
    #[inline]
    pub(crate) fn push_text(&mut self, value: Text<'_>) {
        if value.push_short(&mut self.bytes) {
            self.rows += 1;
        } else {
            self.push(value.bytes());
        }
    }

    /// Appends the same value `rows` times.
    pub(crate) fn push_run(&mut self, value: &[u8], rows: usize) {
        for _ in 0..rows {
            self.push(value);
        }
    }

    #[inline]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The values of these rows, as the Native format has them.
    pub(crate) fn data(&self, rows: Picked<'_>) -> Cow<'_, [u8]> {
        let Some(rows) = rows else {
            return Cow::Borrowed(&self.bytes);
        };
        let starts = self.starts.get_or_init(|| self.find_starts());
        let value = |row: &u32| &self.bytes[starts[*row as usize]..starts[*row as usize + 1]];
        Cow::Owned(rows.iter().flat_map(value).copied().collect())
    }

    fn find_starts(&self) -> Vec<usize> {
        let mut starts = Vec::with_capacity(self.rows + 1);
        let mut rest = &self.bytes[..];
        starts.push(0);
        while let Some((length, after)) = split_varint(rest) {
            rest = &after[length as usize..];
            starts.push(self.bytes.len() - rest.len());
        }
        starts
    }
}

impl Buffer for Strings {
    fn mark(&self, marks: &mut Vec<usize>) {
        marks.extend([self.bytes.len(), self.rows]);
    }

    fn rollback(&mut self, marks: &mut std::vec::Drain<'_, usize>) {
        truncate_buffer(&mut self.bytes, next_mark(marks));
        self.rows = next_mark(marks);
    }

    fn clear(&mut self) {
        clear_buffer(&mut self.bytes);
        self.rows = 0;
        self.starts.take();
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn room(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Column for Strings {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        block.begin_column();
        block.bulk(&self.data(rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: values whose lengths need one, two and three varint bytes.
    /// Guarantee: each is laid out as length then bytes, and a rollback leaves the earlier ones alone.
    #[test]
    fn lays_out_length_and_bytes_and_rolls_back() {
        let mut column = Strings::default();
        column.push(b"ab");
        let mut marks = Vec::new();
        column.mark(&mut marks);
        column.push(&[b'x'; 300]);
        assert_eq!(&column.data(None)[..5], &[2, b'a', b'b', 0xac, 0x02]);
        column.rollback(&mut marks.drain(..));
        assert_eq!(
            (&column.data(None)[..], column.rows()),
            (&[2, b'a', b'b'][..], 1)
        );
    }

    /// Scenario: a request brings a text of 16 MiB after a short one, and is then refused.
    /// Guarantee: its memory is given back at once.
    #[test]
    fn a_refused_outlier_gives_its_memory_back() {
        let mut column = Strings::default();
        column.push(b"kept");
        let mut marks = Vec::new();
        column.mark(&mut marks);
        column.push(&vec![b'x'; 16 << 20]);
        column.rollback(&mut marks.drain(..));
        assert!(column.bytes.capacity() <= super::super::KEEP_BYTES);
        assert_eq!(&column.data(None)[..], b"\x04kept");
    }
}
