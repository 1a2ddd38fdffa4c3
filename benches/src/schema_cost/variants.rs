//! What is compared: this project's tables as migrated, without each index and each view, with blocks sorted
//! before they are sent, and the exporter's tables.

use anyhow::Result;
use spanmill_schema::{Connection, SchemaSettings};

use super::Options;
use super::blocks::Block;
use super::clickhouse::ClickHouse;
use spanmill_benches::signal::Signal;

/// The exporter's tables without skip indexes.
pub(crate) const EXPORTER_TABLES: &str = include_str!("../../exporter/tables.sql");
const EXPORTER_TEXT: &str = include_str!("../../exporter/indexes_text.sql");
const EXPORTER_BLOOM: &str = include_str!("../../exporter/indexes_bloom.sql");
const EXPORTER_METRICS: &str = include_str!("../../exporter/indexes_metrics.sql");

/// Whose tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    Ours,
    Exporter,
}

impl Schema {
    pub(crate) fn is_ours(self) -> bool {
        self == Self::Ours
    }

    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::Ours => "spanmill",
            Self::Exporter => "exporter",
        }
    }
}

/// One way to store the rows.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    /// Blocks are sorted by the table's key before they are sent.
    pub(crate) sorted: bool,
    /// Also measured with merges beside the inserts.
    pub(crate) is_whole: bool,
    /// Statements after the tables are made.
    changes: String,
}

/// All of a signal, `ours` first. Makes the tables to see what they have.
pub(crate) async fn all(
    clickhouse: &ClickHouse,
    signal: Signal,
    options: &Options,
) -> Result<Vec<Variant>> {
    drop_all(clickhouse).await?;
    migrate(clickhouse).await?;
    let table = signal.table();
    let mut variants = vec![
        ours("ours", String::new(), true),
        Variant {
            sorted: true,
            ..ours("ours, sorted blocks", String::new(), true)
        },
    ];
    let mut bare = String::new();
    let indexes = format!(
        "SELECT name FROM system.data_skipping_indices WHERE database = 'spanmill' AND table = '{table}'"
    );
    for index in clickhouse.rows(&indexes).await? {
        let change = format!("ALTER TABLE spanmill.{table} DROP INDEX `{}`;\n", index[0]);
        bare.push_str(&change);
        variants.push(ours(
            &format!("ours without index {}", index[0]),
            change,
            false,
        ));
    }
    let views = format!(
        "SELECT arrayJoin(dependencies_table) FROM system.tables WHERE database = 'spanmill' AND name = '{table}'"
    );
    for view in clickhouse.rows(&views).await? {
        let change = format!("DROP VIEW spanmill.`{}` SYNC;\n", view[0]);
        bare.push_str(&change);
        variants.push(ours(
            &format!("ours without view {}", view[0]),
            change,
            false,
        ));
    }
    variants.push(ours("ours, no index, no view", bare, false));
    for path in &options.try_sql {
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        variants.push(ours(
            &format!("ours, {}", name.unwrap_or_default()),
            std::fs::read_to_string(path)?,
            true,
        ));
    }
    let (now, before) = match signal {
        Signal::Metrics => (EXPORTER_METRICS, None),
        Signal::Traces | Signal::Logs => (EXPORTER_TEXT, Some(EXPORTER_BLOOM)),
    };
    variants.push(exporter("exporter", now));
    variants.push(Variant {
        sorted: true,
        is_whole: false,
        ..exporter("exporter, sorted blocks", now)
    });
    variants.extend(before.map(|indexes| exporter("exporter, indexes before 26.2", indexes)));
    variants.push(Variant {
        is_whole: false,
        ..exporter("exporter, no index", "")
    });
    if let Some(only) = &options.only {
        variants.retain(|variant| variant.name.contains(only.as_str()));
    }
    Ok(variants)
}

fn ours(name: &str, changes: String, is_whole: bool) -> Variant {
    Variant {
        name: name.to_owned(),
        schema: Schema::Ours,
        sorted: false,
        is_whole,
        changes,
    }
}

fn exporter(name: &str, indexes: &str) -> Variant {
    Variant {
        name: name.to_owned(),
        schema: Schema::Exporter,
        sorted: false,
        is_whole: true,
        changes: indexes.to_owned(),
    }
}

impl Variant {
    /// Makes its tables anew, empty but for what is written once.
    pub(crate) async fn create(&self, clickhouse: &ClickHouse, once: &[Block]) -> Result<()> {
        drop_all(clickhouse).await?;
        match self.schema {
            Schema::Ours => migrate(clickhouse).await?,
            Schema::Exporter => clickhouse.script(EXPORTER_TABLES).await?,
        }
        clickhouse.script(&self.changes).await?;
        // They run by the clock; whoever measures lets them run when it is their turn.
        for view in refreshed_views(clickhouse).await? {
            clickhouse
                .query(&format!("SYSTEM STOP VIEW {view}"))
                .await?;
        }
        for block in once {
            clickhouse
                .insert(&block.into, None, block.native.clone())
                .await?;
        }
        Ok(())
    }
}

/// The views in `spanmill` that are computed anew from time to time, with their database.
pub(crate) async fn refreshed_views(clickhouse: &ClickHouse) -> Result<Vec<String>> {
    let sql = "SELECT concat('spanmill.`', view, '`') FROM system.view_refreshes \
               WHERE database = 'spanmill' ORDER BY view";
    let views = clickhouse.rows(sql).await?.into_iter().flatten();
    Ok(views.collect())
}

/// Leaves nothing of any variant.
async fn drop_all(clickhouse: &ClickHouse) -> Result<()> {
    for database in ["otel", "spanmill", "exporter"] {
        clickhouse
            .query(&format!("DROP DATABASE IF EXISTS {database} SYNC"))
            .await?;
    }
    Ok(())
}

/// Makes this project's tables.
pub(crate) async fn migrate(clickhouse: &ClickHouse) -> Result<()> {
    let connection = Connection {
        url: clickhouse.url.clone(),
        user: "default".into(),
        password: String::new(),
    };
    spanmill_schema::migrate(&connection, &SchemaSettings::default()).await?;
    Ok(())
}
