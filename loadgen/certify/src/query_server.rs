//! Questions to the query server over HTTP, as Jaeger's UI and Grafana ask them: a path goes in, an answer or the
//! reason why there is none comes out.

use std::time::Duration;

use reqwest::Client;

use crate::clickhouse::Failure;

const PATIENCE: Duration = Duration::from_secs(5);

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct QueryServer {
    client: Client,
    url: String,
}

impl QueryServer {
    pub(crate) fn new(client: Client, url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        QueryServer { client, url }
    }

    /// Whether one answers there, and its ClickHouse does.
    pub(crate) async fn is_ready(&self) -> bool {
        self.text("/readyz", PATIENCE).await.is_ok()
    }

    /// The whole answer. Any status but 200 is a failure, that of a trace that is not found among them.
    pub(crate) async fn text(&self, path: &str, patience: Duration) -> Result<String, Failure> {
        let silent = |error: reqwest::Error| Failure::Silent(crate::error::innermost(&error));
        let request = self.client.get(format!("{}{path}", self.url));
        let answer = request.timeout(patience).send().await.map_err(silent)?;
        let status = answer.status();
        let text = answer.text().await.map_err(silent)?;
        if status == reqwest::StatusCode::OK {
            return Ok(text);
        }
        let words: String = text.trim().chars().take(300).collect();
        Err(Failure::Said(format!("{path}: {status}: {words}")))
    }
}
