//! Rows as the streams that are inserted again and again: one for each INSERT.

use anyhow::{Context, Result};
use bytes::Bytes;

use super::clickhouse::ClickHouse;

/// What is inserted into the tables of one layout.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Measured.
    pub(crate) measured: Vec<Block>,
    /// Inserted when the tables are made, before anything is measured: what the engine writes once.
    pub(crate) once: Vec<Block>,
    pub(crate) rows: u64,
}

/// One INSERT.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// `table (columns)`.
    pub(crate) into: String,
    pub(crate) native: Bytes,
}

/// A column of the table that blocks are for.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    name: String,
    kind: String,
}

/// The columns of a table that an INSERT must give.
pub(crate) async fn columns(clickhouse: &ClickHouse, table: &str) -> Result<Vec<Column>> {
    let (database, name) = table.split_once('.').context("a table with its database")?;
    let sql = format!(
        "SELECT name, type FROM system.columns WHERE database = '{database}' AND table = '{name}' \
         AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position FORMAT TSVRaw"
    );
    let mut columns = Vec::new();
    for row in clickhouse.rows(&sql).await? {
        let [name, kind] = <[String; 2]>::try_from(row).ok().context("two fields")?;
        columns.push(Column { name, kind });
    }
    Ok(columns)
}

/// Cuts all rows of `from` into blocks of `size` rows for `table`, in the order in which they are stored,
/// each sorted by `sorting_key` if there is one.
pub(crate) async fn cut(
    clickhouse: &ClickHouse,
    from: &str,
    table: &str,
    columns: &[Column],
    size: u64,
    sorting_key: Option<&str>,
) -> Result<(Vec<Block>, u64)> {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!("`{}`", column.name))
        .collect();
    let cast = |column: &Column| {
        format!(
            "CAST(`{0}`, '{1}') AS `{0}`",
            column.name,
            column.kind.replace('\'', "\\'")
        )
    };
    let casts: Vec<String> = columns.iter().map(cast).collect();
    let into = format!("{table} ({})", names.join(", "));
    let count: u64 = clickhouse
        .query(&format!("SELECT count() FROM {from}"))
        .await?
        .trim()
        .parse()?;
    let mut blocks = Vec::new();
    for offset in (0..count).step_by(size as usize) {
        let slice = format!(
            "SELECT {} FROM {from} LIMIT {size} OFFSET {offset}",
            casts.join(", ")
        );
        let sql = match sorting_key {
            Some(key) => format!("SELECT * FROM ({slice}) ORDER BY {key}"),
            None => slice,
        };
        blocks.push(Block {
            into: into.clone(),
            native: clickhouse.native(&sql, size).await?,
        });
    }
    Ok((blocks, count))
}
