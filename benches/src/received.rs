//! What a sink has received: its connections count, a bench looks.

use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// INSERTs and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// INSERTs that were confirmed.
    pub inserts: u64,
    /// Bytes of requests, or of blocks as they came.
    pub bytes: u64,
}

impl Sub for Received {
    type Output = Received;

    fn sub(self, earlier: Received) -> Received {
        Received {
            inserts: self.inserts - earlier.inserts,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// Counted by any number of connections.
#[derive(Debug, Default)]
pub struct Counter {
    inserts: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    pub(crate) fn add_insert(&self) {
        self.inserts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So far.
    #[must_use]
    pub fn received(&self) -> Received {
        Received {
            inserts: self.inserts.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
