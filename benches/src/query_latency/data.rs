//! The data that is asked about: a folder goes in, a ClickHouse over spans of a day comes out, with hourly rollups
//! that reach back as far as questions do. It is made once; a folder that holds it is copied and never changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use spanmill_benches::engine::Engine;
use spanmill_embedded::Server;
use spanmill_embedded::testing::private_options;
use spanmill_loadgen::{Options as Load, Rate, Stop};
use spanmill_schema::{Connection, SchemaSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::options::Options;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Spans a second while the day is loaded: below what two cores bear.
const LOAD_RATE: f64 = 60_000.0;
/// Different requests, so that a value comes about once an hour and not every minute.
const DISTINCT: usize = 400;
const SPANS_PER_REQUEST: usize = 1000;
/// How long ClickHouse may take for a statement, and until all is stored and merged.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(200);
/// Says that the data is whole, and what it is.
const MARKER: &str = "query-latency.json";

/// Attributes that a span has which nothing else has: in the map, and in a column of its own.
pub(crate) const RARE_IN_MAP: &str = "bench.rare";
pub(crate) const RARE_IN_COLUMN: &str = "url.path";
/// Such spans in the last hour, and as many in the hours before.
const RARE: usize = 1000;

/// What was loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) millions: f64,
    pub(crate) seed: u64,
    /// When the day ends, in seconds since 1970.
    pub(crate) end: u64,
}

/// A ClickHouse over the data. The folder goes last, when nothing writes into it any more.
pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) made: Made,
    folder: TempDir,
}

impl Store {
    /// Makes the data where it is missing, and starts a ClickHouse over a copy of it.
    pub(crate) fn open(options: &Options, runtime: &Runtime) -> Result<Self> {
        let folder = match &options.data_dir {
            None => {
                let folder = tempfile::tempdir()?;
                make(folder.path(), options, runtime)?;
                folder
            }
            Some(kept) => {
                if !kept.join(MARKER).exists() {
                    let is_empty = !kept.exists() || fs::read_dir(kept)?.next().is_none();
                    let shown = kept.display();
                    ensure!(is_empty, "{shown} holds other data; name an empty folder");
                    make(kept, options, runtime)?;
                }
                copy(kept)?
            }
        };
        let marker = fs::read(folder.path().join(MARKER))?;
        let made: Made = serde_json::from_slice(&marker)?;
        ensure!(
            made.millions == options.millions,
            "the folder holds {} M spans, not {}; name another folder",
            made.millions,
            options.millions
        );
        let mut wanted = private_options(&folder.path().join("clickhouse"));
        wanted.query_log = true;
        let server = Server::start(&wanted)?;
        // Kept data may be older than the newest tables.
        migrate(&server, runtime)?;
        Ok(Store {
            server,
            made,
            folder,
        })
    }

    /// An engine that inserts into it.
    pub(crate) fn engine(&self) -> Result<Engine> {
        engine(&self.server, self.folder.path())
    }

    /// The lines of an answer.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        Ok(self.server.query(sql, PATIENCE)?)
    }

    /// The folder of the ClickHouse.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("clickhouse")
    }
}

fn engine(server: &Server, folder: &Path) -> Result<Engine> {
    let wal = folder.join("wal");
    Engine::start_over(server.native_addr(), &server.http_url(), &wal, &[])
}

fn migrate(server: &Server, runtime: &Runtime) -> Result<()> {
    let connection = Connection {
        url: server.http_url(),
        user: "default".into(),
        password: String::new(),
    };
    let settings = SchemaSettings::default();
    runtime.block_on(spanmill_schema::migrate(&connection, &settings))?;
    Ok(())
}

/// Beside the original, because that is where there is room for it.
fn copy(kept: &Path) -> Result<TempDir> {
    let kept = kept.canonicalize()?;
    let folder = tempfile::Builder::new()
        .prefix("query-latency-")
        .tempdir_in(kept.parent().context("a folder within another")?)?;
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(kept.join("."))
        .arg(folder.path())
        .status()?;
    ensure!(copied.success(), "{} could not be copied", kept.display());
    // Else it is written while the first questions are asked.
    nix::unistd::sync();
    Ok(folder)
}

