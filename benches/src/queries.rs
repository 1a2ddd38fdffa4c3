//! A query server in a process of its own, told where ClickHouse is; ends with the value that stands for it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use spanmill_embedded::testing::host_program;

/// A running query server.
#[derive(Debug)]
pub struct QueryServer {
    process: Child,
    /// Where it answers over HTTP.
    pub address: SocketAddr,
}

impl QueryServer {
    /// Starts one on a free port over the ClickHouse whose HTTP interface is at `http`, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started or ends by itself.
    pub fn start(http: &str) -> Result<Self> {
        let mut process = Command::new(&host_program()[0])
            .args(["query", "--query", "127.0.0.1:0", "--clickhouse-http", http])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("the query server's output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let mut words = line.split_whitespace();
            if let (Some("Health"), Some(url)) = (words.next(), words.next()) {
                return Ok(QueryServer {
                    process,
                    address: url.trim_start_matches("http://").parse()?,
                });
            }
        }
        bail!("the query server ended before it listened")
    }
}

impl Drop for QueryServer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
