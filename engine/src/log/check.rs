//! What fuzzing does with a segment's bytes: they are read back as a start would, and it panics when something
//! is wrong with what is found.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{Position, SegmentHeader, Slot};
use super::read::{Found, Reader};
use super::{Log, LogId};
use crate::chunk::{Chunk, HEAD_BYTES, Head, MAGIC, TAIL_BYTES};
use crate::reactor::{Epoll, Reactor};

const ID: LogId = LogId { run: 7, shard: 0 };
/// Bits of an input's first byte.
const WITH_HEADER: u8 = 1;
const REPAIRED: u8 = 2;

/// Reads a log whose only segment is the input without its first byte; that one says whether a good header is
/// put before it, and whether checksums are made right, so that what lies behind them is reached too. Every
/// byte is either in a chunk or reported, no chunk holds blocks that it has not, and it ends.
pub(crate) fn replay(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    // As a cursor's slot the bytes must only not be misread.
    let _ = Slot::read(bytes);
    let mut segment = Vec::new();
    if choice & WITH_HEADER != 0 {
        segment = header();
    }
    let start = segment.len();
    segment.extend_from_slice(bytes);
    if choice & REPAIRED != 0 {
        repair(&mut segment, start);
    }
    let folder = Folder::new();
    let log = Log::new(&folder.0, ID);
    std::fs::create_dir(&log.folder).expect("a folder");
    std::fs::write(log.segment_path(0), &segment).expect("a segment");
    Epoll::run(None, || read_all(log, segment.len() as u64)).expect("a runtime");
}

/// A good header of the segment that is read.
pub(crate) fn header() -> Vec<u8> {
    let header = SegmentHeader {
        id: ID,
        number: 0,
        first_chunk: 0,
        statements: vec!["INSERT".into()],
    };
    header.write()
}

/// Makes right the checksums of everything that looks like a chunk.
fn repair(segment: &mut [u8], start: usize) {
    let mut at = start;
    while at + HEAD_BYTES <= segment.len() {
        if segment[at..].starts_with(&MAGIC) {
            let checksum = crc32fast::hash(&segment[at..at + 28]);
            segment[at + 28..at + 32].copy_from_slice(&checksum.to_le_bytes());
            let Ok(head) = Head::read(&segment[at..]) else {
                unreachable!("its checksum was just made right");
            };
            let end = at + head.length();
            if end <= segment.len() {
                let tail = end - TAIL_BYTES;
                let checksum = crc32fast::hash(&segment[at..tail]);
                segment[tail..tail + 4].copy_from_slice(&(head.body as u32).to_le_bytes());
                segment[tail + 4..end].copy_from_slice(&checksum.to_le_bytes());
                at = end;
                continue;
            }
        }
        at += 1;
    }
}

async fn read_all(log: Log, size: u64) {
    log.find_segments::<Epoll>().await.expect("its segments");
    let log = Rc::new(log);
    let mut reader = Reader::<Epoll>::new(Rc::clone(&log), Position::default());
    let mut at = None;
    loop {
        let before = reader.at().offset;
        let found = reader.next().await.expect("it can be read");
        let after = reader.at().offset;
        match found {
            Found::Chunk { chunk, .. } => {
                let rest = after - before;
                check_blocks(&chunk, rest as usize);
            }
            Found::Damage(damage) => {
                assert_eq!(damage.bytes.end, after);
                assert!(damage.bytes.start >= before && damage.bytes.start < damage.bytes.end);
            }
            Found::End => break,
        }
        assert!(after > before && after <= size);
        at = Some(after);
    }
    assert!(at.is_none_or(|at| at == size), "{at:?} of {size} bytes");
}

fn check_blocks(chunk: &Chunk, length: usize) {
    let frames = chunk.sealed.iter().map(|block| chunk.frames(block).len());
    assert!(frames.sum::<usize>() <= length);
}

/// A folder that is removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("spanmill-replay-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that is left over harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
