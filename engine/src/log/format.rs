//! The bytes of a log's files besides the chunks: the header of a segment, and the two slots of the file
//! `cursor`. Bytes in, values out, and back; no files. FORMAT.md describes them byte by byte.

use spanmill_schema::TableId;

use crate::insert::InsertsSeen;

/// What changes when the format does. A log of another version is set aside, never guessed at.
pub(super) const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"SPANMSEG";
const CURSOR_MAGIC: [u8; 8] = *b"SPANMCUR";
/// Bytes of a segment header before its statements.
pub(super) const SEGMENT_FIXED_BYTES: usize = 56;
/// A header's statements are some KiB; more than this is no header.
pub(super) const SEGMENT_HEADER_MAX: usize = 1 << 20;
/// Bytes of a cursor's slot.
pub(super) const SLOT_BYTES: usize = 128;
/// Where the slots begin: in different pages, so that one that is torn leaves the other whole.
pub(super) const SLOTS: [u64; 2] = [0, 4096];

/// Which log it is: part of its folder's name and of every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogId {
    /// Drawn at random when the engine started.
    pub(crate) run: u128,
    pub(crate) shard: u32,
}

impl LogId {
    /// Name of the log's folder, and beginning of its tokens.
    pub(crate) fn name(&self) -> String {
        format!("{:032x}-{}", self.run, self.shard)
    }

    /// The log whose folder has this name.
    pub(crate) fn of_name(name: &str) -> Option<LogId> {
        let (run, shard) = name.split_once('-')?;
        let id = LogId {
            run: u128::from_str_radix(run, 16).ok()?,
            shard: shard.parse().ok()?,
        };
        (id.name() == name).then_some(id)
    }
}

/// A place in a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl Position {
    /// Behind every segment.
    pub(super) const END: Position = Position {
        segment: u64::MAX,
        offset: 0,
    };
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) id: LogId,
    pub(super) number: u64,
    /// Number of the first chunk that is written to it. Chunks of earlier segments with this number or a
    /// later one were refused, though they may lie there whole.
    pub(super) first_chunk: u64,
    /// The INSERT of each table, by [`TableId`], as its columns were when the blocks were sealed.
    pub(super) statements: Vec<String>,
}

/// How far a log's chunks are inserted, and what is being inserted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Slot {
    /// Grows with each write: of two slots that are whole, the later counts.
    pub(super) generation: u64,
    /// Number of the batch, part of its tokens.
    pub(super) batch: u64,
    /// Everything before this is inserted.
    pub(super) begin: Position,
    /// The batch goes up to here; `begin` when there is none.
    pub(super) end: Position,
    /// Inserts that each table had seen before the batch was first sent.
    pub(super) inserts_seen: InsertsSeen,
}

impl SegmentHeader {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 << 10);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]); // length, below
        out.extend_from_slice(&self.id.run.to_le_bytes());
        out.extend_from_slice(&self.id.shard.to_le_bytes());
        out.extend_from_slice(&(self.statements.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.first_chunk.to_le_bytes());
        for statement in &self.statements {
            out.extend_from_slice(&(statement.len() as u32).to_le_bytes());
            out.extend_from_slice(statement.as_bytes());
        }
        let length = out.len() as u32 + 4;
        out[12..16].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Bytes of the whole header, read from its first [`SEGMENT_FIXED_BYTES`].
    pub(super) fn length(fixed: &[u8]) -> Option<usize> {
        let mut fields = Fields(fixed);
        let known = fields.array()? == SEGMENT_MAGIC && fields.u32()? == VERSION;
        let length = fields.u32()? as usize;
        (known && (SEGMENT_FIXED_BYTES + 4..SEGMENT_HEADER_MAX).contains(&length)).then_some(length)
    }

    /// `None` when the bytes are not exactly a header.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if Self::length(bytes)? != bytes.len() {
            return None;
        }
        let (covered, checksum) = bytes.split_at(bytes.len() - 4);
        if crc32fast::hash(covered).to_le_bytes() != checksum {
            return None;
        }
        let mut fields = Fields(&covered[16..]);
        let run = u128::from_le_bytes(fields.array()?);
        let shard = fields.u32()?;
        let count = fields.u32()?;
        let number = fields.u64()?;
        let first_chunk = fields.u64()?;
        let mut statements = Vec::new();
        for _ in 0..count {
            let length = fields.u32()? as usize;
            statements.push(String::from_utf8(fields.take(length)?.to_vec()).ok()?);
        }
        Some(SegmentHeader {
            id: LogId { run, shard },
            number,
            first_chunk,
            statements,
        })
    }
}

