//! Starts ClickHouse and an engine in processes of their own, sends spans, log records or points as fast as
//! they are acknowledged, and prints what the engine and ClickHouse used for a million of them.

mod load;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use spanmill_embedded::testing::TestServer;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use spanmill_benches::engine::{Engine, migrated_clickhouse};
use spanmill_benches::null_sink::NullSink;
use spanmill_benches::process::{Cpu, peak_memory, pin};
use spanmill_benches::signal::Signal;

use load::Load;

/// Different requests that are sent in turn.
const REQUESTS: usize = 32;
/// How long acknowledged spans may take to be stored, and how long between two looks: looking costs CPU time
/// that is counted.
const STORED_PATIENCE: Duration = Duration::from_secs(120);
const STORED_PAUSE: Duration = Duration::from_millis(100);

/// What to send.
#[derive(Parser, Clone)]
struct Options {
    /// Spans (records, points) in all, in millions.
    #[arg(long, default_value_t = 4.0)]
    millions: f64,
    /// Spans (records, points) in one request.
    #[arg(long, default_value_t = 4000)]
    spans_per_request: usize,
    /// What to send.
    #[arg(long, value_enum, default_value_t = Signal::Traces)]
    signal: Signal,
    /// Send over HTTP/1.1 instead of gRPC.
    #[arg(long)]
    http: bool,
    /// Connections; over HTTP/1.1 there are `in_flight` times as many.
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

    /// Waits until as many rows are inserted as were acknowledged. Each look is a query, so this does not spin.
    fn await_stored(&self, engine: &Engine, signal: Signal, sent: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let stored = match self {
                Store::ClickHouse(clickhouse) => {
                    let sql = format!("SELECT count() FROM spanmill.{}", signal.table());
                    let count = clickhouse.query(&sql)?;
                    count.trim().parse()?
                }
                Store::Null(..) => engine.inserted(signal.table())? as usize,
            };
            if stored == sent {
                return Ok(());
            }
            if stored > sent || begun.elapsed() > STORED_PATIENCE {
                bail!("{sent} rows were acknowledged, {stored} are stored");
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
    if options.pinned {
        pin(engine.pid(), &[0])?;
        pin(std::process::id(), &[1])?;
    }
    let load = Load::new(&options, &engine)?;

    // The first requests touch memory, dictionaries and ClickHouse's caches for the first time.
    let first = runtime.block_on(load.send(REQUESTS))?;
    store.await_stored(&engine, options.signal, first)?;
    let before = (Cpu::of(engine.pid())?, store.cpu()?);
    let begun = Instant::now();
    let count = (options.millions * 1e6) as usize / options.spans_per_request;
    let rows = runtime.block_on(load.send(count))?;
    let seconds = begun.elapsed().as_secs_f64();
    store.await_stored(&engine, options.signal, first + rows)?;
    let millions = rows as f64 / 1e6;
    let used = Cpu::of(engine.pid())? - before.0;

    println!(
        "{millions:.1} M {}s, {:.0} bytes each on the wire, {} a request{}{}",
        options.signal.noun(),
        load.bytes_per_row(),
        options.spans_per_request,
        if options.gzip { ", gzip" } else { "" },
        if options.http { ", HTTP/1.1" } else { "" }
    );
    println!(
        "engine      {:.3} CPU s per million ({:.3} user, {:.3} system), peak {} MiB",
        used.total() / millions,
        used.user / millions,
        used.system / millions,
        peak_memory(engine.pid())?
    );
    match (store.cpu()?.zip(before.1), &store) {
        (Some((after, before)), _) => println!(
            "clickhouse  {:.3} CPU s per million",
            (after - before).total() / millions
        ),
        (None, Store::Null(sink, _)) => println!("sink        {} inserts", sink.received().inserts),
        (None, Store::ClickHouse(_)) => {}
    }
    println!(
        "            {:.0} a second acknowledged",
        millions * 1e6 / seconds
    );
    Ok(())
}
