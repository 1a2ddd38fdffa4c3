//! The stages of the hot path one by one, for `benches/`: a body comes in, and what each stage makes of it goes
//! out. Compiled only under the feature `stages`; the engine itself never calls it.

use std::sync::Arc;

use spanmill_schema::{TableId, Tables};

use crate::chunk::Chunk;
use crate::columns::{Columns, Compressor};
use crate::decode::{self, Arrival};
use crate::inflate::{Encoding, Inflate};
use crate::insert;
use crate::json;
use crate::limits::ZSTD_WINDOW_LOGS;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "OTLP's own words")]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl From<Signal> for decode::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Traces => decode::Signal::Traces,
            Signal::Logs => decode::Signal::Logs,
            Signal::Metrics => decode::Signal::Metrics,
        }
    }
}

/// What a shard keeps from request to request, for one signal. Every method panics on what a shard refuses.
pub struct Stages {
    signal: decode::Signal,
    arrival: Arrival,
    columns: Columns,
    compressor: Compressor,
    inflate: Inflate,
    plain: Vec<u8>,
    statement: String,
}

/// Sealed blocks of all rows that were walked.
pub struct Sealed(Chunk);

impl Stages {
    /// A shard's state before its first request, which comes at `now` (Unix nanoseconds).
    #[must_use]
    pub fn new(signal: Signal, now: u64) -> Self {
        let tables = Arc::new(Tables::default());
        let statements = insert::statements(&tables);
        Stages {
            signal: signal.into(),
            arrival: Arrival {
                now,
                earliest: 0,
                latest: u64::MAX,
                column_bytes_max: usize::MAX,
            },
            columns: Columns::new(tables),
            compressor: Compressor::default(),
            inflate: Inflate::new(*ZSTD_WINDOW_LOGS.end()),
            plain: Vec::new(),
            statement: statements[TableId::Traces as usize].clone(),
        }
    }

    /// Walks a body into the columns and gives back how many rows it had.
    #[expect(clippy::expect_used, reason = "a bench stops at the first surprise")]
    pub fn walk(&mut self, body: &[u8]) -> usize {
        let walked = decode::walk(self.signal, body, &mut self.columns, self.arrival);
        walked.expect("a body that a shard takes").rows
    }

    /// Takes the rows of the last body back.
    pub fn roll_back(&mut self) {
        self.columns.roll_back_request();
    }

    /// Makes compressed blocks of all rows; `None` without any.
    pub fn seal(&mut self) -> Option<Sealed> {
        self.columns.seal().map(Sealed)
    }

    /// Compresses at most 1 MiB into a frame with its checksum, which is appended to `frames`.
    pub fn frame(&mut self, plain: &[u8], frames: &mut Vec<u8>) {
        self.compressor.push_frame(plain, frames);
    }

    /// Decompresses a body that came as `gzip` or `zstd`, and gives back its length.
    #[expect(clippy::expect_used, reason = "a bench stops at the first surprise")]
    pub fn inflate(&mut self, encoding: &str, body: &[u8]) -> usize {
        let encoding = Encoding::named(encoding.as_bytes()).expect("an encoding");
        self.plain.clear();
        let limit = 64 << 20;
        let inflated = self
            .inflate
            .decompress(encoding, body, &mut self.plain, limit);
        inflated.expect("a body that a shard takes");
        self.plain.len()
    }

    /// Translates a body in JSON to protobuf, and gives back its length.
    #[expect(clippy::expect_used, reason = "a bench stops at the first surprise")]
    pub fn json(&mut self, body: &[u8]) -> usize {
        self.plain.clear();
        let translated = json::to_protobuf(self.signal, body, &mut self.plain, 64 << 20);
        translated.expect("a body that a shard takes");
        self.plain.len()
    }

    /// What is sent before the blocks of an INSERT.
    #[must_use]
    pub fn insert_head(&self, token: &str) -> Vec<u8> {
        insert::insert_head(&self.statement, token)
    }
}

impl Sealed {
    /// Bytes of all blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0
            .sealed
            .iter()
            .map(|sealed| self.0.frames(sealed).len())
            .sum()
    }

    /// The record that the log is given.
    #[must_use]
    pub fn into_record(self) -> Vec<u8> {
        self.0.into_record(0)
    }

    /// Reads a record back from the log.
    ///
    /// # Panics
    /// When it is not what [`Self::into_record`] gave.
    #[must_use]
    pub fn from_record(record: Vec<u8>) -> Self {
        match Chunk::from_record(record) {
            Ok((chunk, _)) => Sealed(chunk),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The checksum of a frame.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u128 {
    crate::columns::checksum(bytes)
}
