//! First generation: services, their operations, and which calls which.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;

use super::list;
use crate::clickhouse::ClickHouse;
use crate::clock;
use crate::error::Error;
use crate::parameters::Parameters;
use crate::traces::{self, kind_name, kind_number};

const DAY_MILLIS: i64 = 86_400_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationJson {
    name: String,
    span_kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EdgeJson {
    parent: String,
    child: String,
    call_count: u64,
}

/// `GET /api/services`
pub(super) async fn services(State(clickhouse): State<ClickHouse>) -> Result<Response, Error> {
    Ok(list(traces::services(&clickhouse).await?))
}

/// `GET /api/services/{service}/operations`
pub(super) async fn names(
    State(clickhouse): State<ClickHouse>,
    Path(service): Path<String>,
) -> Result<Response, Error> {
    let operations = traces::operations(&clickhouse, &service, None).await?;
    let mut names: Vec<_> = operations.iter().map(|row| row.name.as_str()).collect();
    names.dedup();
    Ok(list(names))
}

/// `GET /api/operations?service=…&spanKind=…`
pub(super) async fn operations(
    State(clickhouse): State<ClickHouse>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let service = parameters.required("service")?;
    let kind = parameters.text("spanKind");
    let kind = kind.map(|text| kind_number("spanKind", text)).transpose()?;
    let operations = traces::operations(&clickhouse, service, kind).await?;
    let shown = operations.iter().map(|operation| OperationJson {
        name: operation.name.clone(),
        span_kind: kind_name(operation.kind),
    });
    Ok(list(shown.collect()))
}

/// `GET /api/dependencies?endTs=…&lookback=…&service=…`, times in milliseconds.
pub(super) async fn dependencies(
    State(clickhouse): State<ClickHouse>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let end = parameters.number("endTs", 0, clock::MILLIS_MAX)?;
    let end = end.unwrap_or(clock::now() / 1_000_000);
    let lookback = parameters.number("lookback", 0, clock::MILLIS_MAX)?;
    let start = (end - lookback.unwrap_or(DAY_MILLIS)).max(0);
    let range = (start * 1_000_000, end * 1_000_000);
    let edges = traces::dependencies(&clickhouse, range, parameters.text("service")).await?;
    let shown = edges.into_iter().map(|edge| EdgeJson {
        parent: edge.parent,
        child: edge.child,
        call_count: edge.calls,
    });
    Ok(list(shown.collect()))
}
