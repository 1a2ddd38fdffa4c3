//! Starts the shards and the admin port on their threads, and stops them in order.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::admin;
use crate::balance::{self, Balance};
use crate::config::{AckMode, Config};
use crate::listen::{BindError, HandedConnection, Stop, bind};
use crate::metrics::{Metrics, ShardMetrics};
use crate::reactor::{Chosen, Epoll, Reactor, Uring, choose, cores, isolated_cores, usable_cores};
use crate::run::{Neighbours, Sockets, run_shard};
use crate::shard::Shard;
use crate::status::{ShardStatus, Statuses};

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// io_uring was asked for by name.
    #[error("the reactor \"uring\" cannot run here: {0}; use \"auto\" or \"epoll\"")]
    Reactor(String),
    /// A thread or its runtime.
    #[error("shard {shard} cannot start: {source}")]
    Shard {
        /// Counted from 0.
        shard: usize,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The log's folder.
    #[error("the log's folder {} cannot be used: {source}{}", folder.display(), hint(source))]
    Log {
        /// `wal_dir`.
        folder: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The admin port's thread.
    #[error("the admin port cannot start: {0}")]
    Admin(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::WouldBlock => "; another engine uses it, and each needs one of its own",
        io::ErrorKind::PermissionDenied => "; give the engine's user the right to write there",
        _ => "",
    }
}

/// A running engine. Dropping it stops it without waiting; `shutdown` is the right end.
pub struct Engine {
    grpc: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
    reactor: String,
    stop: watch::Sender<bool>,
    shards: Vec<JoinHandle<io::Result<bool>>>,
    admin_thread: JoinHandle<io::Result<()>>,
    stop_admin: watch::Sender<bool>,
    /// Keeps other engines from this one's logs.
    _log_lock: Option<File>,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Shards in all.
    pub shards: usize,
    /// Shards that answered every request before the time was up.
    pub drained: usize,
}

impl fmt::Display for DrainReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.drained == self.shards {
            return write!(formatter, "every request was answered");
        }
        write!(
            formatter,
            "{} of {} shards ran out of time; requests without an answer were not acknowledged",
            self.shards - self.drained,
            self.shards
        )
    }
}

impl Engine {
    /// Binds every address, starts every thread, and returns when all of them listen. ClickHouse need
    /// not be there yet: until it is, requests are told to retry.
    ///
    /// # Errors
    /// When an address is taken, a thread cannot start, or the reactor that was asked for is forbidden.
    pub fn start(config: Config) -> Result<Engine, StartError> {
        let config = Arc::new(config);
        let chosen = choose(config.reactor, config.shards).map_err(StartError::Reactor)?;
        let log_lock = lock_logs(&config)?;
        let grpc = bind(config.otlp_grpc, "OTLP/gRPC", config.shards)?;
        let http = bind(config.otlp_http, "OTLP/HTTP", config.shards)?;
        let admin = bind(config.admin, "the admin port", 1)?;
        let addresses = [&grpc, &http, &admin].map(|sockets| sockets[0].local_addr());
        let [grpc_at, http_at, admin_at] =
            addresses.map(|address| address.map_err(StartError::Admin));

        let (metrics, parts) = Metrics::new(config.shards, &config.clickhouse.native);
        let (statuses, own_statuses) =
            Statuses::new(config.shards, config.ack == AckMode::ClickHouse);
        let (stop, stopping) = watch::channel(false);
        let (stop_admin, admin_stopping) = watch::channel(false);
        let admin_thread = start_admin(admin, metrics, statuses, &config, admin_stopping)?;
        let sockets = grpc.into_iter().zip(http);
        let sockets = sockets.map(|(grpc, http)| Sockets { grpc, http });
        let parts = parts.into_iter().zip(own_statuses).collect();
        let shards = match chosen {
            Chosen::Uring { .. } => start_shards::<Uring>(&config, parts, sockets, &stopping)?,
            Chosen::Epoll { .. } => start_shards::<Epoll>(&config, parts, sockets, &stopping)?,
        };
        tracing::info!(shards = config.shards, reactor = %chosen, "the engine listens");
        Ok(Engine {
            grpc: grpc_at?,
            http: http_at?,
            admin: admin_at?,
            reactor: chosen.to_string(),
            stop,
            shards,
            admin_thread,
            stop_admin,
            _log_lock: log_lock,
        })
    }

    /// Where OTLP/gRPC is received.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// Where OTLP/HTTP is received.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where health and metrics are answered.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// What the shards run on, with the reason.
    #[must_use]
    pub fn reactor(&self) -> &str {
        &self.reactor
    }

    /// Stops taking requests, answers those in flight, and ends every thread. Blocks for as long as that
    /// takes, at most `drain_timeout`.
    pub fn shutdown(self) -> DrainReport {
        self.stop.send_replace(true);
        let shards = self.shards.len();
        let ended = self.shards.into_iter().map(JoinHandle::join);
        let drained = ended.filter(|ended| matches!(ended, Ok(Ok(true)))).count();
        self.stop_admin.send_replace(true);
        if !matches!(self.admin_thread.join(), Ok(Ok(()))) {
            tracing::warn!("the admin port did not end as it should");
        }
        DrainReport { shards, drained }
    }
}