fn make(folder: &Path, options: &Options, runtime: &Runtime) -> Result<()> {
    fs::create_dir_all(folder)?;
    let server = Server::start(&private_options(&folder.join("clickhouse")))?;
    migrate(&server, runtime)?;
    let engine = engine(&server, folder)?;
    let duration = Duration::from_secs_f64(options.millions * 1e6 / LOAD_RATE);
    println!(
        "loading {} M spans of a day, {duration:.0?}",
        options.millions
    );
    let load = Load {
        endpoint: Some(engine.address.to_string()),
        rate: Rate::Items(LOAD_RATE),
        duration,
        spread: DAY,
        distinct: DISTINCT,
        items_per_request: SPANS_PER_REQUEST,
        seed: options.seed,
        retry: true,
        ..Load::default()
    };
    let report = spanmill_loadgen::run(&load, &Stop::default(), |_| {})?;
    ensure!(report.is_success(), "{}", report.summary());
    let stored = "SELECT count() FROM spanmill.otel_traces";
    let acknowledged = report.total.acknowledged.to_string();
    until(&server, stored, &acknowledged)?;
    let end = (report.started_unix_nanos / 1_000_000_000) + duration.as_secs();
    println!("copying a day's rollups to the days before");
    for statement in fill(end) {
        server.query(&statement, PATIENCE)?;
    }
    until(&server, "SELECT count() FROM system.merges", "0")?;
    drop(engine);
    // All of it is stored; each later run would insert it again, in vain.
    fs::remove_dir_all(folder.join("wal"))?;
    server.stop()?;
    let made = Made {
        millions: options.millions,
        seed: options.seed,
        end,
    };
    fs::write(folder.join(MARKER), serde_json::to_vec(&made)?)?;
    Ok(())
}

fn until(server: &Server, sql: &str, wanted: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answer = server.query(sql, PATIENCE)?;
        if answer.trim() == wanted {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{sql} still gives {} and not {wanted}", answer.trim());
        }
        std::thread::sleep(LOOK);
    }
}

/// Spans whose attributes nothing else has, a trace of its own each; statistics of 30 days, and edges of 7.
fn fill(end: u64) -> Vec<String> {
    let mut statements: Vec<_> = [(3600, 0), (86_000, 3600)]
        .into_iter()
        .enumerate()
        .map(|(part, (from, to))| rare(part * RARE, end - from, end - to))
        .collect();
    let stats = "spanmill.otel_span_stats_1h";
    statements.push(format!("OPTIMIZE TABLE {stats} FINAL"));
    statements.push(format!(
        "INSERT INTO {stats} SELECT day.* REPLACE (Hour - toIntervalDay(earlier.number + 1) AS Hour) FROM
         (SELECT * FROM {stats} WHERE Hour > toDateTime({end}) - toIntervalDay(1)) AS day
         CROSS JOIN (SELECT number FROM numbers(29)) AS earlier"
    ));
    // Computed later than any mark, so that the hours are not computed anew while something is measured.
    statements.push(format!(
        "INSERT INTO spanmill.otel_service_dependencies_hours
         SELECT toStartOfHour(toDateTime({end})) - toIntervalHour(earlier.number + 1),
             now() + toIntervalMinute(15), edges.1, edges.2, edges.3, edges.4
         FROM
         (
             SELECT (groupArray(Caller), groupArray(Callee), groupArray(Count), groupArray(Errors)) AS edges
             FROM
             (
                 SELECT p.ServiceName AS Caller, c.ServiceName AS Callee, count() AS Count,
                     countIf(c.StatusCode = 2) AS Errors
                 FROM spanmill.otel_traces AS c
                 INNER JOIN spanmill.otel_traces AS p ON c.TraceId = p.TraceId AND c.ParentSpanId = p.SpanId
                 WHERE c.ServiceName != p.ServiceName
                     AND c.Timestamp >= toDateTime({end}) - 7200 AND c.Timestamp < toDateTime({end}) - 3600
                     AND p.Timestamp >= toDateTime({end}) - 7200 AND p.Timestamp < toDateTime({end}) - 3600
                 GROUP BY Caller, Callee
             )
         ) AS hour
         CROSS JOIN (SELECT number FROM numbers(170)) AS earlier"
    ));
    statements
}

/// Copies spans of a stretch of time (seconds since 1970), and gives each copy a trace and values of its own.
fn rare(first: usize, from: u64, to: u64) -> String {
    format!(
        "INSERT INTO spanmill.otel_traces SELECT * EXCEPT number REPLACE
         (
             toFixedString(unhex(replaceAll(toString(generateUUIDv4(number)), '-', '')), 16) AS TraceId,
             toFixedString('', 8) AS ParentSpanId,
             concat('/rare/', toString(number)) AS UrlPath,
             map('{RARE_IN_MAP}', concat('rare-', toString(number))) AS SpanAttributes,
             [0] AS SpanAttributeTypes
         )
         FROM
         (
             SELECT *, {first} + rowNumberInAllBlocks() AS number
             FROM
             (
                 SELECT * FROM spanmill.otel_traces
                 WHERE Timestamp >= toDateTime({from}) AND Timestamp < toDateTime({to})
                 ORDER BY cityHash64(SpanId) LIMIT {RARE}
             )
         )"
    )
}
