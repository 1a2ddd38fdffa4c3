//! Writes the inputs that the corpora began with: small requests of the load generator, alone and packed, as
//! protobuf and as JSON, and answers of ClickHouse. The same files each time.
//!
//! `cargo run --example seeds -- FOLDER` writes to a folder for each target in FOLDER.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use prost::Message;
use spanmill_loadgen::corpus::{Corpus, Pace};

/// Requests of each signal.
const REQUESTS: usize = 6;

struct Seeds {
    folder: PathBuf,
    requests: Vec<Vec<u8>>,
}

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("the folder to write to");
    let mut seeds = Seeds {
        folder: folder.into(),
        requests: Vec::new(),
    };
    let corpus = Corpus::new(1);
    let pace = Pace {
        start: 1_750_000_000_000_000_000,
        spans_per_second: 1000,
    };
    let (mut traces, mut logs) = (corpus.traces(pace), corpus.logs(pace));
    for number in 0..REQUESTS {
        seeds.request("traces", number, &traces.request(1 + number % 2))?;
        seeds.request("logs", number, &logs.request(1 + number % 2))?;
    }
    for (number, request) in metrics(&corpus, pace.start).enumerate() {
        seeds.request("metrics", number, &request)?;
    }
    for (number, request) in seeds.requests.iter().enumerate().step_by(5) {
        for (packer, packed) in packed(request).into_iter().enumerate() {
            write(
                &seeds.folder,
                "inflate",
                &format!("{packer}-{number}"),
                &packed,
            )?;
        }
    }
    for (number, answer) in answers().into_iter().enumerate() {
        write(
            &seeds.folder,
            "clickhouse_answer",
            &number.to_string(),
            &answer,
        )?;
    }
    Ok(())
}

impl Seeds {
    fn request(
        &mut self,
        signal: &str,
        number: usize,
        request: &(impl Message + serde::Serialize),
    ) -> std::io::Result<()> {
        let body = request.encode_to_vec();
        let (name, json) = (number.to_string(), serde_json::to_vec(request)?);
        write(&self.folder, &format!("walk_{signal}"), &name, &body)?;
        write(&self.folder, &format!("json_{signal}"), &name, &json)?;
        self.requests.push(body);
        Ok(())
    }
}

fn write(folder: &Path, target: &str, name: &str, input: &[u8]) -> std::io::Result<()> {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), input)
}

/// Requests of one metric each, and at most two points: the first of each kind.
fn metrics(corpus: &Corpus, start: u64) -> impl Iterator<Item = ExportMetricsServiceRequest> {
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
    requests.into_iter()
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
        encoder.write_all(plain).expect("a Vec takes everything");
    }
    let mut zstd = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    let mut encoder = zstd_safe::CCtx::create();
    let checksum = zstd_safe::CParameter::ChecksumFlag(true);
    encoder.set_parameter(checksum).expect("a known parameter");
    encoder.compress2(&mut zstd, plain).expect("room enough");
    vec![
        gzip.finish().expect("a Vec takes everything"),
        zlib.finish().expect("a Vec takes everything"),
        bare.finish().expect("a Vec takes everything"),
        stored.finish().expect("a Vec takes everything"),
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
