//! Takes the columns of one table and makes a Native block of them, in LZ4 frames with checksums: the
//! very bytes that go to ClickHouse. Integers are packed one by one in frames of their own, all else by LZ4's search.
//! Large columns are compressed where they lie; everything else is gathered first. Offsets that several columns share
//! are packed once.
//!
//! Format: `native-protocol` of ClickHouse at revision 54460. A frame is
//! `CityHash128 (16) | method (1) | compressed size with this 9-byte header (4) | plain size (4) | payload`,
//! the hash covering everything after itself.

use std::ops::Range;
use std::slice;

use cityhash_102_rs::city_hash_128;
use spanmill_schema::Table;

use super::column::Picked;
use super::fixed::{Fixed, PickedArrays};
use super::lz4::Lz4;
use super::varint::push_varint;

/// Plain bytes of a frame, at most. ClickHouse's own writers use 1 MiB.
const FRAME_BYTES: usize = 1 << 20;
/// A slice from this size on is compressed where it lies instead of being gathered first.
const BULK_BYTES: usize = 16 << 10;
/// Integers of fewer bytes are compressed with what is around them: a frame of their own costs 25 bytes more.
const INTEGERS_BYTES_MIN: usize = 2 << 10;
/// A frame with so many plain bytes of integers is full; what fills it may bring as many more.
const INTEGERS_FRAME_BYTES: usize = FRAME_BYTES / 2;
/// So many bytes of anything else may lie among integers, or by themselves, uncompressed: as many as a name and a
/// type need.
const PLAIN_BYTES_MAX: usize = 128;
const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_LZ4: u8 = 0x82;
/// Block info: field 1 `is_overflows` = 0, field 2 `bucket_num` = -1, end.
const BLOCK_INFO: [u8; 8] = [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0];

/// What a shard keeps from block to block: the plain bytes of the open frame, and room for one packed frame.
pub(crate) struct Compressor {
    plain: Vec<u8>,
    /// Where integers lie in them; empty in a frame that LZ4 searches.
    integers: Vec<Range<usize>>,
    lz4: Lz4,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor {
            plain: Vec::new(),
            integers: Vec::new(),
            lz4: Lz4::new(FRAME_BYTES),
        }
    }
}

impl Compressor {
    /// Appends one compressed frame of `plain`, as a block is made of.
    #[cfg(feature = "stages")]
    pub(crate) fn push_frame(&mut self, plain: &[u8], frames: &mut Vec<u8>) {
        push_frame(self.lz4.pack(plain), plain.len(), frames);
    }

    /// Gives back what a block with large pieces has needed.
    pub(crate) fn shrink(&mut self) {
        if self.plain.capacity() > 2 * FRAME_BYTES {
            self.plain = Vec::new();
        }
    }
}

/// Writes one block; see the module.
pub(crate) struct BlockWriter<'a> {
    table: &'a Table,
    next_column: usize,
    compressor: &'a mut Compressor,
    frames: &'a mut Vec<u8>,
}

impl<'a> BlockWriter<'a> {
    /// Begins the block of `rows` rows of `table`, whose frames are appended to `frames`.
    pub(crate) fn begin(
        table: &'a Table,
        rows: usize,
        compressor: &'a mut Compressor,
        frames: &'a mut Vec<u8>,
    ) -> Self {
        let mut writer = BlockWriter {
            table,
            next_column: 0,
            compressor,
            frames,
        };
        writer.built(0, |out| {
            out.extend_from_slice(&BLOCK_INFO);
            push_varint(out, table.columns.len() as u64);
            push_varint(out, rows as u64);
        });
        writer
    }

    /// Writes name and type of the table's next column; its data must follow.
    ///
    /// # Panics
    /// When more columns are written than the table has: the set and the table differ, which a test
    /// of each set shows.
    pub(crate) fn begin_column(&mut self) {
        let column = &self.table.columns[self.next_column];
        self.next_column += 1;
        self.built(0, |out| {
            push_varint(out, column.name.len() as u64);
            out.extend_from_slice(column.name.as_bytes());
            push_varint(out, column.kind.len() as u64);
            out.extend_from_slice(column.kind.as_bytes());
            out.push(0); // no custom serialization
        });
    }

    /// Appends a few bytes.
    pub(crate) fn small(&mut self, bytes: &[u8]) {
        self.built(bytes.len(), |out| out.extend_from_slice(bytes));
    }

    /// Appends the `length` bytes that `build` writes.
    pub(crate) fn built(&mut self, length: usize, build: impl FnOnce(&mut Vec<u8>)) {
        if self.has_integers() && length > PLAIN_BYTES_MAX {
            self.flush();
        }
        build(&mut self.compressor.plain);
        self.flush_if_full();
    }

