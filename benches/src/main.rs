//! Starts ClickHouse and an engine in processes of their own, sends spans over gRPC as fast as they are
//! acknowledged, and prints what the engine and ClickHouse used for a million of them.

mod corpus;
mod process;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use clap::Parser;
use h2::client::SendRequest;
use spanmill_embedded::testing::{TestServer, host_program, start_private};

use process::{Cpu, peak_memory};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Different requests that are sent in turn.
const REQUESTS: usize = 32;
const WINDOW: u32 = 1 << 20;

/// What to send.
#[derive(Parser, Clone)]
struct Options {
    /// Spans in all, in millions.
    #[arg(long, default_value_t = 4.0)]
    millions: f64,
    /// Spans in one request.
    #[arg(long, default_value_t = 4000)]
    spans_per_request: usize,
    /// HTTP/2 connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// Compress the requests.
    #[arg(long)]
    gzip: bool,
    /// What the engine runs on: auto, uring or epoll.
    #[arg(long, default_value = "auto")]
    reactor: String,
    /// Shards of the engine.
    #[arg(long, default_value_t = 1)]
    shards: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut clickhouse = start_private();
    let connection = spanmill_schema::Connection {
        url: clickhouse.http_url(),
        user: "default".into(),
        password: String::new(),
    };
    let settings = spanmill_schema::SchemaSettings::default();
    runtime.block_on(spanmill_schema::migrate(&connection, &settings))?;
    let (engine, address) = start_engine(&options, &clickhouse)?;
    let engine = Guard(engine);
    let clickhouse_pid = clickhouse.server().pid();
    let requests = Arc::new(requests(&options));

    // The first requests touch memory, dictionaries and ClickHouse's caches for the first time.
    runtime.block_on(send(&options, &requests, address, REQUESTS))?;
    let before = (Cpu::of(engine.0.id())?, Cpu::of(clickhouse_pid)?);
    let begun = Instant::now();
    let count = (options.millions * 1e6) as usize / options.spans_per_request;
    runtime.block_on(send(&options, &requests, address, count))?;
    let seconds = begun.elapsed().as_secs_f64();
    let millions = (count * options.spans_per_request) as f64 / 1e6;
    let used = Cpu::of(engine.0.id())? - before.0;
    let clickhouse_used = Cpu::of(clickhouse_pid)? - before.1;

    let bytes: usize = requests.iter().map(|request| request.len()).sum();
    let per_span = bytes as f64 / (REQUESTS * options.spans_per_request) as f64;
    println!(
        "{millions:.1} M spans, {per_span:.0} bytes each on the wire, {} a request{}",
        options.spans_per_request,
        if options.gzip { ", gzip" } else { "" }
    );
    println!(
        "engine      {:.3} CPU s per million spans ({:.3} user, {:.3} system), peak {} MiB",
        used.total() / millions,
        used.user / millions,
        used.system / millions,
        peak_memory(engine.0.id())?
    );
    println!(
        "clickhouse  {:.3} CPU s per million spans",
        clickhouse_used.total() / millions
    );
    println!(
        "            {:.0} spans/s acknowledged",
        millions * 1e6 / seconds
    );
    let stored = clickhouse.query("SELECT count() FROM spanmill.otel_traces")?;
    let sent = (count + REQUESTS) * options.spans_per_request;
    if stored.trim() != sent.to_string() {
        bail!(
            "{sent} spans were acknowledged, {} are stored",
            stored.trim()
        );
    }
    Ok(())
}

/// Ends the engine with the measurement, however that ends.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_engine(options: &Options, clickhouse: &TestServer) -> Result<(Child, SocketAddr)> {
    let spanmill = &host_program()[0];
    let mut engine = Command::new(spanmill)
        .arg("engine")
        .args(["--shards", &options.shards.to_string()])
        .args(["--reactor", &options.reactor])
        .args(["--clickhouse", &clickhouse.native_addr().to_string()])
        .args(["--clickhouse-http", &clickhouse.http_url()])
        .args(["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
        .args(["--admin", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = engine.stdout.take().context("the engine's output")?;
    for line in BufReader::new(stdout).lines() {
        if let Some(address) = line?.trim().strip_prefix("OTLP/gRPC") {
            return Ok((engine, address.trim().parse()?));
        }
    }
    bail!("the engine ended before it listened")
}

/// Framed requests, ready to be sent.
fn requests(options: &Options) -> Vec<Bytes> {
    let mut random = fastrand::Rng::with_seed(7);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_nanos() as u64);
    let framed = (0..REQUESTS).map(|_| {
        let mut body = corpus::request(&mut random, options.spans_per_request, now);
        if options.gzip {
            body = gzip(&body);
        }
        let mut framed = BytesMut::with_capacity(body.len() + 5);
        framed.put_u8(u8::from(options.gzip));
        framed.put_u32(body.len() as u32);
        framed.put_slice(&body);
        framed.freeze()
    });
    framed.collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing into a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// Sends `count` requests over all connections; an error if one is not acknowledged.
async fn send(
    options: &Options,
    requests: &Arc<Vec<Bytes>>,
    address: SocketAddr,
    count: usize,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..options.connections {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let builder = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .handshake(stream);
        let (client, connection) = builder.await?;
        tokio::spawn(connection);
        for _ in 0..options.in_flight {
            let (client, requests, next) =
                (client.clone(), Arc::clone(requests), Arc::clone(&next));
            let gzip = options.gzip;
            tasks.push(tokio::spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return anyhow::Ok(());
                    }
                    export(client.clone(), &requests[index % requests.len()], gzip).await?;
                }
            }));
        }
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// One Export call.
async fn export(client: SendRequest<Bytes>, body: &Bytes, gzip: bool) -> Result<()> {
    let encoding = if gzip { "gzip" } else { "identity" };
    let request = http::Request::post(EXPORT)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(())?;
    let mut client = client.ready().await?;
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(body.clone(), true)?;
    let response = response.await?;
    let refused = response.headers().get("grpc-message").cloned();
    let mut answer = response.into_body();
    while let Some(data) = answer.data().await {
        let length = data?.len();
        answer.flow_control().release_capacity(length)?;
    }
    let trailers = answer.trailers().await?;
    match trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"))
    {
        Some(status) if status == "0" => Ok(()),
        _ => bail!("a request was refused: {refused:?}"),
    }
}
