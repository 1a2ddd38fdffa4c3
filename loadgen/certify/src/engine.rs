//! The engine as its admin port shows it: `/metrics` goes in, the figures that certification needs come out.
//! What an engine does not export is missing, never 0.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Serialize;

use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(5);
const TABLES: [&str; 3] = ["otel_traces", "otel_logs", "otel_metrics"];

/// The admin port of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    client: Client,
    url: String,
}

/// What the engine says of itself at one moment. Counters run from its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct EngineState {
    pub(crate) version: Option<String>,
    pub(crate) shards: Option<f64>,
    pub(crate) cpus: Option<f64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) rss_bytes: Option<f64>,
    pub(crate) started: Option<f64>,
    /// Rows that were walked and are not inserted yet, beyond a constant.
    pub(crate) backlog_rows: f64,
    pub(crate) inserted_rows: f64,
    /// Bytes of the log that wait for ClickHouse.
    pub(crate) log_bytes: f64,
}

impl EngineState {
    /// CPUs that the shards can use: a thread each, and never more than the process may use.
    pub(crate) fn usable_cpus(&self) -> Option<f64> {
        Some(self.shards?.min(self.cpus?))
    }
}

impl Admin {
    pub(crate) fn new(client: Client, url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Admin { client, url }
    }

    /// Whether requests are taken.
    ///
    /// # Errors
    /// When nobody answers, or requests are told to retry.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        let (status, words) = self.get("/readyz").await?;
        let url = self.url.clone();
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE => Err(Error::NotReady {
                url,
                words: words.trim().to_owned(),
            }),
            _ => Err(Error::NotAnEngine { url }),
        }
    }

    /// One scrape.
    ///
    /// # Errors
    /// When nobody answers, or no engine does.
    pub(crate) async fn state(&self) -> Result<EngineState, Error> {
        let (status, text) = self.get("/metrics").await?;
        let metrics = Metrics(&text);
        if status != StatusCode::OK || !text.contains("spanmill_requests") {
            return Err(Error::NotAnEngine {
                url: self.url.clone(),
            });
        }
        Ok(metrics.state())
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, String), Error> {
        let wrong = |error: reqwest::Error| Error::NoEngine {
            url: self.url.clone(),
            reason: crate::error::innermost(&error),
        };
        let url = format!("{}{path}", self.url);
        let answer = self.client.get(url).timeout(PATIENCE).send().await;
        let answer = answer.map_err(wrong)?;
        let status = answer.status();
        Ok((status, answer.text().await.map_err(wrong)?))
    }
}

/// Prometheus text.
struct Metrics<'a>(&'a str);

impl Metrics<'_> {
    fn state(&self) -> EngineState {
        let decoded = self.sum("spanmill_decoded_rows_total", "").unwrap_or(0.0);
        let inserted: f64 = TABLES
            .iter()
            .filter_map(|table| {
                self.sum(
                    "spanmill_inserted_rows_total",
                    &format!("table=\"{table}\""),
                )
            })
            .sum();
        let given_up: f64 = [
            "spanmill_abandoned_rows_total",
            "spanmill_set_aside_rows_total",
        ]
        .iter()
        .filter_map(|name| self.sum(name, ""))
        .sum();
        EngineState {
            version: self.label("spanmill_build_info", "version"),
            shards: self.sum("spanmill_shards", ""),
            cpus: self.sum("spanmill_cpus", ""),
            cpu_seconds: self.sum("process_cpu_seconds_total", ""),
            rss_bytes: self.sum("process_resident_memory_bytes", ""),
            started: self.sum("process_start_time_seconds", ""),
            backlog_rows: decoded - inserted - given_up,
            inserted_rows: inserted,
            log_bytes: self.sum("spanmill_log_bytes", "").unwrap_or(0.0),
        }
    }

    /// Labels and value of each line of that name.
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            Some((labels, value.split(' ').next()?.parse().ok()?))
        })
    }

    /// Over all shards; of lines with that label alone.
    fn sum(&self, name: &str, label: &str) -> Option<f64> {
        self.lines(name)
            .filter(|(labels, _)| labels.contains(label))
            .map(|(_, value)| value)
            .reduce(|sum, value| sum + value)
    }

    fn label(&self, name: &str, label: &str) -> Option<String> {
        let (labels, _) = self.lines(name).next()?;
        let rest = labels.split(&format!("{label}=\"")).nth(1)?;
        Some(rest.split('"').next()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: metrics of two shards and of another program's kind. Guarantees: shards add up, the backlog
    /// is what was walked and went nowhere yet, names that begin alike are not mixed up, and what is missing
    /// is missing.
    #[test]
    fn shards_add_up() {
        let text = "# TYPE spanmill_requests counter\n\
            spanmill_build_info{version=\"0.1.0\"} 1\n\
            spanmill_shards 2\nspanmill_cpus 4\n\
            process_cpu_seconds_total 12.5\n\
            spanmill_decoded_rows_total{shard=\"0\",signal=\"traces\"} 100\n\
            spanmill_decoded_rows_total{shard=\"1\",signal=\"logs\"} 50\n\
            spanmill_inserted_rows_total{shard=\"0\",table=\"otel_traces\"} 60\n\
            spanmill_inserted_rows_total{shard=\"0\",table=\"otel_resources\"} 7\n\
            spanmill_abandoned_rows_total{shard=\"0\"} 5\n\
            spanmill_log_bytes{shard=\"0\"} 10\nspanmill_log_bytes{shard=\"1\"} 11\n";
        let state = Metrics(text).state();
        assert_eq!(state.version.as_deref(), Some("0.1.0"));
        assert_eq!(state.usable_cpus(), Some(2.0));
        assert_eq!((state.backlog_rows, state.inserted_rows), (85.0, 60.0));
        assert_eq!((state.cpu_seconds, state.log_bytes), (Some(12.5), 21.0));
        assert_eq!(state.rss_bytes, None);
        assert_eq!(Metrics("").state(), EngineState::default());
    }
}
