//! Fills ClickHouse's tables with the same generated telemetry in this project's layout and in the Collector
//! exporter's, and prints what the server's process used for a million rows, and how many bytes a row takes.

mod blocks;
mod clickhouse;
mod fill;
mod measure;
mod report;
mod variants;

use anyhow::{Result, bail};
use clap::Parser;
use spanmill_embedded::testing::start_private;

use clickhouse::ClickHouse;
use measure::{Apart, Sustained};
use spanmill_benches::signal::Signal;

/// What to measure.
#[derive(Parser, Clone)]
struct Options {
    /// Rows of each signal, in millions.
    #[arg(long, default_value_t = 2.0)]
    millions: f64,
    /// Rows in one INSERT.
    #[arg(long, default_value_t = 100_000)]
    block: u64,
    /// Runs of each variant, one of each in turn.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Signals to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Signal::Traces, Signal::Logs, Signal::Metrics])]
    signals: Vec<Signal>,
    /// Only variants whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// A file of statements that change this project's tables, as a variant of its own.
    #[arg(long)]
    try_sql: Vec<std::path::PathBuf>,
    /// What the corpus is made from.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Spans that begin in a second; it decides how many seconds and partitions the rows cover.
    #[arg(long, default_value_t = 100_000)]
    spans_per_second: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.signals.is_empty() || options.runs == 0 || options.block == 0 {
        bail!("there is nothing to measure: signals, runs and block must not be empty or 0");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    for signal in &options.signals {
        measure_signal(options, *signal).await?;
    }
    Ok(())
}

async fn measure_signal(options: &Options, signal: Signal) -> Result<()> {
    let server = start_private();
    let filled = fill::fill(options, &server, signal).await?;
    drop(server);
    // What is measured starts with a fresh server: no memory, no background work left of the filling.
    let mut server = start_private();
    let clickhouse = ClickHouse::new(server.http_url(), server.server().pid());
    let variants = variants::all(&clickhouse, signal, options).await?;
    eprintln!(
        "{}: {} variants, {} runs",
        signal.noun(),
        variants.len(),
        options.runs
    );

    let mut apart: Vec<Vec<Apart>> = variants.iter().map(|_| Vec::new()).collect();
    let mut sustained: Vec<Vec<Sustained>> = variants.iter().map(|_| Vec::new()).collect();
    for run in 0..options.runs {
        for (index, variant) in variants.iter().enumerate() {
            let blocks = filled.blocks_of(variant);
            variant.create(&clickhouse, &blocks.once).await?;
            let is_first = run == 0;
            let run_apart = measure::apart(&clickhouse, variant, blocks, is_first).await?;
            let mut line = format!("run {}: {}: {}", run + 1, variant.name, run_apart.line());
            apart[index].push(run_apart);
            if variant.is_whole {
                variant.create(&clickhouse, &blocks.once).await?;
                let run_sustained = measure::sustained(&clickhouse, variant, blocks).await?;
                line.push_str(&run_sustained.line());
                sustained[index].push(run_sustained);
            }
            eprintln!("{line}");
        }
    }
    report::print(signal, options, &filled, &variants, &apart, &sustained);
    Ok(())
}
