//! One run of one variant: the same inserts, then what the server's process used, and what is on disk.

use anyhow::{Context, Result, bail};

use super::blocks::Blocks;
use super::clickhouse::ClickHouse;
use super::variants::{Variant, refreshed_views};

/// Inserts and merges one after the other. CPU seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Apart {
    pub(crate) insert: f64,
    /// From the last insert until the server chooses no more merges.
    pub(crate) merge: f64,
    /// What OPTIMIZE FINAL then still did, and what lies on disk after it; of the first run only.
    pub(crate) optimized: Option<Optimized>,
}

/// After OPTIMIZE FINAL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Optimized {
    pub(crate) cpu: f64,
    /// Table, part of it, compressed bytes; parts are columns, or `all columns` of a small
    /// table, `skip indexes` and `primary key and marks`.
    pub(crate) bytes: Vec<(String, String, u64)>,
}

/// Inserts with merges beside them, until quiet. CPU seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sustained {
    pub(crate) total: f64,
    /// What the views that are computed from time to time then take for all these rows.
    pub(crate) refresh: f64,
}

impl Apart {
    /// For whoever watches: CPU seconds, not yet by rows.
    pub(crate) fn line(&self) -> String {
        let bytes: u64 = self
            .optimized
            .iter()
            .flat_map(|done| &done.bytes)
            .map(|part| part.2)
            .sum();
        format!(
            "insert {:.2}, merge {:.2}, {bytes} bytes",
            self.insert, self.merge
        )
    }
}

impl Sustained {
    /// As above.
    pub(crate) fn line(self) -> String {
        format!(
            "; sustained {:.2}, refreshes {:.2}",
            self.total, self.refresh
        )
    }
}

/// Inserts while merges stand still, then lets them run.
pub(crate) async fn apart(
    clickhouse: &ClickHouse,
    variant: &Variant,
    blocks: &Blocks,
    optimizes: bool,
) -> Result<Apart> {
    clickhouse.query("SYSTEM STOP MERGES").await?;
    let before = clickhouse.cpu()?;
    insert(clickhouse, variant, blocks).await?;
    let inserted = clickhouse.cpu()?;
    clickhouse.query("SYSTEM START MERGES").await?;
    let merged = clickhouse.quiet().await?;
    check(clickhouse, variant, blocks).await?;
    let optimized = if optimizes {
        refresh(clickhouse).await?;
        Some(optimize(clickhouse, variant).await?)
    } else {
        None
    };
    Ok(Apart {
        insert: inserted - before,
        merge: merged - inserted,
        optimized,
    })
}

/// Inserts as fast as they are taken, merges beside them.
pub(crate) async fn sustained(
    clickhouse: &ClickHouse,
    variant: &Variant,
    blocks: &Blocks,
) -> Result<Sustained> {
    let before = clickhouse.cpu()?;
    insert(clickhouse, variant, blocks).await?;
    let quiet = clickhouse.quiet().await?;
    check(clickhouse, variant, blocks).await?;
    let checked = clickhouse.cpu()?;
    refresh(clickhouse).await?;
    Ok(Sustained {
        total: quiet - before,
        refresh: clickhouse.quiet().await? - checked,
    })
}

/// Lets the refreshed views run as if the inserts lay a while back.
async fn refresh(clickhouse: &ClickHouse) -> Result<()> {
    let marks = "SELECT count() FROM system.tables \
                 WHERE database = 'spanmill' AND name = 'otel_service_dependencies_touched'";
    if clickhouse.query(marks).await?.trim() != "0" {
        let age = "ALTER TABLE spanmill.otel_service_dependencies_touched \
                   UPDATE Marked = Marked - 3600 WHERE true SETTINGS mutations_sync = 2";
        clickhouse.query(age).await?;
    }
    // Those of an hour read what those of five minutes wrote, so all run twice.
    for _ in 0..2 {
        for view in refreshed_views(clickhouse).await? {
            clickhouse
                .query(&format!("SYSTEM START VIEW {view}"))
                .await?;
            clickhouse
                .query(&format!("SYSTEM REFRESH VIEW {view}"))
                .await?;
            clickhouse
                .query(&format!("SYSTEM WAIT VIEW {view}"))
                .await?;
        }
    }
    Ok(())
}

pub(crate) async fn insert(
    clickhouse: &ClickHouse,
    variant: &Variant,
    blocks: &Blocks,
) -> Result<()> {
    for (index, block) in blocks.measured.iter().enumerate() {
        let token = format!("block-{index}");
        // The exporter sends none.
        let token = variant.schema.is_ours().then_some(token.as_str());
        clickhouse
            .insert(&block.into, token, block.native.clone())
            .await?;
    }
    Ok(())
}

/// Nothing is measured that did not happen: all rows are there.
pub(crate) async fn check(
    clickhouse: &ClickHouse,
    variant: &Variant,
    blocks: &Blocks,
) -> Result<()> {
    let mut tables: Vec<&str> = blocks
        .measured
        .iter()
        .filter_map(|block| block.into.split(' ').next())
        .collect();
    tables.dedup();
    let mut rows = 0;
    for table in tables {
        let count = clickhouse
            .query(&format!("SELECT count() FROM {table}"))
            .await?;
        rows += count.trim().parse::<u64>()?;
    }
    if rows != blocks.rows {
        bail!(
            "{}: {} rows were inserted, {rows} are there",
            variant.name,
            blocks.rows
        );
    }
    Ok(())
}

async fn optimize(clickhouse: &ClickHouse, variant: &Variant) -> Result<Optimized> {
    let database = variant.schema.database();
    let before = clickhouse.cpu()?;
    let tables = format!(
        "SELECT name FROM system.tables WHERE database = '{database}' AND engine LIKE '%MergeTree'"
    );
    for table in clickhouse.rows(&tables).await? {
        clickhouse
            .query(&format!("OPTIMIZE TABLE {database}.`{}` FINAL", table[0]))
            .await?;
    }
    let cpu = clickhouse.quiet().await? - before;
    // A small table lies in parts that do not count their columns one by one.
    let parts =
        format!("FROM system.parts WHERE database = '{database}' AND active GROUP BY table");
    let columns = format!(
        "FROM system.parts_columns WHERE database = '{database}' AND active AND part_type = 'Wide' \
         GROUP BY table, column"
    );
    let sql = format!(
        "SELECT table, column, sum(column_data_compressed_bytes) {columns} \
         UNION ALL SELECT table, 'all columns', sumIf(data_compressed_bytes, part_type != 'Wide') {parts} \
         UNION ALL SELECT table, 'skip indexes', sum(secondary_indices_compressed_bytes) {parts} \
         UNION ALL SELECT table, 'primary key and marks', \
         sum(bytes_on_disk - data_compressed_bytes - secondary_indices_compressed_bytes) {parts} \
         FORMAT TSVRaw"
    );
    let mut bytes = Vec::new();
    for row in clickhouse.rows(&sql).await? {
        let [table, part, size] = <[String; 3]>::try_from(row).ok().context("three fields")?;
        bytes.push((table, part, size.parse()?));
    }
    Ok(Optimized { cpu, bytes })
}
