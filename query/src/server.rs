//! Starts and stops the server: a runtime of a few threads that accepts connections and answers them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::connection;
use crate::limits;
use crate::metrics::Metrics;
use crate::routes;
use crate::services;

/// Most threads that answer; the work is ClickHouse's.
const THREADS_MAX: usize = 4;

/// A running server. Dropping it ends requests that run; [`Server::shutdown`] lets them finish.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    runtime: Runtime,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there, or the address is not of this host.
    #[error("cannot listen for queries on {address}: {source}; choose another address")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gives no threads or descriptors.
    #[error("the runtime of the query server cannot be made: {0}")]
    Runtime(io::Error),
}

impl Server {
    /// Listens and answers, whether or not ClickHouse is there.
    ///
    /// # Errors
    /// When the address or the threads cannot be had.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let usable = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(usable.min(THREADS_MAX))
            .thread_name("query")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let address = config.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let (stop, stopped) = watch::channel(false);
        let known = services::known(config.cache_bytes_max);
        let metrics = Arc::new(Metrics::new(&known.hits, &known.misses));
        let connections_max = config.connections_max;
        let router = routes::router(config, Arc::clone(&metrics), known);
        let accepting = connection::accept(listener, router, connections_max, metrics, stopped);
        let accepting = runtime.spawn(accepting);
        Ok(Self {
            addr,
            stop,
            accepting,
            runtime,
        })
    }

    /// Where it really listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more requests, and gives those that run a few seconds.
    pub fn shutdown(self) {
        let Self {
            stop,
            accepting,
            runtime,
            ..
        } = self;
        // Fails only if nobody listens any more.
        let _ = stop.send(true);
        let drained = async { tokio::time::timeout(limits::DRAIN_TIMEOUT, accepting).await };
        if runtime.block_on(drained).is_err() {
            tracing::warn!("queries still ran when the server stopped; they are ended");
        }
        runtime.shutdown_background();
    }
}
