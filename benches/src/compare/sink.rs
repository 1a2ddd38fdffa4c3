//! Where both sides insert: a sink that keeps nothing, or a real ClickHouse.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use spanmill_benches::engine::migrated_clickhouse;
use spanmill_benches::null_http;
use spanmill_benches::null_sink::NullSink;
use spanmill_benches::process::pin;
use spanmill_benches::received::{Counter, Received};
use spanmill_embedded::testing::TestServer;

use crate::options::Options;

/// See the module.
pub(crate) enum Sink {
    Null {
        native: NullSink,
        http: SocketAddr,
    },
    ClickHouse {
        native: SocketAddr,
        http: SocketAddr,
        server: Box<Mutex<TestServer>>,
    },
}

impl Sink {
    pub(crate) fn start(options: &Options) -> Result<Self> {
        if options.clickhouse {
            let runtime = tokio::runtime::Runtime::new()?;
            let server = runtime.block_on(migrated_clickhouse())?;
            return Ok(Sink::ClickHouse {
                native: server.native_addr(),
                http: server.http_addr(),
                server: Box::new(Mutex::new(server)),
            });
        }
        let counter = Arc::new(Counter::default());
        let native = NullSink::start_at(options.sink_native, Arc::clone(&counter));
        let http = null_http::start(options.sink_http, counter);
        Ok(Sink::Null {
            native: native.context("the sink's native port")?,
            http: http.context("the sink's HTTP port")?,
        })
    }

    pub(crate) fn native(&self) -> SocketAddr {
        match self {
            Sink::Null { native, .. } => native.address,
            Sink::ClickHouse { native, .. } => *native,
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        match self {
            Sink::Null { http, .. } | Sink::ClickHouse { http, .. } => *http,
        }
    }

    /// Keeps it on these CPUs; the null sink is this process's own.
    pub(crate) fn pin(&self, cpus: &[usize]) -> Result<()> {
        match self {
            Sink::Null { .. } => Ok(()),
            Sink::ClickHouse { server, .. } => {
                let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
                pin(server.server().pid(), cpus)
            }
        }
    }

    /// What came so far. A real ClickHouse inserts things of its own, so that its counts would say nothing.
    pub(crate) fn received(&self) -> Option<Received> {
        match self {
            Sink::Null { native, .. } => Some(native.received()),
            Sink::ClickHouse { .. } => None,
        }
    }

    /// Asks the real ClickHouse.
    #[cfg(test)]
    pub(crate) fn query(&self, sql: &str) -> String {
        let Sink::ClickHouse { server, .. } = self else {
            panic!("a sink that keeps nothing cannot be asked");
        };
        server.lock().unwrap().query(sql).unwrap()
    }
}
