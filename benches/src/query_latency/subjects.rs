//! What is stored and can be asked about: traces with their number of spans, operations of services, and values of
//! attributes, frequent ones and such as only one span has.

use anyhow::{Context, Result, ensure};

use crate::data::{RARE_IN_MAP, Store};

/// A trace and how many spans it has.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) id: String,
    pub(crate) spans: usize,
}

/// A span whose attributes nothing else has; its values end in `number`.
#[derive(Debug, Clone)]
pub(crate) struct Rare {
    pub(crate) number: u32,
    pub(crate) trace: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Subjects {
    pub(crate) traces: Vec<Trace>,
    /// Service and operation.
    pub(crate) operations: Vec<(String, String)>,
    /// Key and value, of attributes in the map and in columns of their own.
    pub(crate) frequent_in_map: Vec<(String, String)>,
    pub(crate) frequent_in_column: Vec<(String, String)>,
    /// Of the last hour, and of the hours before.
    pub(crate) rare_lately: Vec<Rare>,
    pub(crate) rare_before: Vec<Rare>,
    /// When the day ends, in seconds since 1970.
    pub(crate) end: u64,
}

impl Subjects {
    /// Looks for so many of each, as far as there are.
    pub(crate) fn find(store: &Store, count: usize) -> Result<Self> {
        let end = store.made.end;
        // Traces of about 16 spans; three times as many as are wanted, in an order that says nothing.
        let one_in = (store.made.millions * 1e6 / 16.0 / (3 * count) as f64).max(1.0) as u64;
        let traces = format!(
            "SELECT lower(hex(TraceId)), count() FROM spanmill.otel_traces
             WHERE cityHash64(TraceId, 1) % {one_in} = 0
             GROUP BY TraceId ORDER BY cityHash64(TraceId, 2) LIMIT {count}"
        );
        let operations = "SELECT ServiceName, SpanName FROM spanmill.otel_span_stats_1h
             GROUP BY ServiceName, SpanName ORDER BY cityHash64(ServiceName, SpanName)";
        let lately =
            format!("FROM spanmill.otel_traces WHERE Timestamp > toDateTime({end}) - 3600");
        let in_map = |key: &str| {
            format!(
                "SELECT '{key}', SpanAttributes['{key}'] AS value {lately} AND value != ''
                 GROUP BY value ORDER BY count() DESC LIMIT 60"
            )
        };
        let in_column = |key: &str, column: &str| {
            format!(
                "SELECT '{key}', {column} AS value {lately} AND value != ''
                 GROUP BY value ORDER BY count() DESC LIMIT 60"
            )
        };
        let frequent_in_map = all(store, &[in_map("app.tenant"), in_map("db.query.summary")])?;
        let columns = [
            in_column("http.route", "HttpRoute"),
            in_column("server.address", "ServerAddress"),
        ];
        let frequent_in_column = all(store, &columns)?;
        let rare = |bound: &str| {
            let sql = format!(
                "SELECT substring(SpanAttributes['{RARE_IN_MAP}'] AS value, 6), lower(hex(TraceId))
                 FROM spanmill.otel_traces WHERE value != '' AND Timestamp {bound} toDateTime({end}) - 3600
                 ORDER BY cityHash64(SpanId)"
            );
            let found = pairs(store, &sql)?.into_iter().map(|(number, trace)| {
                let number = number.parse().context("the number of a rare value")?;
                Ok(Rare { number, trace })
            });
            found.collect::<Result<Vec<_>>>()
        };
        let found = pairs(store, &traces)?.into_iter().map(|(id, spans)| {
            let spans = spans.parse().context("a number of spans")?;
            Ok(Trace { id, spans })
        });
        let subjects = Subjects {
            traces: found.collect::<Result<_>>()?,
            operations: pairs(store, operations)?,
            frequent_in_map,
            frequent_in_column,
            rare_lately: rare(">=")?,
            rare_before: rare("<")?,
            end,
        };
        let least = [
            subjects.traces.len(),
            subjects.operations.len(),
            subjects.frequent_in_map.len(),
            subjects.frequent_in_column.len(),
            subjects.rare_lately.len(),
            subjects.rare_before.len(),
        ];
        ensure!(
            !least.contains(&0),
            "there is nothing to ask about: {least:?}"
        );
        Ok(subjects)
    }
}

fn all(store: &Store, statements: &[String]) -> Result<Vec<(String, String)>> {
    let rows = statements.iter().map(|sql| pairs(store, sql));
    Ok(rows.collect::<Result<Vec<_>>>()?.concat())
}

/// Rows of two columns. What is stored here has no tabs.
fn pairs(store: &Store, sql: &str) -> Result<Vec<(String, String)>> {
    let answer = store.query(sql)?;
    let pairs = answer.lines().filter_map(|line| line.split_once('\t'));
    Ok(pairs
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .collect())
}
