//! The corpus, sent through an engine once and kept as blocks in both layouts.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use bytes::Bytes;
use prost::Message;
use spanmill_benches::engine::Engine;
use spanmill_benches::export::{LOGS, METRICS, TRACES, export, frame};
use spanmill_embedded::testing::TestServer;
use spanmill_loadgen::corpus::{Corpus, Pace};

use super::Options;
use super::blocks::{Blocks, columns, stage};
use super::clickhouse::ClickHouse;
use super::variants::{EXPORTER_TABLES, Variant, migrate};
use spanmill_benches::signal::Signal;

const NANOS_AN_HOUR: u64 = 3_600_000_000_000;
/// Rows a request: enough for the engine to close its batch at once.
const REQUEST: usize = 20_000;

/// The same rows in both layouts, as they arrived and sorted.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    pub(crate) ours: Blocks,
    pub(crate) ours_sorted: Blocks,
    pub(crate) theirs: Blocks,
    pub(crate) theirs_sorted: Blocks,
}

impl Filled {
    /// What a variant's tables are filled with.
    pub(crate) fn blocks_of(&self, variant: &Variant) -> &Blocks {
        match (variant.schema.is_ours(), variant.sorted) {
            (true, false) => &self.ours,
            (true, true) => &self.ours_sorted,
            (false, false) => &self.theirs,
            (false, true) => &self.theirs_sorted,
        }
    }
}

/// Sends the corpus through an engine into tables that keep the order of arrival, and reads it back.
pub(crate) async fn fill(options: &Options, server: &TestServer, signal: Signal) -> Result<Filled> {
    let clickhouse = ClickHouse::new(server.http_url(), 0);
    migrate(&clickhouse).await?;
    let table = format!("spanmill.{}", signal.table());
    let ours = columns(&clickhouse, &table).await?;
    if ours.is_empty() {
        bail!("the migrations make no table {table}");
    }
    let key = sorting_key(&clickhouse, &table).await?;
    keep_order(&clickhouse, signal).await?;
    send(options, server, signal).await?;

    let mut filled = Filled::default();
    let staged = stage(&clickhouse, &table, &table, &ours).await?;
    filled
        .ours
        .add(&clickhouse, &staged, options.block, None)
        .await?;
    filled
        .ours_sorted
        .add(&clickhouse, &staged, options.block, Some(&key))
        .await?;
    for name in signal.seldom_written() {
        let table = format!("spanmill.{name}");
        let all = columns(&clickhouse, &table).await?;
        let staged = stage(&clickhouse, &table, &table, &all).await?;
        let blocks = staged.cut(&clickhouse, staged.rows.max(1), None).await?;
        filled.ours.once.extend(blocks.iter().cloned());
        filled.ours_sorted.once.extend(blocks);
    }
    clickhouse.script(EXPORTER_TABLES).await?;
    for name in signal.exporter_tables() {
        let (from, table) = (format!("otel.{name}"), format!("exporter.{name}"));
        let all = columns(&clickhouse, &table).await?;
        let key = sorting_key(&clickhouse, &table).await?;
        let staged = stage(&clickhouse, &from, &table, &all).await?;
        filled
            .theirs
            .add(&clickhouse, &staged, options.block, None)
            .await?;
        filled
            .theirs_sorted
            .add(&clickhouse, &staged, options.block, Some(&key))
            .await?;
    }
    if filled.ours.rows != filled.theirs.rows {
        bail!(
            "{} {}s are stored, the exporter's views show {}",
            filled.ours.rows,
            signal.noun(),
            filled.theirs.rows
        );
    }
    Ok(filled)
}

async fn sorting_key(clickhouse: &ClickHouse, table: &str) -> Result<String> {
    let sql = format!(
        "SELECT sorting_key FROM system.tables WHERE database || '.' || name = '{table}' FORMAT TSVRaw"
    );
    Ok(clickhouse.query(&sql).await?.trim().to_owned())
}

