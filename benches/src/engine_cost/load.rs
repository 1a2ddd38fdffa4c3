//! What is sent, and how: encoded requests go to an engine over gRPC or HTTP/1.1, each as soon as one before it
//! is answered. A request that is not acknowledged ends the bench.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use spanmill_benches::corpus;
use spanmill_benches::engine::Engine;
use spanmill_benches::export::{LOGS, METRICS, TRACES, connect, export, frame};
use spanmill_benches::signal::Signal;
use spanmill_loadgen::corpus::{Corpus, Pace};

use crate::{Options, REQUESTS};

const SEED: u64 = 7;

/// Where a signal is sent.
fn path(signal: Signal, http: bool) -> &'static str {
    match (signal, http) {
        (Signal::Traces, false) => TRACES,
        (Signal::Logs, false) => LOGS,
        (Signal::Metrics, false) => METRICS,
        (Signal::Traces, true) => "/v1/traces",
        (Signal::Logs, true) => "/v1/logs",
        (Signal::Metrics, true) => "/v1/metrics",
    }
}

/// Requests and where they go.
pub(crate) struct Load {
    options: Options,
    address: SocketAddr,
    /// Each with its rows.
    requests: Arc<Vec<(Bytes, usize)>>,
}

impl Load {
    pub(crate) fn new(options: &Options, engine: &Engine) -> Result<Self> {
        let bodies = bodies(options.signal, options.spans_per_request);
        let requests = bodies.into_iter().map(|(body, rows)| {
            let body = if options.gzip { gzip(&body) } else { body };
            match options.http {
                true => (Bytes::from(body), rows),
                false => (frame(&body, options.gzip), rows),
            }
        });
        Ok(Load {
            options: options.clone(),
            address: if options.http {
                engine.http
            } else {
                engine.address
            },
            requests: Arc::new(requests.collect()),
        })
    }

    pub(crate) fn bytes_per_row(&self) -> f64 {
        let bytes: usize = self.requests.iter().map(|(body, _)| body.len()).sum();
        let rows: usize = self.requests.iter().map(|(_, rows)| rows).sum();
        bytes as f64 / rows as f64
    }

    /// Sends so many requests, and gives back the rows in them.
    pub(crate) async fn send(&self, count: usize) -> Result<usize> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..self.options.connections {
            let client = match self.options.http {
                true => Client::Http(reqwest::Client::new()),
                false => Client::Grpc(connect(self.address).await?),
            };
            for _ in 0..self.options.in_flight {
                let (client, requests) = (client.clone(), Arc::clone(&self.requests));
                let (next, options, address) =
                    (Arc::clone(&next), self.options.clone(), self.address);
                tasks.push(tokio::spawn(async move {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return anyhow::Ok(());
                        }
                        let (body, _) = &requests[index % requests.len()];
                        client.send(&options, address, body).await?;
                    }
                }));
            }
        }
        for task in tasks {
            task.await??;
        }
        let rows = |index: usize| self.requests[index % self.requests.len()].1;
        Ok((0..count).map(rows).sum())
    }
}

#[derive(Clone)]
enum Client {
    Grpc(h2::client::SendRequest<Bytes>),
    Http(reqwest::Client),
}

impl Client {
    async fn send(&self, options: &Options, address: SocketAddr, body: &Bytes) -> Result<()> {
        let path = path(options.signal, options.http);
        match self {
            Client::Grpc(client) => export(client.clone(), path, body, options.gzip).await,
            Client::Http(client) => {
                let mut request = client
                    .post(format!("http://{address}{path}"))
                    .header("content-type", "application/x-protobuf");
                if options.gzip {
                    request = request.header("content-encoding", "gzip");
                }
                let answer = request.body(body.clone()).send().await?;
                let status = answer.status();
                let answer = answer.bytes().await?;
                // An answer that says more than "all of it" says what was left out.
                ensure!(
                    status.is_success() && answer.is_empty(),
                    "{status}: {answer:?}"
                );
                Ok(())
            }
        }
    }
}

/// Encoded requests with their rows, about the present.
fn bodies(signal: Signal, rows: usize) -> Vec<(Vec<u8>, usize)> {
    let (corpus, now) = (Corpus::new(SEED), corpus::now());
    let pace = Pace {
        start: now,
        spans_per_second: 1_000_000,
    };
    match signal {
        Signal::Traces => {
            let bodies = corpus::requests(REQUESTS, rows, now);
            bodies.into_iter().map(|body| (body, rows)).collect()
        }
        Signal::Logs => {
            let mut logs = corpus.logs(pace);
            let bodies = (0..REQUESTS).map(|_| logs.request(rows).encode_to_vec());
            bodies.map(|body| (body, rows)).collect()
        }
        Signal::Metrics => {
            // Instances export all their series at once, so that requests have somewhat more points.
            let mut metrics = corpus.metrics(now, 1);
            let requests = (0..REQUESTS).map(|_| metrics.request(rows));
            requests
                .map(|request| (request.encode_to_vec(), points(&request)))
                .collect()
        }
    }
}

fn points(request: &ExportMetricsServiceRequest) -> usize {
    let resources = request.resource_metrics.iter();
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics);
    let points = metrics.filter_map(|metric| {
        Some(match metric.data.as_ref()? {
            Data::Gauge(data) => data.data_points.len(),
            Data::Sum(data) => data.data_points.len(),
            Data::Histogram(data) => data.data_points.len(),
            Data::ExponentialHistogram(data) => data.data_points.len(),
            Data::Summary(data) => data.data_points.len(),
        })
    });
    points.sum()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing into a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}
