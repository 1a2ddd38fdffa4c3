//! Services and their operations, from the weekly statistics.

use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use crate::clickhouse::{ClickHouse, Source, Statement, Value};
use crate::error::Error;

/// How far back a service or an operation may have been seen last: in a week of those for which spans are
/// kept by default.
const SEEN: &str = "Week >= toMonday(now() - toIntervalDay(30), 'UTC')";

/// OTLP's kinds by their number, in Jaeger's words.
const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];

#[derive(Row, Deserialize)]
struct Service {
    name: String,
}

/// What a service does under one name.
#[derive(Row, Deserialize)]
pub(crate) struct Operation {
    pub name: String,
    /// OTLP's number.
    pub kind: u8,
}

/// All names, in their order.
pub(crate) async fn services(clickhouse: &ClickHouse) -> Result<Vec<String>, Error> {
    let mut statement = Statement::new("services");
    statement
        .sql("SELECT DISTINCT ServiceName AS name FROM ")
        .sql(clickhouse.name(Source::SpanStatsByWeek))
        .sql(" WHERE ServiceName != '' AND ")
        .sql(SEEN)
        .sql(" ORDER BY name SETTINGS max_threads = 1");
    let rows: Arc<Vec<Service>> = clickhouse.rows(statement).await?;
    Ok(rows.iter().map(|row| row.name.clone()).collect())
}

/// By name and kind; of all kinds if none is given.
pub(crate) async fn operations(
    clickhouse: &ClickHouse,
    service: &str,
    kind: Option<u8>,
) -> Result<Arc<Vec<Operation>>, Error> {
    let mut statement = Statement::new("operations");
    statement
        .sql("SELECT DISTINCT SpanName AS name, SpanKind AS kind FROM ")
        .sql(clickhouse.name(Source::SpanStatsByWeek))
        .sql(" WHERE ServiceName = ")
        .text(service)
        .sql(" AND ")
        .sql(SEEN);
    if let Some(kind) = kind {
        statement
            .sql(" AND SpanKind = ")
            .value(Value::Unsigned(kind.into()));
    }
    statement.sql(" ORDER BY name, kind SETTINGS max_threads = 1");
    clickhouse.rows(statement).await
}

/// Jaeger's word for OTLP's number; empty where the span did not say.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    KINDS.get(usize::from(kind)).copied().unwrap_or_default()
}

/// OTLP's number of a word, in any case, with or without protobuf's prefix.
pub(crate) fn kind_number(name: &'static str, text: &str) -> Result<u8, Error> {
    let wanted = text.to_ascii_lowercase();
    let wanted = wanted.strip_prefix("span_kind_").unwrap_or(&wanted);
    let found = KINDS
        .iter()
        .zip(0..)
        .find(|(kind, number)| **kind == wanted && *number > 0);
    let found = found.map(|(_, number)| number);
    match found.or((wanted == "unspecified").then_some(0)) {
        Some(number) => Ok(number),
        None => Err(Error::parameter(
            name,
            format!(
                "{text:?} is none of unspecified, internal, server, client, producer, consumer"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: kinds as Jaeger and protobuf write them, and words that are none.
    /// Guarantees: the former are OTLP's numbers, the latter refused.
    #[test]
    fn kinds_by_their_words() {
        assert_eq!(kind_number("k", "server"), Ok(2));
        assert_eq!(kind_number("k", "SPAN_KIND_CONSUMER"), Ok(5));
        assert_eq!(kind_number("k", "unspecified"), Ok(0));
        assert!(kind_number("k", "sideways").is_err() && kind_number("k", "").is_err());
    }
}
