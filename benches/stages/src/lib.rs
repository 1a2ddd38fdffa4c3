//! The stages of the hot path as cases: each is made with its input, and then run any number of times, every
//! time the same. How they are measured is the part of `benches/stages.rs` (time) and `main.rs` (instructions).

pub mod corpus;

use std::hint::black_box;
use std::io::Write as _;

use prost::Message as _;
use spanmill_engine::stages::{Sealed, Signal, Stages, checksum};
use spanmill_loadgen::corpus::{Corpus, Pace};

/// Rows in a request.
const ROWS: usize = 2_000;
/// When everything happens: a Sunday noon, far from the turn of an hour.
const NOW: u64 = 1_795_348_800_000_000_000;
const PACE: Pace = Pace {
    start: NOW,
    spans_per_second: 100_000,
};
const SEED: u64 = 7;
/// Bytes of a frame, at most what the engine puts into one.
const FRAME_BYTES: usize = 256 << 10;

/// One stage with its input.
pub struct Case {
    /// What it is counted for: rows of the request, or bytes.
    pub units: usize,
    /// Does it once.
    pub run: Box<dyn FnMut()>,
}

/// A stage's name and what makes it. The names are those of the baseline.
pub type Stage = (&'static str, fn() -> Case);

/// Every stage, in the order of the data. Counted for each row, or for each byte where the name says so.
pub const STAGES: [Stage; 14] = [
    ("inflate/gzip per byte", || inflate("gzip")),
    ("inflate/zstd per byte", || inflate("zstd")),
    ("json/traces", json),
    ("walk/traces", || walk(Signal::Traces)),
    ("walk/logs", || walk(Signal::Logs)),
    ("walk/metrics", || walk(Signal::Metrics)),
    ("walk+seal/traces", || walk_and_seal(Signal::Traces)),
    ("walk+seal/logs", || walk_and_seal(Signal::Logs)),
    ("walk+seal/metrics", || walk_and_seal(Signal::Metrics)),
    ("frame per byte", frame),
    ("checksum per byte", checksum_of_frame),
    ("record", record),
    ("record read back", read_back),
    ("insert head per insert", insert_head),
];

/// An encoded request: spans of about 476 bytes with eleven attributes, and `loadgen`'s logs and metrics.
fn body(signal: Signal) -> Vec<u8> {
    let corpus = Corpus::new(SEED);
    match signal {
        Signal::Traces => corpus::requests(1, ROWS, NOW).remove(0),
        Signal::Logs => corpus.logs(PACE).request(ROWS).encode_to_vec(),
        Signal::Metrics => corpus.metrics(NOW, 1).request(ROWS).encode_to_vec(),
    }
}

/// A body, a shard that knows its resources and series from before, and its rows.
fn known_body(signal: Signal) -> (Vec<u8>, Stages, usize) {
    let body = body(signal);
    let mut stages = Stages::new(signal, NOW);
    let rows = stages.walk(&body);
    drop(stages.seal());
    (body, stages, rows)
}

/// Walks a request and takes it back.
fn walk(signal: Signal) -> Case {
    let (body, mut stages, units) = known_body(signal);
    Case {
        units,
        run: Box::new(move || {
            stages.walk(black_box(&body));
            stages.roll_back();
        }),
    }
}

fn walk_and_seal(signal: Signal) -> Case {
    let (body, mut stages, units) = known_body(signal);
    Case {
        units,
        run: Box::new(move || {
            stages.walk(black_box(&body));
            black_box(stages.seal().map(|sealed| sealed.bytes()));
        }),
    }
}

fn inflate(encoding: &'static str) -> Case {
    let body = body(Signal::Traces);
    let packed = match encoding {
        "gzip" => gzip(&body),
        _ => zstd(&body),
    };
    let mut stages = Stages::new(Signal::Traces, NOW);
    Case {
        units: body.len(),
        run: Box::new(move || {
            black_box(stages.inflate(encoding, black_box(&packed)));
        }),
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    // Writing into a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
    // The room is as large as it can become.
    let _ = zstd_safe::compress(&mut packed, body, 3);
    packed
}

fn json() -> Case {
    let request = Corpus::new(SEED).traces(PACE).request(ROWS);
    let body = serde_json::to_vec(&request).unwrap_or_default();
    let mut stages = Stages::new(Signal::Traces, NOW);
    Case {
        units: ROWS,
        run: Box::new(move || {
            black_box(stages.json(black_box(&body)));
        }),
    }
}

/// What a frame is made of: here, protobuf, which compresses about as well as columns do.
fn plain() -> Vec<u8> {
    let mut plain = body(Signal::Traces);
    plain.truncate(FRAME_BYTES);
    plain
}

fn frame() -> Case {
    let plain = plain();
    let mut stages = Stages::new(Signal::Traces, NOW);
    let mut frames = Vec::with_capacity(2 * plain.len());
    Case {
        units: plain.len(),
        run: Box::new(move || {
            frames.clear();
            stages.frame(black_box(&plain), &mut frames);
        }),
    }
}

fn checksum_of_frame() -> Case {
    let plain = plain();
    Case {
        units: plain.len(),
        run: Box::new(move || {
            black_box(checksum(black_box(&plain)));
        }),
    }
}

fn sealed() -> Option<Sealed> {
    let mut stages = Stages::new(Signal::Traces, NOW);
    stages.walk(&body(Signal::Traces));
    stages.seal()
}

/// A chunk becomes the log's record, and is read back, since a record is made of a chunk that is then gone.
fn record() -> Case {
    let mut chunk = sealed();
    Case {
        units: ROWS,
        run: Box::new(move || {
            let record = chunk.take().map(Sealed::into_record).unwrap_or_default();
            chunk = Some(Sealed::from_record(black_box(record)));
        }),
    }
}

fn read_back() -> Case {
    let record = sealed().map(Sealed::into_record).unwrap_or_default();
    Case {
        units: ROWS,
        run: Box::new(move || {
            black_box(Sealed::from_record(black_box(record.clone())));
        }),
    }
}

fn insert_head() -> Case {
    let stages = Stages::new(Signal::Traces, NOW);
    Case {
        units: 1,
        run: Box::new(move || {
            black_box(stages.insert_head(black_box("0123456789abcdef-0-1-4-0")));
        }),
    }
}
