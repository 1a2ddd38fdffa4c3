//! What the fuzz targets in `fuzz/` run, and what a test of this crate runs over their committed corpora:
//! bytes come in, and it panics when something is wrong with what becomes of them. It is only compiled for
//! tests and under the feature `fuzzing`.

#[cfg(test)]
mod seeds;

use std::cell::RefCell;
use std::io::Read as _;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use prost::Message as _;

use crate::columns::Columns;
use crate::decode::{Arrival, DecodeError, Signal, Walked, WireError, walk, walk_once};
use crate::inflate::{Encoding, Inflate};
use crate::insert::read_answer;
use crate::json::to_protobuf;

/// A target's name, and what checks one input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. The folder of its corpus has its name.
pub const TARGETS: [Target; 9] = [
    ("walk_traces", walk_traces),
    ("walk_logs", walk_logs),
    ("walk_metrics", walk_metrics),
    ("json_traces", json_traces),
    ("json_logs", json_logs),
    ("json_metrics", json_metrics),
    ("inflate", inflate),
    ("clickhouse_answer", clickhouse_answer),
    ("log_replay", log_replay),
];

/// Bytes that an inflated body, and JSON's protobuf, may have.
const LIMIT: usize = 64 << 10;
/// What inflating may take besides: the room that it begins with.
const ROOM: usize = 8 << 10;

/// The walk over a traces request; see `check_walk`.
pub fn walk_traces(body: &[u8]) {
    check_walk(Signal::Traces, body);
}

/// The walk over a logs request; see `check_walk`.
pub fn walk_logs(body: &[u8]) {
    check_walk(Signal::Logs, body);
}

/// The walk over a metrics request; see `check_walk`.
pub fn walk_metrics(body: &[u8]) {
    check_walk(Signal::Metrics, body);
}

/// A traces request in JSON; see `check_json`.
pub fn json_traces(body: &[u8]) {
    check_json(Signal::Traces, body);
}

/// A logs request in JSON; see `check_json`.
pub fn json_logs(body: &[u8]) {
    check_json(Signal::Logs, body);
}

/// A metrics request in JSON; see `check_json`.
pub fn json_metrics(body: &[u8]) {
    check_json(Signal::Metrics, body);
}

/// A segment of a log; see `log/check.rs`.
pub fn log_replay(input: &[u8]) {
    crate::log::check::replay(input);
}

/// A compressed body; its first byte chooses the encoding. What comes out keeps to its limit, in memory
/// too, and for gzip and deflate is what zlib makes of it, if zlib takes it.
pub fn inflate(input: &[u8]) {
    let Some((choice, packed)) = input.split_first() else {
        return;
    };
    let encodings = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];
    let encoding = encodings[usize::from(*choice) % encodings.len()];
    thread_local! {
        static INFLATE: RefCell<Inflate> = RefCell::default();
    }
    let mut plain = Vec::new();
    let outcome =
        INFLATE.with_borrow_mut(|inflate| inflate.decompress(encoding, packed, &mut plain, LIMIT));
    assert!(plain.capacity() <= LIMIT + ROOM, "{}", plain.capacity());
    if outcome.is_err() {
        return;
    }
    assert!(plain.len() <= LIMIT);
    let mut expected = Vec::new();
    let read = match encoding {
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut expected),
        Encoding::Deflate => {
            let zlib = flate2::read::ZlibDecoder::new(packed).read_to_end(&mut expected);
            zlib.or_else(|_| {
                expected.clear();
                flate2::read::DeflateDecoder::new(packed).read_to_end(&mut expected)
            })
        }
        Encoding::Zstd | Encoding::Identity => return,
    };
    // libdeflate takes codes that the format reserves and zlib refuses.
    assert!(
        read.is_err() || plain == expected,
        "zlib makes something else of it"
    );
}

/// What ClickHouse answers to hello or, when the first byte is odd, to an INSERT.
pub fn clickhouse_answer(input: &[u8]) {
    let Some((choice, answer)) = input.split_first() else {
        return;
    };
    if let Err(error) = read_answer(answer, choice % 2 == 1) {
        assert!(!error.is_empty());
    }
}

/// A request that comes at a fixed time. Rows may have nearly any, so that both outcomes are near.
fn arrival(column_bytes_max: usize) -> Arrival {
    Arrival {
        now: 1_750_000_000_000_000_000,
        earliest: 1,
        latest: u64::MAX - 1,
        column_bytes_max,
    }
}

