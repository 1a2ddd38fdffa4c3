//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// How long questions to the query server take over a day of spans, while more come in
#[derive(Debug, Clone, Parser)]
#[command(name = "query-latency", max_term_width = 100)]
pub(crate) struct Options {
    /// Spans that cover the last day, in millions
    #[arg(long, default_value_t = 10.0)]
    pub(crate) millions: f64,
    /// Keep the data in this folder, which a run makes if it holds none and works on a copy of otherwise; `spanmill
    /// up --data-dir` takes it too [default: a temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Spans a second that come in meanwhile; 0 for none
    #[arg(long, default_value = "20000", value_parser = rate)]
    pub(crate) beside_rate: f64,
    /// Questions of each kind
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) asks: u32,
    /// The same with dropped caches
    #[arg(long, default_value_t = 30)]
    pub(crate) cold_asks: u32,
    /// Clients of the run with several at once; 0 leaves it out
    #[arg(long, default_value_t = 4)]
    pub(crate) clients: usize,
    /// Clients beside that send their requests a byte a second
    #[arg(long, default_value_t = 0)]
    pub(crate) slow_clients: usize,
    /// A kind is given up after so long, with as many questions as were answered by then
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) kind_time: Duration,
    /// Only kinds whose name holds one of these
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Decides what is stored and what is asked about
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write everything to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite());
    rate.filter(|rate| *rate >= 0.0)
        .ok_or_else(|| format!("{text:?} is no rate"))
}
