//! ClickHouse stands still (SIGSTOP) while spans keep coming, until the log is full, and then goes on while
//! they still come: prints what the engine held in memory, how its answers changed, and how fast it caught up.
//! It checks that in the end every acknowledged span is stored, and none more than were sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::Parser;
use spanmill_benches::corpus;
use spanmill_benches::engine::{Engine, migrated_clickhouse};
use spanmill_benches::export::{TRACES, connect, frame, try_export};
use spanmill_benches::process::peak_memory;
use spanmill_embedded::testing::TestServer;

/// Different requests that are sent in turn.
const REQUESTS: usize = 32;
/// How long a sender waits that was told to come again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(600);

/// What to send, and how long ClickHouse stands still.
#[derive(Parser, Clone)]
struct Options {
    /// Spans that are acknowledged while ClickHouse stands still, in millions. Ten minutes at 100,000 spans/s
    /// are 60.
    #[arg(long, default_value_t = 60.0)]
    millions: f64,
    /// Spans in one request.
    #[arg(long, default_value_t = 4000)]
    spans_per_request: usize,
    /// Spans a second that keep coming while ClickHouse catches up.
    #[arg(long, default_value_t = 100_000)]
    rate: usize,
    /// Most bytes of the log.
    #[arg(long, default_value = "16GiB")]
    wal_bytes_max: String,
    /// What the engine runs on: auto, uring or epoll.
    #[arg(long, default_value = "auto")]
    reactor: String,
}

#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut clickhouse = runtime.block_on(migrated_clickhouse())?;
    let bytes_max = &options.wal_bytes_max;
    let settings = [
        "--shards",
        "1",
        "--reactor",
        &options.reactor,
        "--wal-bytes-max",
        bytes_max,
    ];
    let engine = Engine::start(&clickhouse, &settings)?;
    let bodies = corpus::requests(REQUESTS, options.spans_per_request, corpus::now());
    let requests: Vec<_> = bodies.iter().map(|body| frame(body, false)).collect();
    let requests = Arc::new(requests);
    let counts = Arc::new(Counts::default());

    signal(&mut clickhouse, "STOP")?;
    println!("ClickHouse stands still");
    let senders = runtime.block_on(start(&options, &requests, &counts, &engine, None))?;
    let enough = (options.millions * 1e6) as u64;
    let begun = Instant::now();
    let full = await_either(&counts, enough)?;
    counts.stop.store(true, Ordering::SeqCst);
    runtime.block_on(join(senders))?;
    let stalled = counts.acknowledged.load(Ordering::SeqCst);
    println!(
        "acknowledged {:.1} M spans in {:.0} s, {:.2} GB of log{}; {} requests told to retry; peak {} MiB",
        stalled as f64 / 1e6,
        begun.elapsed().as_secs_f64(),
        engine.metric("spanmill_log_bytes")? / 1e9,
        if full { ", which is full" } else { "" },
        counts.refused.load(Ordering::SeqCst),
        peak_memory(engine.pid())?
    );

    signal(&mut clickhouse, "CONT")?;
    println!("ClickHouse goes on, {} spans/s keep coming", options.rate);
    counts.stop.store(false, Ordering::SeqCst);
    let rate = Some(options.rate);
    let senders = runtime.block_on(start(&options, &requests, &counts, &engine, rate))?;
    let begun = Instant::now();
    let before = engine.metric("spanmill_inserted_rows_total")?;
    while engine.metric("spanmill_log_bytes")? > caught_up_bytes(&options) {
        ensure!(begun.elapsed() < PATIENCE, "it does not catch up");
        std::thread::sleep(Duration::from_millis(200));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let came = counts.acknowledged.load(Ordering::SeqCst) - stalled;
    let rows = engine.metric("spanmill_inserted_rows_total")? - before;
    println!(
        "caught up in {seconds:.0} s: {:.0} rows/s inserted while {:.0} spans/s came; peak {} MiB",
        rows / seconds,
        came as f64 / seconds,
        peak_memory(engine.pid())?
    );
    counts.stop.store(true, Ordering::SeqCst);
    runtime.block_on(join(senders))?;
    await_stored(&clickhouse, &counts)
}

/// The log is as good as empty when it holds what comes in two seconds.
fn caught_up_bytes(options: &Options) -> f64 {
    options.rate as f64 * 2.0 * 150.0
}

/// Waits until so many spans are acknowledged (false) or requests are refused because the log is full (true).
fn await_either(counts: &Counts, enough: u64) -> Result<bool> {
    let begun = Instant::now();
    while counts.acknowledged.load(Ordering::SeqCst) < enough {
        ensure!(begun.elapsed() < PATIENCE, "it takes no requests");
        if counts.refused.load(Ordering::SeqCst) > 100 {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(false)
}

type Senders = Vec<tokio::task::JoinHandle<Result<()>>>;

/// Starts senders: as fast as they are answered, or at `rate` spans a second together.
async fn start(
    options: &Options,
    requests: &Arc<Vec<Bytes>>,
    counts: &Arc<Counts>,
    engine: &Engine,
    rate: Option<usize>,
) -> Result<Senders> {
    let mut senders = Vec::new();
    for number in 0..4 {
        let client = connect(engine.address).await?;
        let (requests, counts) = (Arc::clone(requests), Arc::clone(counts));
        let spans = options.spans_per_request;
        let pause = rate.map(|rate| Duration::from_secs_f64(4.0 * spans as f64 / rate as f64));
        senders.push(tokio::spawn(async move {
            let mut next = tokio::time::Instant::now();
            for place in (number..).step_by(4) {
                if counts.stop.load(Ordering::SeqCst) {
                    break;
                }
                if let Some(pause) = pause {
                    tokio::time::sleep_until(next).await;
                    next += pause;
                }
                let body = requests[place % requests.len()].clone();
                let answer = try_export(client.clone(), TRACES, &body, false).await?;
                if answer.is_ok() {
                    counts
                        .acknowledged
                        .fetch_add(spans as u64, Ordering::SeqCst);
                } else {
                    counts.refused.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
            Ok(())
        }));
    }
    Ok(senders)
}

async fn join(senders: Senders) -> Result<()> {
    for sender in senders {
        sender.await??;
    }
    Ok(())
}

fn await_stored(clickhouse: &TestServer, counts: &Counts) -> Result<()> {
    let acknowledged = counts.acknowledged.load(Ordering::SeqCst);
    let begun = Instant::now();
    loop {
        let stored = clickhouse.query("SELECT count() FROM spanmill.otel_traces")?;
        let stored: u64 = stored.trim().parse()?;
        if stored == acknowledged {
            println!("{stored} spans were acknowledged, and as many are stored");
            return Ok(());
        }
        if stored > acknowledged || begun.elapsed() > PATIENCE {
            bail!("{acknowledged} spans were acknowledged, {stored} are stored");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn signal(clickhouse: &mut TestServer, name: &str) -> Result<()> {
    let pid = clickhouse.server().pid().to_string();
    let status = std::process::Command::new("kill")
        .args([&format!("-{name}"), &pid])
        .status();
    ensure!(
        status.context("kill")?.success(),
        "kill -{name} {pid} failed"
    );
    Ok(())
}