/// Walks `body`. What prost takes is taken, with as many rows; what prost refuses is refused, unless the
/// fault lies where the walk does not look. A refused request leaves nothing; rows are sealed; and with one
/// byte less than it takes the request is refused.
fn check_walk(signal: Signal, body: &[u8]) {
    thread_local! {
        static COLUMNS: RefCell<Columns> = RefCell::new(Columns::new(Default::default()));
    }
    COLUMNS.with_borrow_mut(|columns| {
        let walked = walk(signal, body, columns, arrival(usize::MAX));
        let bytes = columns.bytes();
        match &walked {
            Ok(walked) => {
                assert_eq!(columns.rows(), walked.rows);
                // Sealing takes longer than the rest: only some inputs are sealed, the others taken back.
                if body.len().is_multiple_of(8) {
                    let sealed = columns.seal();
                    assert_eq!(sealed.map_or(0, |chunk| chunk.rows), walked.rows);
                } else {
                    columns.roll_back_request();
                }
            }
            Err(_) => assert_eq!((columns.rows(), bytes), (0, 0)),
        }
        assert_eq!(columns.bytes(), 0);
        columns.forget_written();
        if let Some(less) = bytes.checked_sub(1) {
            let bounded = walk(signal, body, columns, arrival(less));
            let too_large = DecodeError::ColumnsTooLarge { bytes_max: less };
            assert_eq!(bounded, Err(too_large), "{less} bytes");
            assert_eq!((columns.rows(), columns.bytes()), (0, 0));
        }
        let has_bad_rows = || {
            columns.begin_request();
            let once = walk_once(signal, body, columns, arrival(usize::MAX), None);
            columns.roll_back_request();
            once.is_err()
        };
        check_against_prost(&walked, count(signal, body), has_bad_rows);
    });
}

fn check_against_prost(
    walked: &Result<Walked, DecodeError>,
    count: Result<usize, prost::DecodeError>,
    has_bad_rows: impl FnOnce() -> bool,
) {
    match (walked, count) {
        (Ok(walked), Ok(rows)) => assert_eq!(walked.rows + walked.rejected.rows, rows),
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            let is_overlooked = is_overlooked(&error) || has_bad_rows();
            assert!(is_overlooked, "taken: {error}");
        }
        // Bounds that prost does not have.
        (Err(DecodeError::ScopeTooLarge | DecodeError::Wire(WireError::Group)), Ok(_)) => {}
        (Err(error), Ok(_)) => panic!("refused: {error}"),
        (Err(_), Err(_)) => {}
    }
}

/// Whether a fault that prost found may lie in what the walk passes over: texts of what has no rows,
/// fields that are not stored, and alternatives of a oneof that another one overrides.
pub(crate) fn is_overlooked(error: &str) -> bool {
    let places = [
        "UTF-8",
        "entity_refs",
        "key_strindex",
        "AnyValue.value",
        "Metric.data",
        "Metric.metadata",
    ];
    places.iter().any(|place| error.contains(place))
}

/// How many rows prost finds in a request.
fn count(signal: Signal, body: &[u8]) -> Result<usize, prost::DecodeError> {
    Ok(match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body)?;
            let resources = request.resource_spans.iter();
            let scopes = resources.flat_map(|resource| &resource.scope_spans);
            scopes.map(|scope| scope.spans.len()).sum()
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body)?;
            let resources = request.resource_logs.iter();
            let scopes = resources.flat_map(|resource| &resource.scope_logs);
            scopes.map(|scope| scope.log_records.len()).sum()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(body)?;
            let resources = request.resource_metrics.iter();
            let scopes = resources.flat_map(|resource| &resource.scope_metrics);
            scopes.flat_map(|scope| &scope.metrics).map(points).sum()
        }
    })
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        None => 0,
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(metric::Data::Sum(sum)) => sum.data_points.len(),
        Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(metric::Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(metric::Data::Summary(summary)) => summary.data_points.len(),
    }
}

/// Reads a request in JSON. When it is taken, prost takes the protobuf that it becomes (but for values nested
/// deeper than prost goes), and so does the walk.
fn check_json(signal: Signal, body: &[u8]) {
    let mut protobuf = Vec::new();
    if to_protobuf(signal, body, &mut protobuf, LIMIT).is_err() {
        return;
    }
    assert!(protobuf.len() <= LIMIT);
    if let Err(error) = count(signal, &protobuf) {
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
    check_walk(signal, &protobuf);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of the corpora.
    pub(super) fn corpora() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
    }

    /// Scenario: every input that is committed with the fuzz targets, through the target that it belongs to.
    /// Guarantees: what fuzzing reached keeps holding without a fuzzer; no target is without inputs, and
    /// no inputs without their target.
    #[test]
    fn committed_corpora_hold() {
        let corpora = corpora();
        let mut folders: Vec<_> = std::fs::read_dir(&corpora)
            .unwrap()
            .map(|folder| folder.unwrap().file_name().into_string().unwrap())
            .collect();
        folders.sort();
        let mut names = TARGETS.map(|(name, _)| name);
        names.sort_unstable();
        assert_eq!(folders, names);
        for (name, target) in TARGETS {
            let mut inputs = 0;
            for file in std::fs::read_dir(corpora.join(name)).unwrap() {
                let path = file.unwrap().path();
                println!("{}", path.display());
                target(&std::fs::read(path).unwrap());
                inputs += 1;
            }
            assert!(inputs > 5, "{name} has {inputs} inputs");
        }
    }
}
