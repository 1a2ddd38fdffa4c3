//! Starts ClickHouse and an engine in processes of their own, sends spans over gRPC as fast as they are
//! acknowledged, and prints what the engine and ClickHouse used for a million of them.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::Parser;
use spanmill_embedded::testing::TestServer;

use spanmill_benches::corpus;
use spanmill_benches::engine::{Engine, migrated_clickhouse};
use spanmill_benches::export::{TRACES, connect, export, frame};
use spanmill_benches::process::{Cpu, peak_memory};

/// Different requests that are sent in turn.
const REQUESTS: usize = 32;
/// How long acknowledged spans may take to be stored, and how long between two looks: looking costs CPU time
/// that is counted.
const STORED_PATIENCE: Duration = Duration::from_secs(120);
const STORED_PAUSE: Duration = Duration::from_millis(100);

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
    /// When the engine acknowledges: log, memory or clickhouse.
    #[arg(long, default_value = "log")]
    ack: String,
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
    let mut clickhouse = runtime.block_on(migrated_clickhouse())?;
    let shards = options.shards.to_string();
    let reactor = &options.reactor;
    let settings = [
        "--shards",
        &shards,
        "--reactor",
        reactor,
        "--ack",
        &options.ack,
    ];
    let engine = Engine::start(&clickhouse, &settings)?;
    let address = engine.address;
    let clickhouse_pid = clickhouse.server().pid();
    let requests = Arc::new(requests(&options));

    // The first requests touch memory, dictionaries and ClickHouse's caches for the first time.
    runtime.block_on(send(&options, &requests, address, REQUESTS))?;
    await_stored(&clickhouse, REQUESTS * options.spans_per_request)?;
    let before = (Cpu::of(engine.pid())?, Cpu::of(clickhouse_pid)?);
    let begun = Instant::now();
    let count = (options.millions * 1e6) as usize / options.spans_per_request;
    runtime.block_on(send(&options, &requests, address, count))?;
    let seconds = begun.elapsed().as_secs_f64();
    await_stored(&clickhouse, (count + REQUESTS) * options.spans_per_request)?;
    let millions = (count * options.spans_per_request) as f64 / 1e6;
    let used = Cpu::of(engine.pid())? - before.0;
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
        peak_memory(engine.pid())?
    );
    println!(
        "clickhouse  {:.3} CPU s per million spans",
        clickhouse_used.total() / millions
    );
    println!(
        "            {:.0} spans/s acknowledged",
        millions * 1e6 / seconds
    );
    Ok(())
}

/// Waits until as many spans are stored as were acknowledged. Each question is a query, so this does not spin.
fn await_stored(clickhouse: &TestServer, sent: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let stored = clickhouse.query("SELECT count() FROM spanmill.otel_traces")?;
        let stored: usize = stored.trim().parse()?;
        if stored == sent {
            return Ok(());
        }
        if stored > sent || begun.elapsed() > STORED_PATIENCE {
            bail!("{sent} spans were acknowledged, {stored} are stored");
        }
        std::thread::sleep(STORED_PAUSE);
    }
}

/// Framed requests, ready to be sent.
fn requests(options: &Options) -> Vec<Bytes> {
    let bodies = corpus::requests(REQUESTS, options.spans_per_request);
    let framed = bodies.iter().map(|body| match options.gzip {
        true => frame(&gzip(body), true),
        false => frame(body, false),
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
        let client = connect(address).await?;
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
                    let body = &requests[index % requests.len()];
                    export(client.clone(), TRACES, body, gzip).await?;
                }
            }));
        }
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}
