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

impl Blocks {
    /// Adds what is staged, to be measured.
    pub(crate) async fn add(
        &mut self,
        clickhouse: &ClickHouse,
        staged: &Staged,
        size: u64,
        sorting_key: Option<&str>,
    ) -> Result<()> {
        let blocks = staged.cut(clickhouse, size, sorting_key).await?;
        self.measured.extend(blocks);
        self.rows += staged.rows;
        Ok(())
    }
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

/// Rows of a table or view, numbered in the order in which they are read, and in the form in which another
/// table takes them. Views are computed once for it, however often it is cut.
#[derive(Debug)]
pub(crate) struct Staged {
    name: String,
    into: String,
    columns: String,
    pub(crate) rows: u64,
}

/// Stages all rows of `from` for `table`, whose columns these are.
pub(crate) async fn stage(
    clickhouse: &ClickHouse,
    from: &str,
    table: &str,
    columns: &[Column],
) -> Result<Staged> {
    let list = |form: &dyn Fn(&Column) -> String| -> String {
        let all: Vec<String> = columns.iter().map(form).collect();
        all.join(", ")
    };
    let names = list(&|column| format!("`{}`", column.name));
    let described = list(&|column| format!("`{}` {}", column.name, column.kind));
    let casts = list(&|column| {
        let kind = column.kind.replace('\'', "\\'");
        format!("CAST(`{0}`, '{kind}') AS `{0}`", column.name)
    });
    let name = format!("staged.`{table}`");
    clickhouse
        .query("CREATE DATABASE IF NOT EXISTS staged")
        .await?;
    let create =
        format!("CREATE TABLE {name} (row UInt64, {described}) ENGINE = MergeTree ORDER BY row");
    clickhouse.query(&create).await?;
    let fill = format!(
        "INSERT INTO {name} SELECT rowNumberInAllBlocks() AS row, {casts} FROM {from} \
         SETTINGS max_threads = 1, max_insert_threads = 1"
    );
    clickhouse.query(&fill).await?;
    let count = clickhouse
        .query(&format!("SELECT count() FROM {name}"))
        .await?;
    Ok(Staged {
        name,
        into: format!("{table} ({names})"),
        columns: names,
        rows: count.trim().parse()?,
    })
}

impl Staged {
    /// Cuts it into blocks of `size` rows, each sorted by `sorting_key` if there is one.
    pub(crate) async fn cut(
        &self,
        clickhouse: &ClickHouse,
        size: u64,
        sorting_key: Option<&str>,
    ) -> Result<Vec<Block>> {
        let (name, columns) = (&self.name, &self.columns);
        let key = sorting_key.unwrap_or("row");
        let mut blocks = Vec::new();
        for first in (0..self.rows).step_by(size as usize) {
            let end = first + size;
            let sql = format!(
                "SELECT {columns} FROM {name} WHERE row >= {first} AND row < {end} ORDER BY {key}"
            );
            blocks.push(Block {
                into: self.into.clone(),
                native: clickhouse.native(&sql, size).await?,
            });
        }
        Ok(blocks)
    }
}
