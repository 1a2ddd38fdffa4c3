//! Takes the settings and keeps one embedded ClickHouse running on its data folder: starts it,
//! starts it again on the same ports if it dies, stops it. It never deletes data.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use spanmill_embedded::{LogLevel, Port, Server, ServerOptions};
use tracing::{error, info, warn};

use crate::progress::Meter;
use crate::settings::{ClickHouse, Secret, Settings};
use crate::signals::Event;

/// The hidden subcommand under which this program hosts ClickHouse in a child process.
pub(crate) const HOST_COMMAND: &str = "clickhouse-host";

/// Waits between attempts to start it again double from the first to the last.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A running ClickHouse of our own.
#[derive(Debug)]
pub(crate) struct Embedded {
    options: ServerOptions,
    /// `None` only while it is down, waiting to be started again.
    server: Option<Server>,
    native: SocketAddr,
    http: String,
}

/// Why [`Embedded::keep_running`] gave the thread back.
#[derive(Debug, PartialEq, Eq)]
enum Wake {
    Stop,
    Retry,
}

impl Embedded {
    /// Fetches the library if this machine has none yet: minutes on a slow line, with the progress
    /// on stderr. Then starts ClickHouse and returns once it answers queries.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        let mut options = options(settings)?;
        let data = options.data_dir.display();
        info!(%data, "starting the embedded ClickHouse; seconds on a cold disk");
        let server = Server::start(&options).context("the embedded ClickHouse did not start")?;
        let (native, http) = (server.native_addr(), server.http_url());
        // Whoever knows the ports now finds it there after a restart too.
        options.native_port = Port::Exactly(native.port());
        options.http_port = Port::Exactly(server.http_addr().port());
        info!(pid = server.pid(), %native, %http, "embedded ClickHouse runs");
        report_forgotten(&server);
        Ok(Self {
            options,
            server: Some(server),
            native,
            http,
        })
    }

    /// How to reach it.
    pub(crate) fn clickhouse(&self) -> ClickHouse {
        ClickHouse {
            native: vec![self.native.to_string()],
            http: self.http.clone(),
            user: "default".to_owned(),
            password: Secret::default(),
        }
    }

    /// Blocks until a stop is asked for, and starts ClickHouse again whenever it has died.
    pub(crate) fn keep_running(&mut self, events: &Receiver<Event>) {
        // It may have died before the first event was listened for.
        self.notice_death();
        let mut wait = WAIT_FIRST;
        loop {
            if self.server.is_some() {
                wait = WAIT_FIRST;
                match events.recv() {
                    Ok(Event::Child) => self.notice_death(),
                    Ok(Event::Stop) | Err(_) => return,
                }
            } else {
                if pause(events, wait) == Wake::Stop {
                    return;
                }
                wait = (wait * 2).min(WAIT_MAX);
                self.start_again(wait);
            }
        }
    }

    /// Stops it and waits for its end. No error if it was down, waiting to be started again.
    pub(crate) fn stop(self) -> Result<()> {
        self.server
            .map_or(Ok(()), Server::stop)
            .context("the embedded ClickHouse")
    }

    fn notice_death(&mut self) {
        let Some(status) = self.server.as_mut().and_then(Server::try_exited) else {
            return;
        };
        error!(%status, "the embedded ClickHouse ended by itself; starting it again");
        // Gives its data folder free.
        self.server = None;
    }

    fn start_again(&mut self, next_wait: Duration) {
        match Server::start(&self.options) {
            Ok(server) => {
                info!(pid = server.pid(), native = %self.native, "embedded ClickHouse runs again");
                report_forgotten(&server);
                self.server = Some(server);
            }
            Err(error) => retry_notice(&error, next_wait),
        }
    }
}

/// A crash can leave tokens of rows that were not stored; the engine sends those rows again.
fn report_forgotten(server: &Server) {
    let tokens = server.tokens_forgotten();
    if tokens > 0 {
        warn!(
            tokens,
            "ClickHouse was killed before it stored what it had noted; its tables forgot that"
        );
    }
}

fn retry_notice(error: &dyn Display, wait: Duration) {
    let wait = humantime::format_duration(wait);
    warn!(%error, %wait, "the embedded ClickHouse did not start; trying again after the wait");
}

fn options(settings: &Settings) -> Result<ServerOptions> {
    let library = match spanmill_embedded::library_from_env() {
        Some(path) => path,
        None => fetched_library()?,
    };
    Ok(ServerOptions {
        data_dir: settings.data_dir.join("clickhouse"),
        library: Some(library),
        // This very program, also after its file was replaced by an upgrade.
        host_program: vec!["/proc/self/exe".into(), OsString::from(HOST_COMMAND)],
        native_port: settings.embedded.native,
        http_port: settings.embedded.http,
        log_level: LogLevel::default(),
        query_log: false,
    })
}

fn fetched_library() -> Result<std::path::PathBuf> {
    let mut meter = Meter::on_stderr();
    let cache = spanmill_embedded::default_cache_dir()?;
    let library = spanmill_embedded::ensure_library(&cache, &mut |progress| meter.show(progress));
    meter.end();
    library.context("the embedded ClickHouse could not be fetched")
}

/// Waits this long, or until a stop is asked for.
fn pause(events: &Receiver<Event>, wait: Duration) -> Wake {
    let until = std::time::Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Child) => {}
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Wake::Stop,
            Err(RecvTimeoutError::Timeout) => return Wake::Retry,
        }
    }
}
