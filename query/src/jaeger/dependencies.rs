//! Which service calls which, from the hourly edges; the hour that runs is not in them yet.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::list;
use super::trace::now;
use crate::clickhouse::{ClickHouse, Source, Statement, Value};
use crate::error::Error;
use crate::limits;
use crate::parameters::Parameters;

const DAY_MILLIS: u64 = 86_400_000;
const MILLIS_MAX: u64 = limits::TIME_MAX as u64 * 1000;

#[derive(Row, Deserialize)]
struct Edge {
    parent: String,
    child: String,
    calls: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EdgeJson {
    parent: String,
    child: String,
    call_count: u64,
}

/// `GET /api/dependencies?endTs=…&lookback=…`, both in milliseconds.
pub(super) async fn dependencies(
    State(clickhouse): State<ClickHouse>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let end = parameters.number("endTs", 0, MILLIS_MAX)?;
    let end = end.unwrap_or(now() as u64 / 1_000_000);
    let lookback = parameters.number("lookback", 0, MILLIS_MAX)?;
    let start = end.saturating_sub(lookback.unwrap_or(DAY_MILLIS));
    let mut statement = Statement::new("dependencies");
    statement
        .sql("SELECT Caller AS parent, Callee AS child, sum(Count) AS calls FROM ")
        .sql(clickhouse.name(Source::Dependencies))
        // Hours that overlap the range at all.
        .sql(" WHERE Hour > toDateTime(greatest(0, toInt64(")
        .value(Value::Unsigned(start / 1000))
        .sql(") - 3600)) AND Hour <= toDateTime(")
        .value(Value::Unsigned(end.div_ceil(1000)))
        .sql(") GROUP BY parent, child ORDER BY parent, child");
    let rows: Arc<Vec<Edge>> = clickhouse.rows(statement).await?;
    let shown = rows.iter().map(|edge| EdgeJson {
        parent: edge.parent.clone(),
        child: edge.child.clone(),
        call_count: edge.calls,
    });
    Ok(list(shown.collect()))
}
