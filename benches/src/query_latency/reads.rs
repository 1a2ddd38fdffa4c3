//! What ClickHouse says that it did for questions, from its log of queries: a stretch of time goes in, for each
//! statement of the query server what it read comes out.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::data::Store;
use crate::measure::Series;

/// One statement of the query server, for all questions of a series together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) statement: String,
    pub(crate) queries: f64,
    pub(crate) rows: f64,
    pub(crate) bytes: f64,
    /// Wall time of all queries, in ms.
    pub(crate) ms: f64,
    /// CPU time of all of their threads, in ms.
    pub(crate) cpu_ms: f64,
    pub(crate) parts: f64,
    pub(crate) granules: f64,
}

/// Makes the log tell all that was asked until now.
pub(crate) fn flush(store: &Store) -> Result<()> {
    store.query("SYSTEM FLUSH LOGS").map(drop)
}

/// By statement, those that took longest first.
pub(crate) fn of(store: &Store, series: &Series) -> Result<Vec<Read>> {
    let (began, ended) = (series.began, series.ended);
    let answer = store.query(&format!(
        "SELECT replaceOne(log_comment, 'spanmill ', '') AS statement, toFloat64(count()) AS queries,
             toFloat64(sum(read_rows)) AS rows, toFloat64(sum(read_bytes)) AS bytes,
             toFloat64(sum(query_duration_ms)) AS ms,
             sum(ProfileEvents['OSCPUVirtualTimeMicroseconds']) / 1000 AS cpu_ms,
             toFloat64(sum(ProfileEvents['SelectedParts'])) AS parts,
             toFloat64(sum(ProfileEvents['SelectedMarks'])) AS granules
         FROM system.query_log
         WHERE type = 'QueryFinish' AND startsWith(log_comment, 'spanmill ')
             AND event_time_microseconds BETWEEN fromUnixTimestamp64Micro({began}) AND fromUnixTimestamp64Micro({ended})
         GROUP BY statement ORDER BY ms DESC FORMAT JSONEachRow"
    ))?;
    let rows = answer.lines().map(serde_json::from_str);
    Ok(rows.collect::<Result<_, _>>()?)
}
