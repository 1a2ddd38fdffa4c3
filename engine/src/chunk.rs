//! A chunk: the sealed blocks of whole requests, in the very bytes that the log holds and, block by block,
//! ClickHouse is sent. Blocks are put in as they are sealed; bytes that were read back are checked before
//! anything in them is believed. Nothing here touches files or sockets.
//!
//! `log/FORMAT.md` describes the bytes; the functions here and that page change together.

use std::ops::Range;

use spanmill_schema::TableId;

/// Bytes before the first block: see [`Chunk::seal`].
pub(crate) const HEAD_BYTES: usize = 32;
/// Bytes behind the last block.
pub(crate) const TAIL_BYTES: usize = 8;
const BLOCK_HEAD_BYTES: usize = 16;
/// What a chunk begins with.
pub(crate) const MAGIC: [u8; 4] = *b"CHNK";

/// See the module.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    pub(crate) sealed: Vec<Sealed>,
    /// Rows of signals (spans, log records, points); resources and series are not counted.
    pub(crate) rows: usize,
}

/// One Native block: LZ4 frames, ready to be sent. All its rows lie in one partition of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) table: TableId,
    /// Days since 1970, 0 where a table is one partition.
    pub(crate) partition: u32,
    pub(crate) rows: usize,
    frames: Range<usize>,
}

/// What is wrong with bytes that should be a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenChunk {
    /// Not the beginning of a chunk.
    #[error("its head is not that of a chunk")]
    Head,
    /// The bytes end before the chunk does.
    #[error("it is cut short")]
    Short,
    /// Bytes differ from those that were written.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum is right, and yet the blocks do not add up.
    #[error("its blocks do not add up to its length")]
    Blocks,
}

/// The head of a chunk, checked against its own checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the blocks.
    pub(crate) body: usize,
    /// Number in its log, from 0.
    pub(crate) sequence: u64,
    pub(crate) rows: usize,
    blocks: usize,
}

impl Head {
    /// Reads the first [`HEAD_BYTES`] of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Result<Head, BrokenChunk> {
        let head = bytes.get(..HEAD_BYTES).ok_or(BrokenChunk::Short)?;
        let checksum = crc32fast::hash(&head[..28]);
        if head[..4] != MAGIC || checksum != u32_at(head, 28) {
            return Err(BrokenChunk::Head);
        }
        Ok(Head {
            body: u32_at(head, 4) as usize,
            sequence: u64::from(u32_at(head, 8)) | u64::from(u32_at(head, 12)) << 32,
            rows: u32_at(head, 16) as usize,
            blocks: u32_at(head, 20) as usize,
        })
    }

    /// Bytes of the whole chunk.
    pub(crate) fn length(&self) -> usize {
        HEAD_BYTES + self.body + TAIL_BYTES
    }
}

impl Chunk {
    /// A chunk of so many rows of signals, without blocks yet.
    pub(crate) fn of_rows(rows: usize) -> Self {
        Chunk {
            bytes: vec![0; HEAD_BYTES],
            sealed: Vec::new(),
            rows,
        }
    }

