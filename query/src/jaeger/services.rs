//! Services and their operations, from the hourly statistics.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::list;
use crate::clickhouse::{ClickHouse, Source, Statement, Value};
use crate::error::Error;
use crate::parameters::Parameters;

/// How far back a service or an operation may have been seen last: as long as spans are kept by default.
const SEEN: &str = "Hour >= now() - toIntervalDay(30)";

#[derive(Row, Deserialize)]
struct Service {
    name: String,
}

#[derive(Row, Deserialize)]
struct Operation {
    name: String,
    kind: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationJson {
    name: String,
    span_kind: &'static str,
}

/// `GET /api/services`
pub(super) async fn services(State(clickhouse): State<ClickHouse>) -> Result<Response, Error> {
    let mut statement = Statement::new("services");
    statement
        .sql("SELECT DISTINCT ServiceName AS name FROM ")
        .sql(clickhouse.name(Source::SpanStats))
        .sql(" WHERE ServiceName != '' AND ")
        .sql(SEEN)
        .sql(" ORDER BY name");
    let rows: Arc<Vec<Service>> = clickhouse.rows(statement).await?;
    Ok(list(rows.iter().map(|row| row.name.as_str()).collect()))
}

/// `GET /api/services/{service}/operations`
pub(super) async fn names(
    State(clickhouse): State<ClickHouse>,
    Path(service): Path<String>,
) -> Result<Response, Error> {
    let rows = read(&clickhouse, &service, None).await?;
    let mut names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
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
    let kind = parameters.text("spanKind").map(kind_number).transpose()?;
    let rows = read(&clickhouse, service, kind).await?;
    let shown = rows.iter().map(|row| OperationJson {
        name: row.name.clone(),
        span_kind: kind_name(row.kind),
    });
    Ok(list(shown.collect()))
}

async fn read(
    clickhouse: &ClickHouse,
    service: &str,
    kind: Option<u8>,
) -> Result<Arc<Vec<Operation>>, Error> {
    let mut statement = Statement::new("operations");
    statement
        .sql("SELECT DISTINCT SpanName AS name, SpanKind AS kind FROM ")
        .sql(clickhouse.name(Source::SpanStats))
        .sql(" WHERE ServiceName = ")
        .text(service)
        .sql(" AND ")
        .sql(SEEN);
    if let Some(kind) = kind {
        statement
            .sql(" AND SpanKind = ")
            .value(Value::Unsigned(kind.into()));
    }
    statement.sql(" ORDER BY name, kind");
    clickhouse.rows(statement).await
}

const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];

/// Jaeger's word for OTLP's number; empty where the span did not say.
pub(super) fn kind_name(kind: u8) -> &'static str {
    KINDS.get(usize::from(kind)).copied().unwrap_or_default()
}

fn kind_number(text: &str) -> Result<u8, Error> {
    let wanted = text.to_ascii_lowercase();
    let found = KINDS
        .iter()
        .zip(0..)
        .skip(1)
        .find(|(name, _)| **name == wanted);
    found.map(|(_, number)| number).ok_or_else(|| {
        let reason = format!("{text:?} is none of internal, server, client, producer, consumer");
        Error::parameter("spanKind", reason)
    })
}
