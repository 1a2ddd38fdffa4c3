//! Loads spans that cover a day into an embedded ClickHouse, starts the query server over it, and while more spans
//! come in asks it each kind of question many times, warm and with dropped caches: prints latencies, what ClickHouse
//! read for them, and a verdict for each target.

mod asking;
mod caches;
mod data;
mod expect;
mod kinds;
mod measure;
mod options;
mod reads;
mod report;
mod slow;
mod subjects;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use spanmill_benches::engine::Engine;
use spanmill_benches::queries::QueryServer;
use spanmill_loadgen::{Options as Load, Rate, Stop};

use asking::Client;
use data::Store;
use measure::Bench;
use options::Options;
use report::Report;
use subjects::Subjects;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let store = Store::open(&options, &runtime)?;
    let subjects = Subjects::find(&store, measure::wanted(&options))?;
    let engine = store.engine()?;
    let server = QueryServer::start(&store.server.http_url())?;
    println!("asking http://{}", server.address);

    // Both ends of their connections need room.
    spanmill_engine::raise_open_files()?;
    slow::start(&runtime, options.slow_clients, server.address);
    let stop = Stop::default();
    let beside = beside(&options, &engine);
    let load = (options.beside_rate > 0.0).then(|| {
        let stop = stop.clone();
        std::thread::spawn(move || spanmill_loadgen::run(&beside, &stop, |_| {}))
    });
    let bench = Bench {
        options: &options,
        store: &store,
        subjects: &subjects,
        client: Arc::new(Client::new(server.address)?),
        runtime: &runtime,
    };
    let measured = bench.run();
    stop.stop();
    let load = load.map(|load| load.join());
    let load = match load {
        Some(ended) => Some(ended.map_err(|_| anyhow::anyhow!("the load ended with a panic"))??),
        None => None,
    };
    let report = Report::new(&options, &store, measured?, load.as_ref())?;
    print!("{}", report.text());
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| file.display().to_string())?;
    }
    Ok(match report.is_met() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What comes in while questions are asked, until it is stopped.
fn beside(options: &Options, engine: &Engine) -> Load {
    Load {
        endpoint: Some(engine.address.to_string()),
        rate: Rate::Items(options.beside_rate),
        duration: data::DAY,
        seed: options.seed,
        retry: true,
        ..Load::default()
    }
}
