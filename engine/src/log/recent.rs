//! What was logged last and waits for its batch: chunks that are on disk go in, and come out when the reader is where
//! they stand, so that they need not be read back. It is bounded and only repeats what the files hold: whoever does
//! not find a chunk here reads it there.

use std::collections::VecDeque;
use std::rc::Rc;

use super::format::Position;
use crate::chunk::Chunk;

/// See the module.
pub(super) struct Recent {
    chunks: VecDeque<Logged>,
    /// Bytes of all chunks held, and how many they may be.
    bytes: usize,
    bytes_max: usize,
}

/// A chunk that is on disk.
pub(super) struct Logged {
    pub(super) chunk: Chunk,
    /// Number in its log.
    pub(super) sequence: u64,
    /// From where to where it stands; a segment's header belongs to its first chunk.
    pub(super) begin: Position,
    pub(super) end: Position,
    /// The INSERT of each table, as its segment's header has them.
    pub(super) statements: Rc<[String]>,
}

impl Recent {
    /// Holds at most so many bytes of chunks.
    pub(super) fn new(bytes_max: usize) -> Self {
        Recent {
            chunks: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Keeps a chunk if there is room. Those that wait longest stay, since they are wanted first.
    pub(super) fn keep(&mut self, logged: Logged) {
        let bytes = self.bytes + logged.chunk.bytes();
        if bytes <= self.bytes_max {
            self.bytes = bytes;
            self.chunks.push_back(logged);
        }
    }

    /// Takes the chunk that stands at `at`, if it is here. Those before it are not asked for again.
    pub(super) fn take(&mut self, at: Position) -> Option<Logged> {
        while self.pop_if(|logged| logged.end <= at).is_some() {}
        self.pop_if(|logged| logged.begin <= at)
    }

    fn pop_if(&mut self, wanted: impl Fn(&Logged) -> bool) -> Option<Logged> {
        let logged = self.chunks.pop_front_if(|logged| wanted(logged))?;
        self.bytes -= logged.chunk.bytes();
        Some(logged)
    }
}