/// Puts a table of the same columns that keeps rows as they come in the place of the sorted one.
async fn keep_order(clickhouse: &ClickHouse, signal: Signal) -> Result<()> {
    let views = "SELECT name FROM system.tables WHERE database = 'spanmill' AND engine = 'MaterializedView'";
    for view in clickhouse.rows(views).await? {
        clickhouse
            .query(&format!("DROP VIEW spanmill.`{}` SYNC", view[0]))
            .await?;
    }
    let table = signal.table();
    let described = format!(
        "SELECT arrayStringConcat(groupArray(concat('`', name, '` ', type)), ', ') FROM \
         (SELECT name, type FROM system.columns WHERE database = 'spanmill' AND table = '{table}' ORDER BY position) FORMAT TSVRaw"
    );
    let columns = clickhouse.query(&described).await?;
    clickhouse
        .query(&format!("DROP TABLE spanmill.{table} SYNC"))
        .await?;
    clickhouse
        .query(&format!(
            "CREATE TABLE spanmill.{table} ({columns}) ENGINE = Log"
        ))
        .await?;
    Ok(())
}

/// Sends request after request on one connection, so that rows are stored in the corpus's order.
async fn send(options: &Options, server: &TestServer, signal: Signal) -> Result<()> {
    let engine = Engine::start(server, &["--shards", "1", "--ack", "clickhouse"])?;
    let stream = tokio::net::TcpStream::connect(engine.address).await?;
    stream.set_nodelay(true)?;
    let builder = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .handshake(stream);
    let (client, connection) = builder.await?;
    let connection = tokio::spawn(connection);
    let corpus = Corpus::new(options.seed);
    let rows = (options.millions * 1e6) as usize;
    // Some hours ago: old enough to lie in the past whatever it covers, young enough not to expire.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let start = (now / NANOS_AN_HOUR - 6) * NANOS_AN_HOUR;
    let pace = Pace {
        start,
        spans_per_second: options.spans_per_second,
    };
    let (mut traces, mut logs, mut metrics) = (
        corpus.traces(pace),
        corpus.logs(pace),
        corpus.metrics(start, 1),
    );
    for sent in (0..rows).step_by(REQUEST) {
        let count = REQUEST.min(rows - sent);
        let (path, body) = match signal {
            Signal::Traces => (TRACES, traces.request(count).encode_to_vec()),
            Signal::Logs => (LOGS, logs.request(count).encode_to_vec()),
            Signal::Metrics => (METRICS, metrics.request(count).encode_to_vec()),
        };
        let body: Bytes = frame(&body, false);
        export(client.clone(), path, &body, false).await?;
    }
    connection.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use spanmill_embedded::testing::start_private;

    use super::super::measure;
    use super::super::variants::all;
    use super::*;

    /// Scenario: a few thousand rows of each signal, stored, read back in both layouts, and inserted into every
    /// variant of the tables.
    /// Guarantees: the exporter's tables can be made and take what the views in `otel` show, both layouts have
    /// as many rows as were sent, and dropping any index or view leaves tables that take them.
    #[tokio::test]
    async fn every_variant_takes_the_rows() {
        for (name, signal) in [
            ("traces", Signal::Traces),
            ("logs", Signal::Logs),
            ("metrics", Signal::Metrics),
        ] {
            let flags = ["schema-cost", "--millions", "0.003", "--block", "1000"];
            let options = Options::parse_from(flags);
            let mut server = start_private();
            let filled = fill(&options, &server, signal).await.unwrap();
            assert!(filled.ours.rows >= 3000, "{name}: {}", filled.ours.rows);
            assert_eq!(filled.ours.rows, filled.ours_sorted.rows);
            assert_eq!(filled.theirs.rows, filled.theirs_sorted.rows);
            assert_eq!(
                filled.ours.measured.len() as u64,
                filled.ours.rows.div_ceil(1000)
            );

            let clickhouse = ClickHouse::new(server.http_url(), server.server().pid());
            let variants = all(&clickhouse, signal, &options).await.unwrap();
            assert!(variants.iter().any(|variant| !variant.schema.is_ours()));
            for variant in variants {
                takes(&clickhouse, &variant, &filled).await;
            }
        }
    }

    async fn takes(clickhouse: &ClickHouse, variant: &Variant, filled: &Filled) {
        let blocks = filled.blocks_of(variant);
        variant.create(clickhouse, &blocks.once).await.unwrap();
        measure::insert(clickhouse, variant, blocks).await.unwrap();
        let checked = measure::check(clickhouse, variant, blocks).await;
        checked.unwrap_or_else(|error| panic!("{}: {error}", variant.name));
    }
}