    /// Appends a column's bytes.
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() < BULK_BYTES {
            return self.small(bytes);
        }
        self.flush();
        for part in bytes.chunks(FRAME_BYTES) {
            push_frame(self.compressor.lz4.pack(part), part.len(), self.frames);
        }
    }

    /// Appends integers of eight bytes, each near the one before it.
    pub(crate) fn integers(&mut self, bytes: &[u8]) {
        if bytes.len() >= BULK_BYTES {
            self.flush();
            for part in bytes.chunks(FRAME_BYTES) {
                let all = 0..part.len();
                let packed = self.compressor.lz4.pack_words(part, slice::from_ref(&all));
                push_frame(packed, part.len(), self.frames);
            }
            return;
        }
        if !self.has_integers() {
            if bytes.len() < INTEGERS_BYTES_MIN {
                return self.small(bytes);
            }
            if self.compressor.plain.len() > PLAIN_BYTES_MAX {
                self.flush();
            }
        }
        let Compressor {
            plain, integers, ..
        } = &mut *self.compressor;
        let start = plain.len();
        plain.extend_from_slice(bytes);
        integers.push(start..plain.len());
        self.flush_if_full();
    }

    /// Appends values of `N` bytes.
    pub(crate) fn fixed<const N: usize, const NEAR: bool>(
        &mut self,
        values: &Fixed<N, NEAR>,
        picked: Picked<'_>,
    ) {
        match NEAR {
            true => self.integers(&values.data(picked)),
            false => self.bulk(&values.data(picked)),
        }
    }

    /// Appends the offsets of arrays whose elements follow, `near` each other or not. Columns of one nested group
    /// all have these offsets: many are packed once, and LZ4's search finds few again.
    pub(crate) fn offsets(&mut self, arrays: &PickedArrays<'_>, near: bool) {
        let offsets = &arrays.offsets[..];
        if offsets.len() < BULK_BYTES {
            return match near || arrays.are_empty() {
                true => self.integers(offsets),
                false => self.bulk(offsets),
            };
        }
        self.flush();
        match arrays.frames.get() {
            Some(frames) => self.frames.extend_from_within(frames.clone()),
            None => {
                let start = self.frames.len();
                self.integers(offsets);
                // It is the first time.
                let _ = arrays.frames.set(start..self.frames.len());
            }
        }
    }

    /// Writes a whole array column.
    pub(crate) fn array<const N: usize, const NEAR: bool>(
        &mut self,
        arrays: &PickedArrays<'_>,
        elements: &Fixed<N, NEAR>,
    ) {
        self.begin_column();
        self.offsets(arrays, NEAR);
        self.fixed(elements, arrays.elements());
    }

    /// Ends the block.
    pub(crate) fn finish(mut self) {
        debug_assert_eq!(self.next_column, self.table.columns.len());
        self.flush();
    }

    fn has_integers(&self) -> bool {
        !self.compressor.integers.is_empty()
    }

    fn flush_if_full(&mut self) {
        let full = match self.has_integers() {
            true => INTEGERS_FRAME_BYTES,
            false => FRAME_BYTES,
        };
        if self.compressor.plain.len() >= full {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Compressor {
            plain,
            integers,
            lz4,
        } = &mut *self.compressor;
        if integers.is_empty() && plain.len() > PLAIN_BYTES_MAX {
            for part in plain.chunks(FRAME_BYTES) {
                push_frame(lz4.pack(part), part.len(), self.frames);
            }
        } else if !plain.is_empty() {
            push_frame(lz4.pack_words(plain, integers), plain.len(), self.frames);
        }
        integers.clear();
        super::clear_buffer(plain);
    }
}

/// Appends one frame of `plain` bytes that were packed.
fn push_frame(packed: &[u8], plain: usize, frames: &mut Vec<u8>) {
    let start = frames.len();
    let hashed = start + CHECKSUM_BYTES;
    frames.extend_from_slice(&[0; CHECKSUM_BYTES]);
    frames.push(METHOD_LZ4);
    frames.extend_from_slice(&((HEADER_BYTES + packed.len()) as u32).to_le_bytes());
    frames.extend_from_slice(&(plain as u32).to_le_bytes());
    frames.extend_from_slice(packed);
    let hash = checksum(&frames[hashed..]);
    frames[start..hashed].copy_from_slice(&hash.to_le_bytes());
}

/// The hash that stands before a frame.
pub(crate) fn checksum(bytes: &[u8]) -> u128 {
    city_hash_128(bytes)
}

/// The column-less block of no rows that ends the data of an INSERT, in its frame.
pub(crate) fn empty_block(compressor: &mut Compressor) -> Vec<u8> {
    let mut frames = Vec::new();
    compressor.plain.extend_from_slice(&BLOCK_INFO);
    compressor.plain.extend_from_slice(&[0, 0]);
    let Compressor { plain, lz4, .. } = compressor;
    push_frame(lz4.pack(plain), plain.len(), &mut frames);
    plain.clear();
    frames
}