/// Makes a folder and those above it, so that their names outlast a loss of power: without its name all that
/// is synced in it would be gone.
fn make_durably(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_durably(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// Makes the log's folder and takes its lock, which the kernel gives back when the process ends, however
/// it does. Without a log there is nothing to lock unless earlier runs left one.
fn lock_logs(config: &Config) -> Result<Option<File>, StartError> {
    let folder = &config.log.folder;
    if config.ack != AckMode::Log && !folder.exists() {
        return Ok(None);
    }
    let locked = || {
        make_durably(folder)?;
        let file = File::create(folder.join("lock"))?;
        file.try_lock()?;
        Ok(file)
    };
    let failed = |source| StartError::Log {
        folder: folder.clone(),
        source,
    };
    locked().map(Some).map_err(failed)
}

fn start_admin(
    mut sockets: Vec<TcpListener>,
    metrics: Metrics,
    statuses: Statuses,
    config: &Arc<Config>,
    stop: Stop,
) -> Result<JoinHandle<io::Result<()>>, StartError> {
    let socket = sockets.remove(0);
    let config = Arc::clone(config);
    let metrics = Arc::new(metrics);
    std::thread::Builder::new()
        .name("admin".into())
        .spawn(move || {
            Epoll::run(None, || {
                admin::serve(socket, metrics, statuses, config, stop)
            })?
        })
        .map_err(StartError::Admin)
}

/// The core of each shard, unless the scheduler is to place them.
fn cores_of_shards(config: &Config) -> Option<Vec<usize>> {
    let usable = usable_cores();
    let isolated = isolated_cores(Path::new("/"), &usable);
    let cores = cores(config.pin, config.shards, &usable, &isolated);
    if let Some(cores) = &cores {
        tracing::info!(?cores, ?isolated, "shards keep to cores");
    }
    cores
}

fn start_shards<R: Reactor>(
    config: &Arc<Config>,
    parts: Vec<(ShardMetrics, ShardStatus)>,
    sockets: impl Iterator<Item = Sockets<R::Socket>>,
    stop: &Stop,
) -> Result<Vec<JoinHandle<io::Result<bool>>>, StartError> {
    // Tokens of one run must never meet those of another: a server drops rows under a token it knows.
    let run = uuid::Uuid::new_v4().as_u128();
    let cores = cores_of_shards(config);
    let (started, starts) = mpsc::channel();
    let mut shards = Vec::with_capacity(config.shards);
    let mut balanced = balanced::<R>(config, &parts).into_iter();
    for (index, ((metrics, status), sockets)) in parts.into_iter().zip(sockets).enumerate() {
        let (balance, neighbours) = balanced.next().unzip();
        let core = cores.as_ref().map(|cores| cores[index]);
        let (config, stop) = (Arc::clone(config), stop.clone());
        let started = started.clone();
        let listening = move |result| {
            // The receiver waits for every shard.
            let _ = started.send((index, result));
        };
        let main = move || {
            R::run(core, || {
                let shard = Shard::new::<R>(index, config, metrics, status, balance);
                run_shard::<R>(shard, sockets, neighbours, run, stop, listening)
            })
        };
        let thread = std::thread::Builder::new().name(format!("shard-{index}"));
        let thread = thread.spawn(main);
        shards.push(thread.map_err(|source| StartError::Shard {
            shard: index,
            source,
        })?);
    }
    drop(started);
    for _ in 0..config.shards {
        match starts.recv() {
            Ok((_, Ok(()))) => {}
            Ok((shard, Err(source))) => return Err(StartError::Shard { shard, source }),
            // A thread ended before it said anything: its runtime could not start.
            Err(_) => return Err(first_failure(shards)),
        }
    }
    Ok(shards)
}

/// What each shard shares with the others; nothing when there is only one.
pub(crate) fn balanced<R: Reactor>(
    config: &Config,
    parts: &[(ShardMetrics, ShardStatus)],
) -> Vec<(Balance, Neighbours<R>)> {
    if parts.len() < 2 {
        return Vec::new();
    }
    let channels = parts.iter().map(|_| unbounded_channel());
    let (peers, connections): (Vec<_>, Vec<_>) = channels.unzip();
    let metrics: Vec<_> = parts.iter().map(|(metrics, _)| metrics.clone()).collect();
    let parts = balance::join(config.hand_over, &metrics).into_iter();
    let parts = parts.zip(connections);
    let part = |((balance, bodies), connections)| {
        let peers: Vec<UnboundedSender<HandedConnection<R>>> = peers.clone();
        let neighbours = Neighbours {
            peers,
            connections,
            bodies,
        };
        (balance, neighbours)
    };
    parts.map(part).collect()
}

fn first_failure(shards: Vec<JoinHandle<io::Result<bool>>>) -> StartError {
    let mut failure = (0, io::Error::other("it ended at once"));
    for (shard, thread) in shards
        .into_iter()
        .enumerate()
        .filter(|(_, thread)| thread.is_finished())
    {
        if let Ok(Err(source)) = thread.join() {
            failure = (shard, source);
        }
    }
    let (shard, source) = failure;
    StartError::Shard { shard, source }
}
