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
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use spanmill_embedded::testing::TestServer;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use spanmill_benches::corpus;
use spanmill_benches::engine::{Engine, migrated_clickhouse};
use spanmill_benches::export::{TRACES, connect, export, frame};
use spanmill_benches::null_sink::NullSink;
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
    /// Insert into a sink that keeps nothing, instead of a ClickHouse.
    #[arg(long)]
    null_sink: bool,
    /// Keep the engine on CPU 0, and everything else on CPU 1.
    #[arg(long)]
    pinned: bool,
}

/// What the engine inserts into.
enum Store {
    ClickHouse(Box<TestServer>),
    Null(NullSink, TempDir),
}

impl Store {
    fn start(options: &Options, runtime: &Runtime) -> Result<Self> {
        if options.null_sink {
            return Ok(Store::Null(NullSink::start()?, tempfile::tempdir()?));
        }
        let clickhouse = runtime.block_on(migrated_clickhouse())?;
        Ok(Store::ClickHouse(Box::new(clickhouse)))
    }

    fn engine(&self, settings: &[&str]) -> Result<Engine> {
        match self {
            Store::ClickHouse(clickhouse) => Engine::start(clickhouse, settings),
            // Nobody answers over HTTP, so it never calls itself ready; it takes data all the same.
            Store::Null(sink, folder) => {
                Engine::start_over(sink.address, "http://127.0.0.1:9", folder.path(), settings)
            }
        }
    }

    /// What ClickHouse has used so far.
    fn cpu(&mut self) -> Result<Option<Cpu>> {
        match self {
            Store::ClickHouse(clickhouse) => Cpu::of(clickhouse.server().pid()).map(Some),
            Store::Null(..) => Ok(None),
        }
    }

    /// Waits until as many spans are inserted as were acknowledged. Each look is a query, so this does not spin.
    fn await_stored(&self, engine: &Engine, sent: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let stored = match self {
                Store::ClickHouse(clickhouse) => {
                    let count = clickhouse.query("SELECT count() FROM spanmill.otel_traces")?;
                    count.trim().parse()?
                }
                Store::Null(..) => engine.inserted("otel_traces")? as usize,
            };
            if stored == sent {
                return Ok(());
            }
            if stored > sent || begun.elapsed() > STORED_PATIENCE {
                bail!("{sent} spans were acknowledged, {stored} are stored");
            }
            std::thread::sleep(STORED_PAUSE);
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut store = Store::start(&options, &runtime)?;
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
    let engine = store.engine(&settings)?;
    let address = engine.address;
    if options.pinned {
        pin(engine.pid(), 0)?;
        pin(std::process::id(), 1)?;
    }
    let requests = Arc::new(requests(&options));

    // The first requests touch memory, dictionaries and ClickHouse's caches for the first time.
    runtime.block_on(send(&options, &requests, address, REQUESTS))?;
    store.await_stored(&engine, REQUESTS * options.spans_per_request)?;
    let before = (Cpu::of(engine.pid())?, store.cpu()?);
    let begun = Instant::now();
    let count = (options.millions * 1e6) as usize / options.spans_per_request;
    runtime.block_on(send(&options, &requests, address, count))?;
    let seconds = begun.elapsed().as_secs_f64();
    store.await_stored(&engine, (count + REQUESTS) * options.spans_per_request)?;
    let millions = (count * options.spans_per_request) as f64 / 1e6;
    let used = Cpu::of(engine.pid())? - before.0;

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
    match (store.cpu()?.zip(before.1), &store) {
        (Some((after, before)), _) => println!(
            "clickhouse  {:.3} CPU s per million spans",
            (after - before).total() / millions
        ),
        (None, Store::Null(sink, _)) => println!("sink        {} inserts", sink.inserts()),
        (None, Store::ClickHouse(_)) => {}
    }
    println!(
        "            {:.0} spans/s acknowledged",
        millions * 1e6 / seconds
    );
    Ok(())
}

/// Keeps all threads that a process has now on one CPU; those that they start stay there, too.
fn pin(pid: u32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name();
        let thread: i32 = thread.to_string_lossy().parse()?;
        sched_setaffinity(Pid::from_raw(thread), &set)?;
    }
    Ok(())
}

/// Framed requests, ready to be sent.
fn requests(options: &Options) -> Vec<Bytes> {
    let bodies = corpus::requests(REQUESTS, options.spans_per_request, corpus::now());
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
