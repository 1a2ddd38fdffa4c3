//! Which attributes of spans have columns of their own, as the database says: those that are configured
//! now, and those that once were. Asked for again after a while, so that new ones are found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clickhouse::Row;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::clickhouse::{ClickHouse, Identifier, Statement};
use crate::error::Error;

/// How long an answer holds.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// An attribute that has a column.
#[derive(Debug)]
pub(crate) struct PromotedColumn {
    pub key: String,
    pub column: Identifier,
    /// The column holds an integer, else a text.
    pub is_integer: bool,
}

/// What is known of them.
#[derive(Clone, Default)]
pub(crate) struct Promoted(Arc<Mutex<Option<Known>>>);

type Known = (Instant, Arc<Vec<PromotedColumn>>);

#[derive(Row, Deserialize)]
struct Described {
    name: String,
    integer: bool,
    key: String,
}

impl Promoted {
    /// The columns, in the table's order.
    pub(super) async fn columns(
        &self,
        clickhouse: &ClickHouse,
    ) -> Result<Arc<Vec<PromotedColumn>>, Error> {
        let mut known = self.0.lock().await;
        if let Some((when, columns)) = &*known
            && when.elapsed() < FRESH_FOR
        {
            return Ok(Arc::clone(columns));
        }
        let mut statement = Statement::new("promoted");
        statement.sql(
            "SELECT name, CAST(type IN ('UInt16', 'Int64'), 'Bool') AS integer, \
             substring(comment, length('attribute ') + 1) AS key \
             FROM system.columns WHERE database = 'spanmill' AND table = 'otel_traces' \
             AND startsWith(comment, 'attribute ') ORDER BY position",
        );
        let described = clickhouse.rows::<Described>(statement).await?;
        let columns = described.iter().filter_map(|described| {
            Some(PromotedColumn {
                key: described.key.clone(),
                column: Identifier::new(described.name.clone())?,
                is_integer: described.integer,
            })
        });
        let columns = Arc::new(columns.collect::<Vec<_>>());
        *known = Some((Instant::now(), Arc::clone(&columns)));
        Ok(columns)
    }
}

/// Appends an array of their values as texts, empty where a span lacks one.
pub(super) fn select(statement: &mut Statement, columns: &[PromotedColumn]) {
    statement.sql("CAST([");
    for (index, promoted) in columns.iter().enumerate() {
        if index > 0 {
            statement.sql(", ");
        }
        match promoted.is_integer {
            true => {
                statement.sql("if(").column(&promoted.column);
                statement
                    .sql(" = 0, '', toString(")
                    .column(&promoted.column);
                statement.sql("))");
            }
            false => {
                statement.sql("CAST(").column(&promoted.column);
                statement.sql(", 'String')");
            }
        }
    }
    statement.sql("], 'Array(String)')");
}