    /// Makes room for so many bytes of blocks.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes + TAIL_BYTES);
    }

    /// Gives back the room that blocks do not need, but for the tail's.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to(self.bytes.len() + TAIL_BYTES);
    }

    /// Adds a block whose frames `write` appends.
    pub(crate) fn push(
        &mut self,
        table: TableId,
        partition: u32,
        rows: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let head = self.bytes.len();
        self.bytes.extend_from_slice(&[table as u8, 0, 0, 0]);
        self.bytes.extend_from_slice(&partition.to_le_bytes());
        self.bytes.extend_from_slice(&(rows as u32).to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let frames = start..self.bytes.len();
        let length = frames.len() as u32;
        self.bytes[head + 12..start].copy_from_slice(&length.to_le_bytes());
        self.sealed.push(Sealed {
            table,
            partition,
            rows,
            frames,
        });
    }

    /// The bytes of one of its blocks.
    pub(crate) fn frames(&self, sealed: &Sealed) -> &[u8] {
        &self.bytes[sealed.frames.clone()]
    }

    /// Bytes of all blocks, with their heads.
    pub(crate) fn blocks_bytes(&self) -> usize {
        self.bytes.len() - HEAD_BYTES
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Fills in head and tail: the chunk as the log writes it.
    pub(crate) fn into_record(mut self, sequence: u64) -> Vec<u8> {
        self.take_record(sequence)
    }

    /// The same, of a chunk that is [put back](Self::put_back) when the record is written.
    pub(crate) fn take_record(&mut self, sequence: u64) -> Vec<u8> {
        let body = (self.bytes.len() - HEAD_BYTES) as u32;
        let head = &mut self.bytes[..HEAD_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&body.to_le_bytes());
        head[8..16].copy_from_slice(&sequence.to_le_bytes());
        head[16..20].copy_from_slice(&(self.rows as u32).to_le_bytes());
        head[20..24].copy_from_slice(&(self.sealed.len() as u32).to_le_bytes());
        let checksum = crc32fast::hash(&head[..28]);
        head[28..].copy_from_slice(&checksum.to_le_bytes());
        let checksum = crc32fast::hash(&self.bytes);
        self.bytes.extend_from_slice(&body.to_le_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        std::mem::take(&mut self.bytes)
    }

    /// Takes the record back that it gave.
    pub(crate) fn put_back(&mut self, mut record: Vec<u8>) {
        record.truncate(record.len() - TAIL_BYTES);
        self.bytes = record;
    }

    /// Reads a whole chunk back, as [`Self::into_record`] gave it.
    pub(crate) fn from_record(mut bytes: Vec<u8>) -> Result<(Chunk, Head), BrokenChunk> {
        let head = Head::read(&bytes)?;
        if bytes.len() != head.length() {
            return Err(BrokenChunk::Short);
        }
        let tail = bytes.len() - TAIL_BYTES;
        let checksum = crc32fast::hash(&bytes[..tail]);
        if u32_at(&bytes, tail) as usize != head.body || u32_at(&bytes, tail + 4) != checksum {
            return Err(BrokenChunk::Checksum);
        }
        bytes.truncate(tail);
        let sealed = read_blocks(&bytes).ok_or(BrokenChunk::Blocks)?;
        if sealed.len() != head.blocks {
            return Err(BrokenChunk::Blocks);
        }
        let rows = head.rows;
        Ok((
            Chunk {
                bytes,
                sealed,
                rows,
            },
            head,
        ))
    }
}

/// The blocks between head and tail; `None` when their lengths do not add up.
fn read_blocks(bytes: &[u8]) -> Option<Vec<Sealed>> {
    let mut sealed = Vec::new();
    let mut at = HEAD_BYTES;
    while at < bytes.len() {
        let start = at + BLOCK_HEAD_BYTES;
        let head = bytes.get(at..start)?;
        let code = head[0];
        let frames = start..start.checked_add(u32_at(head, 12) as usize)?;
        bytes.get(frames.clone())?;
        at = frames.end;
        sealed.push(Sealed {
            table: TableId::ALL.into_iter().find(|id| *id as u8 == code)?,
            partition: u32_at(head, 4),
            rows: u32_at(head, 8) as usize,
            frames,
        });
    }
    Some(sealed)
}

/// A little-endian number in bytes that are known to hold it.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(blocks: &[(u32, Vec<u8>)]) -> Chunk {
        let rows = blocks.iter().map(|(_, frames)| frames.len()).sum();
        let mut chunk = Chunk::of_rows(rows);
        for (partition, frames) in blocks {
            chunk.push(TableId::Logs, *partition, frames.len(), |out| {
                out.extend_from_slice(frames);
            });
        }
        chunk
    }

    proptest! {
        /// Scenario: any blocks are put into a chunk, which is written and read back; then any one bit of it is
        /// turned, or it is cut anywhere.
        /// Guarantee: the same blocks come back, and a changed or shortened chunk is never believed.
        #[test]
        fn a_chunk_is_read_back_and_a_changed_one_is_not(
            blocks in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..50)), 0..5),
            sequence in any::<u64>(),
            place in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let written = chunk(&blocks);
            let (sealed, rows) = (written.sealed.clone(), written.rows);
            let record = written.into_record(sequence);
            let (read, head) = Chunk::from_record(record.clone()).unwrap();
            prop_assert_eq!((head.sequence, head.length()), (sequence, record.len()));
            prop_assert_eq!((&read.sealed, read.rows), (&sealed, rows));
            for (block, (_, frames)) in read.sealed.iter().zip(&blocks) {
                prop_assert_eq!(read.frames(block), &frames[..]);
            }
            let place = place.index(record.len());
            let mut changed = record.clone();
            changed[place] ^= 1u8 << bit;
            prop_assert!(Chunk::from_record(changed).is_err());
            prop_assert!(Chunk::from_record(record[..place].to_vec()).is_err());
        }
    }
}
