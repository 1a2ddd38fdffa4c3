//! What the corpora of the fuzz targets began with: requests of the load generator and ones that use every
//! field, as protobuf, as JSON and packed, and answers of ClickHouse. The same files each time.

use fastrand::Rng;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use prost::Message;
use spanmill_loadgen::corpus::{Corpus, Pace};
use spanmill_schema::TableId;

use crate::chunk::Chunk;
use crate::decode::Signal;
use crate::json::tests::encode::Sender;

/// Requests of the load generator for each signal.
const REQUESTS: usize = 6;

/// Scenario: someone begins the corpora anew: `cargo test -p spanmill-engine fuzzing -- --ignored`.
/// Guarantee: each target has inputs in its folder, beside those that are there.
#[test]
#[ignore = "writes files"]
fn seeds_are_written() {
    let corpora = super::tests::corpora();
    let write = |target: &str, number: usize, input: &[u8]| {
        let folder = corpora.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("seed-{number:02}")), input).unwrap();
    };
    let mut bodies = crate::decode::tests::seeds();
    let mut texts = Vec::new();
    generated(&mut bodies, &mut texts);
    for (number, (signal, body)) in bodies.iter().enumerate() {
        write(&format!("walk_{}", signal.label()), number, body);
    }
    for (number, input) in segments().iter().enumerate() {
        write("log_replay", number, input);
    }
    for (number, (signal, json)) in texts.iter().enumerate() {
        write(&format!("json_{}", signal.label()), number, json);
    }
    let some = bodies.iter().step_by(8).flat_map(|(_, body)| packed(body));
    for (number, packed) in some.enumerate() {
        write("inflate", number, &packed);
    }
    for (number, answer) in answers().into_iter().enumerate() {
        write("clickhouse_answer", number, &answer);
    }
}

/// Requests of the load generator, as protobuf and as JSON in its various forms.
fn generated(bodies: &mut Vec<(Signal, Vec<u8>)>, texts: &mut Vec<(Signal, Vec<u8>)>) {
    let mut sender = Sender(Rng::with_seed(1));
    let corpus = Corpus::new(1);
    let pace = Pace {
        start: 1_750_000_000_000_000_000,
        spans_per_second: 1000,
    };
    let (mut traces, mut logs) = (corpus.traces(pace), corpus.logs(pace));
    for number in 0..REQUESTS {
        let request = traces.request(1 + number % 2);
        let json = sender.traces(&request).to_string();
        bodies.push((Signal::Traces, request.encode_to_vec()));
        texts.push((Signal::Traces, json.into_bytes()));
        let request = logs.request(1 + number % 2);
        let json = sender.logs(&request).to_string();
        bodies.push((Signal::Logs, request.encode_to_vec()));
        texts.push((Signal::Logs, json.into_bytes()));
    }
    for request in metrics(&corpus, pace.start) {
        let json = sender.metrics(&request).to_string();
        bodies.push((Signal::Metrics, request.encode_to_vec()));
        texts.push((Signal::Metrics, json.into_bytes()));
    }
}

/// Requests of one metric each, and at most two points: the first of each kind.
fn metrics(corpus: &Corpus, start: u64) -> Vec<ExportMetricsServiceRequest> {
    let mut requests = Vec::new();
    let mut kinds = Vec::new();
    let request = corpus.metrics(start, 1).request(20_000);
    for resource in request.resource_metrics {
        for scope in resource.scope_metrics {
            for mut metric in scope.metrics {
                let kind = metric.data.as_ref().map(std::mem::discriminant);
                if kinds.iter().filter(|known| **known == kind).count() == 3 {
                    continue;
                }
                kinds.push(kind);
                match &mut metric.data {
                    Some(Data::Gauge(data)) => data.data_points.truncate(2),
                    Some(Data::Sum(data)) => data.data_points.truncate(2),
                    Some(Data::Histogram(data)) => data.data_points.truncate(1),
                    Some(Data::ExponentialHistogram(data)) => data.data_points.truncate(1),
                    Some(Data::Summary(data)) => data.data_points.truncate(1),
                    None => {}
                }
                requests.push(ExportMetricsServiceRequest {
                    resource_metrics: vec![ResourceMetrics {
                        resource: resource.resource.clone(),
                        scope_metrics: vec![ScopeMetrics {
                            scope: scope.scope.clone(),
                            metrics: vec![metric],
                            schema_url: scope.schema_url.clone(),
                        }],
                        schema_url: resource.schema_url.clone(),
                    }],
                });
            }
        }
    }
    requests
}

