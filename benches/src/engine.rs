//! An engine in a process of its own, told where ClickHouse is; ends with the value that stands for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use spanmill_embedded::testing::{TestServer, host_program, start_private};
use spanmill_schema::{Connection, SchemaSettings};

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    process: Child,
    /// Where it takes OTLP over gRPC.
    pub address: SocketAddr,
    /// Where it takes OTLP over HTTP.
    pub http: SocketAddr,
    /// Where it answers `/metrics`.
    pub admin: SocketAddr,
}

/// A private ClickHouse with all tables.
///
/// # Errors
/// When the tables cannot be made.
pub async fn migrated_clickhouse() -> Result<TestServer> {
    let clickhouse = start_private();
    let connection = Connection {
        url: clickhouse.http_url(),
        user: "default".into(),
        password: String::new(),
    };
    spanmill_schema::migrate(&connection, &SchemaSettings::default()).await?;
    Ok(clickhouse)
}

impl Engine {
    /// Starts one on free ports over a ClickHouse that has its tables, with more `settings` as flags, and
    /// waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started or ends by itself.
    pub fn start(clickhouse: &TestServer, settings: &[&str]) -> Result<Self> {
        let wal = clickhouse.data_dir().join("wal");
        Self::start_over(
            clickhouse.native_addr(),
            &clickhouse.http_url(),
            &wal,
            settings,
        )
    }

    /// The same over whatever speaks ClickHouse's native protocol at `native`; its logs lie in `wal`.
    ///
    /// # Errors
    /// When it cannot be started or ends by itself.
    pub fn start_over(
        native: SocketAddr,
        http: &str,
        wal: &Path,
        settings: &[&str],
    ) -> Result<Self> {
        let spanmill = &host_program()[0];
        let mut process = Command::new(spanmill)
            .arg("engine")
            .args(settings)
            .args(["--clickhouse", &native.to_string()])
            .args(["--clickhouse-http", http])
            .args(["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0"])
            .arg("--wal-dir")
            .arg(wal)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("the engine's output")?;
        let (mut grpc, mut otlp_http) = (None, None);
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("OTLP/gRPC"), Some(address)) => grpc = Some(address.parse()?),
                (Some("OTLP/HTTP"), Some(url)) => {
                    otlp_http = Some(url.trim_start_matches("http://").parse()?);
                }
                (Some("Admin"), Some(url)) => {
                    return Ok(Engine {
                        process,
                        address: grpc.context("where OTLP/gRPC is taken")?,
                        http: otlp_http.context("where OTLP/HTTP is taken")?,
                        admin: url.trim_start_matches("http://").parse()?,
                    });
                }
                _ => {}
            }
        }
        bail!("the engine ended before it listened")
    }

    /// The sum of a metric over its shards.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub fn metric(&self, name: &str) -> Result<f64> {
        self.sum(|line| line.strip_prefix(name).filter(|rest| rest.starts_with('{')))
    }

    /// The sum of the values of the lines that `wanted` takes.
    fn sum(&self, wanted: impl Fn(&str) -> Option<&str>) -> Result<f64> {
        let mut stream = TcpStream::connect(self.admin)?;
        let request = "GET /metrics HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let values = text.lines().filter_map(|line| {
            let (_, value) = wanted(line)?.rsplit_once(' ')?;
            value.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    /// Rows of a table that were inserted so far.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub fn inserted(&self, table: &str) -> Result<f64> {
        self.sum(|line| {
            let labels = line.strip_prefix("spanmill_inserted_rows_total{")?;
            labels
                .contains(&format!("table=\"{table}\""))
                .then_some(labels)
        })
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
