//! An engine in a process of its own, told where ClickHouse is; ends with the value that stands for it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use spanmill_embedded::testing::{TestServer, host_program};

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    process: Child,
    /// Where it takes OTLP over gRPC.
    pub address: SocketAddr,
}

impl Engine {
    /// Starts one on free ports over a ClickHouse that has its tables, with more `settings` as flags, and
    /// waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started or ends by itself.
    pub fn start(clickhouse: &TestServer, settings: &[&str]) -> Result<Self> {
        let spanmill = &host_program()[0];
        let mut process = Command::new(spanmill)
            .arg("engine")
            .args(settings)
            .args(["--clickhouse", &clickhouse.native_addr().to_string()])
            .args(["--clickhouse-http", &clickhouse.http_url()])
            .args(["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("the engine's output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(address) = line?.trim().strip_prefix("OTLP/gRPC") {
                let address = address.trim().parse()?;
                return Ok(Engine { process, address });
            }
        }
        bail!("the engine ended before it listened")
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