/// A body in every encoding, behind the byte that chooses it.
fn packed(plain: &[u8]) -> Vec<Vec<u8>> {
    let best = Compression::best();
    let mut gzip = GzEncoder::new(vec![0], best);
    let mut zlib = ZlibEncoder::new(vec![1], best);
    let mut bare = DeflateEncoder::new(vec![1], best);
    let mut stored = GzEncoder::new(vec![0], Compression::none());
    for encoder in [
        &mut gzip as &mut dyn std::io::Write,
        &mut zlib,
        &mut bare,
        &mut stored,
    ] {
        encoder.write_all(plain).unwrap();
    }
    let mut zstd = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    let mut encoder = zstd_safe::CCtx::create();
    let checksum = zstd_safe::CParameter::ChecksumFlag(true);
    encoder.set_parameter(checksum).unwrap();
    encoder.compress2(&mut zstd, plain).unwrap();
    vec![
        gzip.finish().unwrap(),
        zlib.finish().unwrap(),
        bare.finish().unwrap(),
        stored.finish().unwrap(),
        [vec![2], zstd].concat(),
    ]
}

/// Answers to hello (behind a 0) and to an INSERT (behind a 1): each packet, alone and before the end.
fn answers() -> Vec<Vec<u8>> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let revision = [0xbc, 0xa9, 0x03];
    let hello = [
        &[0, 0][..],
        &text("ClickHouse"),
        &[26, 7],
        &revision,
        &text("UTC"),
        &text("host"),
        &[1],
    ]
    .concat();
    let cause = |nested: u8| {
        let code = 252_i32.to_le_bytes();
        let message = text("Too many parts (300)");
        [
            &code[..],
            &text("DB::Exception"),
            &message,
            &text("trace"),
            &[nested],
        ]
        .concat()
    };
    let exception = [&[2][..], &cause(1), &cause(0)].concat();
    let block_info = [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0];
    let events = [
        &[14][..],
        &text(""),
        &block_info,
        &[3, 1],
        &text("host_name"),
        &text("String"),
        &[0],
        &text("host"),
        &text("type"),
        &text("Enum8('increment' = 1, 'gauge' = 2)"),
        &[0, 1],
        &text("value"),
        &text("Int64"),
        &[0],
        &[7; 8],
    ]
    .concat();
    let frame = [
        &[9; 16][..],
        &[0x82],
        &[19, 0, 0, 0],
        &[10, 0, 0, 0],
        &[5; 10],
    ]
    .concat();
    let data = [&[1][..], &text(""), &frame].concat();
    let columns = [&[11][..], &text(""), &text("columns format version: 1")].concat();
    let progress = vec![3, 1, 0xac, 0x02, 3, 4, 5, 6];
    let profile = vec![6, 1, 2, 3, 1, 4, 0];
    let packets = [
        exception.clone(),
        events,
        data,
        columns,
        progress,
        profile,
        vec![4],
    ];
    let mut answers = vec![hello, [vec![0], exception].concat()];
    for packet in &packets {
        answers.push([&[1], &packet[..], &[5]].concat());
    }
    answers.push([vec![1], packets[1..].concat(), vec![5]].concat());
    answers
}

/// Segments of a few chunks, with and without a header before them, whole, cut and with a gap.
fn segments() -> Vec<Vec<u8>> {
    let chunk = |sequence: u64, blocks: u32| {
        let mut chunk = Chunk::of_rows(blocks as usize);
        for partition in 0..blocks {
            chunk.push(TableId::Logs, partition, 1, |out| {
                out.extend_from_slice(&[7; 20][..partition as usize * 5]);
            });
        }
        chunk.into_record(sequence)
    };
    let chunks = [chunk(0, 1), chunk(1, 3), chunk(2, 0), chunk(5, 2)].concat();
    let header = crate::log::check::header();
    let whole = [&header[..], &chunks].concat();
    let gap = [&chunks[..60], b"garbage", &chunks[60..]].concat();
    let cut = &chunks[..chunks.len() - 5];
    let of = |choice: u8, bytes: &[u8]| [&[choice], bytes].concat();
    vec![
        of(0, &whole),
        of(1, &chunks),
        of(1, &gap),
        of(1, cut),
        of(3, &chunks),
        of(3, &gap),
        of(0, &chunks),
        of(2, &whole[..40]),
    ]
}
