//! Questions to ClickHouse over HTTP: SQL with typed parameters goes in, rows come out. It only ever reads.

use std::time::Duration;

use reqwest::{Client, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::options::Options;

/// Of questions about the state; those of verification may read everything there is.
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(600);

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct ClickHouse {
    client: Client,
    url: String,
    user: String,
    password: crate::options::Secret,
}

/// A parameter of a question: its name and its value.
pub(crate) type Parameter<'a> = (&'a str, &'a str);

/// What the server says of itself at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerState {
    /// Of all its threads since its start.
    pub(crate) cpu_seconds: f64,
    /// Resident where the server tells that, else what it counts as allocated.
    pub(crate) memory_bytes: f64,
    /// Of the tables of this schema.
    pub(crate) parts: f64,
    /// Most in one partition.
    pub(crate) parts_of_partition: f64,
    pub(crate) merges: f64,
}

/// What a table of the schema holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableSize {
    pub(crate) table: String,
    pub(crate) rows: f64,
    pub(crate) bytes: f64,
    pub(crate) parts: f64,
}

const STATE: &str = "
SELECT
    (SELECT sum(value) FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds') / 1e6 AS cpu_seconds,
    (SELECT toFloat64(sum(value)) FROM {memory}) AS memory_bytes,
    toFloat64(sum(held)) AS parts,
    toFloat64(max(held)) AS parts_of_partition,
    (SELECT toFloat64(sum(value)) FROM system.metrics WHERE metric = 'Merge') AS merges
FROM
(
    SELECT count() AS held FROM system.parts WHERE database = 'spanmill' AND active
    GROUP BY table, partition_id
)";
const RESIDENT: &str = "system.asynchronous_metrics WHERE metric = 'MemoryResident'";
const TRACKED: &str = "system.metrics WHERE metric = 'MemoryTracking'";

const SIZES: &str = "
SELECT table, toFloat64(sum(rows)) AS rows, toFloat64(sum(bytes_on_disk)) AS bytes, toFloat64(count()) AS parts
FROM system.parts WHERE database = 'spanmill' AND active
GROUP BY table ORDER BY bytes DESC";

/// Why a query has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody answered in time.
    Silent(String),
    /// The server said so.
    Said(String),
}

impl ClickHouse {
    pub(crate) fn new(client: Client, options: &Options) -> Self {
        ClickHouse {
            client,
            url: options.clickhouse.trim_end_matches('/').to_owned(),
            user: options.clickhouse_user.clone(),
            password: options.clickhouse_password.clone(),
        }
    }

    /// The text of an answer, one JSON object a row.
    pub(crate) async fn text(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        patience: Duration,
    ) -> Result<String, Failure> {
        let silent =
            |error: &dyn std::error::Error| Failure::Silent(crate::error::innermost(error));
        let seconds = patience.as_secs().max(1).to_string();
        let settings = [
            ("default_format", "JSONEachRow"),
            ("output_format_json_quote_64bit_integers", "0"),
            ("wait_end_of_query", "1"),
            ("max_execution_time", &seconds),
        ];
        let named = parameters
            .iter()
            .map(|(name, value)| (format!("param_{name}"), *value));
        let all = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let url =
            Url::parse_with_params(&self.url, all.chain(named)).map_err(|error| silent(&error))?;
        let request = self
            .client
            .post(url)
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", self.password.reveal())
            .timeout(patience)
            .body(sql.to_owned());
        let answer = request.send().await.map_err(|error| silent(&error))?;
        let ok = answer.status().is_success();
        let text = answer.text().await.map_err(|error| silent(&error))?;
        match ok {
            true => Ok(text),
            // The first line says it; advice for other clients may follow.
            false => {
                let line = text.trim().lines().next().unwrap_or_default();
                Err(Failure::Said(line.chars().take(300).collect()))
            }
        }
    }

    /// All rows of a question.
    ///
    /// # Errors
    /// When there is no answer, or it has other columns.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<T>, Error> {
        self.rows_within(sql, parameters, SHORT).await
    }

    /// The same for a question that may read all there is.
    ///
    /// # Errors
    /// See [`ClickHouse::rows`].
    pub(crate) async fn rows_of_all<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<T>, Error> {
        self.rows_within(sql, parameters, LONG).await
    }

    async fn rows_within<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        patience: Duration,
    ) -> Result<Vec<T>, Error> {
        let url = || self.url.clone();
        let text = self.text(sql, parameters, patience).await;
        let text = text.map_err(|failure| match failure {
            Failure::Silent(reason) => Error::NoClickHouse { url: url(), reason },
            Failure::Said(words) => Error::Refused {
                url: url(),
                hint: hint(&words),
                words,
            },
        })?;
        let rows: Result<_, _> = text.lines().map(serde_json::from_str).collect();
        rows.map_err(|error| Error::Answer {
            url: url(),
            reason: error.to_string(),
        })
    }

    /// One number, when there is one.
    ///
    /// # Errors
    /// See [`ClickHouse::rows`].
    pub(crate) async fn number(&self, expression: &str) -> Result<Option<f64>, Error> {
        #[derive(Deserialize)]
        struct One {
            value: Option<f64>,
        }
        let sql = format!("SELECT toFloat64({expression}) AS value");
        let rows: Vec<One> = self.rows(&sql, &[]).await?;
        Ok(rows.first().and_then(|row| row.value))
    }

    /// Whether it tells its resident memory.
    ///
    /// # Errors
    /// See [`ClickHouse::rows`].
    pub(crate) async fn tells_resident(&self) -> Result<bool, Error> {
        let exists = "exists(SELECT 1 FROM system.tables WHERE database = 'system' AND name = 'asynchronous_metrics')";
        Ok(self.number(exists).await? == Some(1.0))
    }

    /// # Errors
    /// See [`ClickHouse::rows`].
    pub(crate) async fn state(&self, resident: bool) -> Result<ServerState, Error> {
        let memory = if resident { RESIDENT } else { TRACKED };
        let rows = self.rows(&STATE.replace("{memory}", memory), &[]).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// # Errors
    /// See [`ClickHouse::rows`].
    pub(crate) async fn sizes(&self) -> Result<Vec<TableSize>, Error> {
        self.rows(SIZES, &[]).await
    }
}

/// What to do about words of ClickHouse.
fn hint(words: &str) -> &'static str {
    let code = |number: u32| words.starts_with(&format!("Code: {number}."));
    if [192, 193, 194, 516].into_iter().any(code) {
        "check --clickhouse-user and SPANMILL_CLICKHOUSE_PASSWORD"
    } else if code(60) || code(81) {
        "the tables are made by `spanmill migrate` or `spanmill up`; check that --clickhouse is the server that the engine inserts into"
    } else if code(497) {
        "this user has to be allowed to read the databases spanmill and system"
    } else {
        "its log may tell more"
    }
}
