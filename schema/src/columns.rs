//! The columns of promoted attributes: which ones ClickHouse has, which ones configuration wants, and
//! the SQL that adds and reads them. A column that is there is never changed or dropped.

use crate::literal::literal;
use crate::server::Server;
use crate::{MigrateError, Promoted, PromotedKind, ServerError, TableId, Tables};
use std::fmt::Write as _;

/// A promoted column's comment: this and the attribute's key.
const COMMENT: &str = "attribute ";

/// The tables that can have promoted columns.
const WITH_PROMOTED: [TableId; 2] = [TableId::Traces, TableId::Logs];

/// All columns of those tables, in their order.
const READ_COLUMNS: &str = "SELECT table, name, type, comment FROM system.columns \
                            WHERE database = 'spanmill' AND table IN ('otel_traces', 'otel_logs') \
                            ORDER BY table, position";

/// What ClickHouse has.
#[derive(Debug, Default)]
pub(crate) struct Existing(Vec<Found>);

#[derive(Debug)]
struct Found {
    table: String,
    column: String,
    kind: String,
    /// The attribute's key, if the comment names one.
    key: Option<String>,
}

impl Existing {
    pub(crate) async fn read(server: &Server<'_>) -> Result<Self, ServerError> {
        let rows: Vec<(String, String, String, String)> = server.fetch(READ_COLUMNS).await?;
        let found = rows
            .into_iter()
            .map(|(table, column, kind, comment)| Found {
                key: comment.strip_prefix(COMMENT).map(str::to_owned),
                table,
                column,
                kind,
            });
        Ok(Self(found.collect()))
    }

    fn of(&self, table: TableId) -> impl Iterator<Item = &Found> {
        self.0
            .iter()
            .filter(move |found| found.table == table.name())
    }

    /// Refuses a configuration that would fill a column that holds something else.
    pub(crate) fn refuse_conflicts(&self, tables: &Tables) -> Result<(), MigrateError> {
        for table in WITH_PROMOTED {
            for promoted in promoted(tables, table) {
                let Some(found) = self.of(table).find(|f| f.column == promoted.column) else {
                    continue;
                };
                let key = found.key.as_deref();
                if key != Some(&promoted.key) || found.kind != promoted.kind.column_type() {
                    return Err(MigrateError::ColumnTaken {
                        table: table.name(),
                        wanted: Box::new(promoted.clone()),
                        found: key.map_or_else(
                            || "no attribute".to_owned(),
                            |key| format!("the attribute {key}"),
                        ),
                        found_type: found.kind.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Promoted columns that a block of `tables` would have and ClickHouse has not, or not in that
    /// type, as `table.column`.
    pub(crate) fn missing(&self, tables: &Tables) -> Vec<String> {
        let mut missing = Vec::new();
        // Whether the tables themselves are there is the ledger's to tell.
        for table in WITH_PROMOTED
            .into_iter()
            .filter(|table| self.of(*table).next().is_some())
        {
            for promoted in promoted(tables, table) {
                let there = self.of(table).any(|found| {
                    found.column == promoted.column && found.kind == promoted.kind.column_type()
                });
                if !there {
                    missing.push(format!("{}.{}", table.name(), promoted.column));
                }
            }
        }
        missing
    }

    /// An expression of type Map(LowCardinality(String), String): the attributes that a row of the
    /// table `from` has in columns, those of `tables` first, then those that were promoted once.
    /// Columns are named with their table, because a view may have others of these names.
    pub(crate) fn map(&self, tables: &Tables, table: TableId, from: &str) -> String {
        let configured = promoted(tables, table);
        let mut pairs: Vec<_> = configured
            .iter()
            .map(|p| pair(&p.key, from, &p.column, p.kind.column_type()))
            .collect();
        for found in self.of(table) {
            if let Some(key) = &found.key
                && configured.iter().all(|p| p.column != found.column)
            {
                pairs.push(pair(key, from, &found.column, &found.kind));
            }
        }
        format!(
            "CAST(mapFilter((k, v) -> v != '', map({})), 'Map(LowCardinality(String), String)')",
            pairs.join(", ")
        )
    }
}

/// Key and value for `map`; what stands for "not here" becomes the empty text.
fn pair(key: &str, from: &str, column: &str, column_type: &str) -> String {
    let column = format!("{from}.`{column}`");
    let is_number = ["UInt", "Int"]
        .iter()
        .any(|kind| column_type.starts_with(kind));
    let value = match is_number {
        true => format!("if({column} = 0, '', toString({column}))"),
        false => format!("CAST({column}, 'String')"),
    };
    format!("{}, {value}", literal(key))
}

/// The attributes that `tables` promotes in one of them.
pub(crate) fn promoted(tables: &Tables, table: TableId) -> &[Promoted] {
    match table {
        TableId::Traces => &tables.promoted_spans,
        TableId::Logs => &tables.promoted_logs,
        TableId::Resources | TableId::MetricSeries | TableId::Metrics => &[],
    }
}

/// For an ALTER TABLE: one addition for each promoted attribute, each behind the column that it
/// follows in a block.
pub(crate) fn additions(tables: &Tables, table: TableId) -> String {
    let columns = &tables.table(table).columns;
    let mut sql = String::new();
    for promoted in promoted(tables, table) {
        let before = columns
            .iter()
            .zip(columns.iter().skip(1))
            .find(|(_, column)| column.name == promoted.column)
            .map(|(before, _)| before);
        let separator = if sql.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(
            sql,
            "{separator}ADD COLUMN IF NOT EXISTS `{}` {} COMMENT {} CODEC({})",
            promoted.column,
            promoted.kind.column_type(),
            literal(&format!("{COMMENT}{}", promoted.key)),
            codec(promoted.kind),
        );
        if let Some(before) = before {
            let _ = write!(sql, " AFTER `{}`", before.name);
        }
    }
    sql
}

fn codec(kind: PromotedKind) -> &'static str {
    match kind {
        PromotedKind::Keyword | PromotedKind::Text => "ZSTD(1)",
        PromotedKind::U16 | PromotedKind::I64 => "T64, ZSTD(1)",
    }
}