impl Slot {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&CURSOR_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let seen = self.inserts_seen.as_ref().map_or(&[][..], |seen| seen);
        out.extend_from_slice(&(seen.len() as u32).to_le_bytes());
        let numbers = [
            self.generation,
            self.batch,
            self.begin.segment,
            self.begin.offset,
            self.end.segment,
            self.end.offset,
        ];
        for number in numbers.iter().chain(seen) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.resize(SLOT_BYTES - 4, 0);
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// `None` when the bytes are not a slot as it was written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (covered, checksum) = bytes.split_at_checked(SLOT_BYTES - 4)?;
        if crc32fast::hash(covered).to_le_bytes() != checksum {
            return None;
        }
        let mut fields = Fields(covered);
        if fields.array()? != CURSOR_MAGIC || fields.u32()? != VERSION {
            return None;
        }
        let tables = fields.u32()? as usize;
        let mut slot = Slot {
            generation: fields.u64()?,
            batch: fields.u64()?,
            begin: fields.position()?,
            end: fields.position()?,
            ..Slot::default()
        };
        if tables > 0 {
            let mut seen = [0; TableId::ALL.len()];
            for inserts in seen.iter_mut().take(tables) {
                *inserts = fields.u64()?;
            }
            slot.inserts_seen = Some(seen);
        }
        Some(slot)
    }
}

const _: () = assert!(16 + 8 * (6 + TableId::ALL.len()) + 4 <= SLOT_BYTES);

/// Little-endian fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position {
            segment: self.u64()?,
            offset: self.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Scenario: any header and any slot are written and read back; then one bit of them is turned, or
        /// they are cut.
        /// Guarantee: the same comes back, and what was changed or cut is not believed.
        #[test]
        fn headers_and_slots_are_read_back_and_changed_ones_are_not(
            run in any::<u128>(),
            numbers in any::<[u64; 6]>(),
            inserts_seen in any::<InsertsSeen>(),
            statements in prop::collection::vec(".{0,40}", 0..6),
            place in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let [generation, batch, a, b, c, number] = numbers;
            let id = LogId { run, shard: number as u32 };
            prop_assert_eq!(LogId::of_name(&id.name()), Some(id.clone()));
            let header = SegmentHeader { id, number, first_chunk: batch, statements };
            let begin = Position { segment: a, offset: b };
            let end = Position { segment: c, offset: number };
            let slot = Slot { generation, batch, begin, end, inserts_seen };
            let (mut header_bytes, mut slot_bytes) = (header.write(), slot.write());
            prop_assert_eq!(slot_bytes.len(), SLOT_BYTES);
            prop_assert_eq!(SegmentHeader::read(&header_bytes), Some(header));
            prop_assert_eq!(Slot::read(&slot_bytes), Some(slot));

            let cut = place.index(header_bytes.len());
            prop_assert_eq!(SegmentHeader::read(&header_bytes[..cut]), None);
            header_bytes[cut] ^= 1u8 << bit;
            prop_assert_eq!(SegmentHeader::read(&header_bytes), None);
            let cut = place.index(slot_bytes.len());
            prop_assert_eq!(Slot::read(&slot_bytes[..cut]), None);
            slot_bytes[cut] ^= 1u8 << bit;
            prop_assert_eq!(Slot::read(&slot_bytes), None);
        }
    }
}
