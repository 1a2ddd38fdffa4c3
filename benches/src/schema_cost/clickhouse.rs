//! The measured server: statements and blocks go to it over HTTP, and its process is watched from outside.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use spanmill_benches::process::Cpu;

/// How often the server is asked whether it still works.
const POLL: Duration = Duration::from_millis(250);
/// It is quiet when that many answers in a row say so: merges are chosen by timers, not at once.
const QUIET_POLLS: u32 = 10;

/// A ClickHouse and its process.
#[derive(Debug)]
pub(crate) struct ClickHouse {
    pub(crate) url: String,
    client: reqwest::Client,
    pid: u32,
}

impl ClickHouse {
    pub(crate) fn new(url: String, pid: u32) -> Self {
        ClickHouse {
            url,
            client: reqwest::Client::new(),
            pid,
        }
    }

    /// Runs a statement; gives back its answer's text.
    pub(crate) async fn query(&self, sql: &str) -> Result<String> {
        let body = self
            .post("/?wait_end_of_query=1", sql.to_owned().into())
            .await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// The lines of an answer, cut into their fields.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let text = self.query(sql).await?;
        let cut = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(text.lines().map(cut).collect())
    }

    /// Runs several statements, each ended by a semicolon at the end of a line.
    pub(crate) async fn script(&self, sql: &str) -> Result<()> {
        let lines = sql
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"));
        let code: Vec<&str> = lines.collect();
        for statement in code.join("\n").split(";\n") {
            let statement = statement.trim().trim_end_matches(';');
            if !statement.is_empty() {
                self.query(statement).await?;
            }
        }
        Ok(())
    }

    /// A query's rows as one LZ4-compressed Native stream, in the order in which they are read.
    pub(crate) async fn native(&self, sql: &str, rows: u64) -> Result<Bytes> {
        let path = format!(
            "/?compress=1&max_threads=1&max_block_size={rows}&preferred_block_size_bytes=0&default_format=Native"
        );
        self.post(&path, sql.to_owned().into()).await
    }

    /// Inserts what [`ClickHouse::native`] gave, with the settings that the engine's writer sends.
    pub(crate) async fn insert(
        &self,
        into: &str,
        token: Option<&str>,
        native: Bytes,
    ) -> Result<()> {
        let query = format!("INSERT INTO {into} FORMAT Native")
            .replace(' ', "%20")
            .replace('`', "%60");
        let mut path = format!("/?decompress=1&query={query}");
        if let Some(token) = token {
            path.push_str(
                "&insert_deduplicate=1&deduplicate_blocks_in_dependent_materialized_views=1",
            );
            path.push_str(&format!("&insert_deduplication_token={token}"));
        }
        self.post(&path, native).await?;
        Ok(())
    }

    /// CPU seconds that the process has used.
    pub(crate) fn cpu(&self) -> Result<f64> {
        Ok(Cpu::of(self.pid)?.total())
    }

    /// Waits until nothing is merged, mutated or refreshed any more; gives back [`ClickHouse::cpu`] at the
    /// moment when that began.
    pub(crate) async fn quiet(&self) -> Result<f64> {
        let busy = "SELECT (SELECT count() FROM system.merges) \
                    + (SELECT count() FROM system.mutations WHERE NOT is_done) \
                    + (SELECT count() FROM system.view_refreshes WHERE status = 'Running')";
        let mut since = self.cpu()?;
        let mut quiet = 0;
        while quiet < QUIET_POLLS {
            if self.query(busy).await?.trim() == "0" {
                quiet += 1;
            } else {
                quiet = 0;
            }
            if quiet <= 1 {
                since = self.cpu()?;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(since)
    }

    async fn post(&self, path: &str, body: Bytes) -> Result<Bytes> {
        let request = self.client.post(format!("{}{path}", self.url)).body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let failed = answer.headers().contains_key("X-ClickHouse-Exception-Code");
        let body = answer.bytes().await?;
        if !status.is_success() || failed {
            bail!(
                "ClickHouse answered {status}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        Ok(body)
    }
}
