//! Starts, watches and stops one ClickHouse in a child process. A server that was handed out has
//! answered a query of ours with our own token; when it is dropped, or this process ends in any
//! way, its process ends too.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Error;
use crate::folder::{DataFolder, log_tail};
use crate::host::{HostArgs, STOP_S};
use crate::http::{self, QueryError};
use crate::library;
use crate::options::ServerOptions;
use crate::ports::{self, Ports};
use crate::tokens::forget_lost_tokens;

/// From spawn to the first answer: 0.4 s with the library in memory, some 15 s from a slow disk,
/// more when a large database is loaded.
const START_S: u64 = 180;
/// How often readiness is asked for, unless the process ends earlier.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// How long an answer may take before the question is put again: short at first, since whoever else
/// owns the port may never answer, then doubled each time, since a loaded machine answers late.
const PATIENCE_FIRST: Duration = Duration::from_millis(50);
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// How many pairs of free ports are tried when somebody else is quicker to bind them.
const PORT_ATTEMPTS: usize = 5;
/// What clickhouse-local writes when it gives up on its statements and turns to the prompt.
const GAVE_UP: &str = "Received exception";
const ADDRESS_TAKEN: &str = "Address already in use";

/// A running ClickHouse. Dropping it stops it as [`Server::stop`] does.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// The host sees this end close when this process ends; this process sees the host's.
    lifeline: UnixStream,
    ports: Ports,
    folder: PathBuf,
    log: PathBuf,
    tokens_forgotten: usize,
}

impl Server {
    /// Starts a server and waits until it has answered a query, at most 180 s. Before, its tables forget the
    /// tokens of parts that a killed server did not come to store ([`crate::forget_lost_tokens`]).
    ///
    /// # Errors
    /// [`Error::UnsupportedPlatform`], [`Error::LibraryMissing`], [`Error::DataFolderInUse`],
    /// [`Error::PortTaken`], [`Error::HostProgram`], [`Error::StartFailed`], [`Error::Io`], and
    /// those of [`crate::ensure_library`] when no library is named. No process is left then.
    pub fn start(options: &ServerOptions) -> Result<Server, Error> {
        let library = library::resolve(options.library.as_deref())?;
        let mut folder = DataFolder::open(&options.data_dir)?;
        let result = forget_lost_tokens(&[folder.database_path()]).and_then(|forgotten| {
            let mut server = launch_on_free_ports(options, &library, &mut folder)?;
            server.tokens_forgotten = forgotten;
            Ok(server)
        });
        if result.is_err() {
            folder.release();
        }
        result
    }

    /// Tokens that were forgotten before the start, because their parts were not stored.
    pub fn tokens_forgotten(&self) -> usize {
        self.tokens_forgotten
    }

    /// Where the native protocol listens.
    pub fn native_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.native).into()
    }

    /// Where HTTP listens, as `http://127.0.0.1:PORT`.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_addr())
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    /// Runs one statement over HTTP as user `default` and gives back the answer's text, at most
    /// 64 MiB (TabSeparated unless the statement says otherwise).
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn query(&self, sql: &str, timeout: Duration) -> Result<String, QueryError> {
        http::query(self.http_addr(), sql, timeout)
    }

    /// The number of the host process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log file, for messages that point at it.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// How the server ended, if it has.
    pub fn try_exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits up to `timeout` for the server to end, and returns at once when it does.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.try_exited() {
            return Some(status);
        }
        // A time-out of zero would be refused as "none at all".
        let timeout = timeout.max(Duration::from_millis(1));
        self.lifeline.set_read_timeout(Some(timeout)).ok()?;
        loop {
            match self.lifeline.read(&mut [0; 64]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing in time.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // The host never writes: this is its end, of which only the status is missing.
                Ok(0) | Err(_) => return self.child.wait().ok(),
                Ok(_) => {}
            }
        }
    }

    /// Stops the server: SIGTERM, up to 30 s for it to end, then SIGKILL.
    ///
    /// # Errors
    /// [`Error::StopTimeout`] when it had to be killed, [`Error::Died`] when it had ended before or
    /// did not end cleanly.
    pub fn stop(mut self) -> Result<(), Error> {
        self.terminate()
    }

    /// Kills the server as a crash would: SIGKILL, no farewell.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn terminate(&mut self) -> Result<(), Error> {
        if self.try_exited().is_none() {
            // Not waited for yet, so the number is still this process's.
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        }
        match self.wait(Duration::from_secs(STOP_S)) {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                let log = log_tail(&self.log);
                Err(Error::Died {
                    folder: self.folder.clone(),
                    status,
                    log,
                })
            }
            None => {
                self.kill_now();
                Err(Error::StopTimeout {
                    folder: self.folder.clone(),
                    seconds: STOP_S,
                })
            }
        }
    }

    fn kill_now(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn wait_until_ready(&mut self, token: &str) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(START_S);
        let mut patience = PATIENCE_FIRST;
        let mut log_seen = 0;
        while Instant::now() < deadline {
            if let Some(status) = self.wait(ASK_EVERY) {
                return Err(self.start_failed(format!("its process ended ({status})")));
            }
            // Another's server would not know the token. The native port is opened before the HTTP
            // one, so when this answer is ours, both ports are.
            match self.query("SELECT getMacro('spanmill_instance')", patience) {
                Ok(answer) if answer.trim() == token => return Ok(()),
                Err(QueryError::Connection(error)) if error.kind() == ErrorKind::TimedOut => {
                    patience = PATIENCE_MAX.min(patience * 2);
                }
                _ => {}
            }
            let log_size = fs::metadata(&self.log).map_or(0, |data| data.len());
            if log_size != log_seen {
                log_seen = log_size;
                self.check_log()?;
            }
        }
        Err(self.start_failed(format!("no answer to a query after {START_S} s")))
    }

    /// After a failed statement clickhouse-local does not end, it waits at its prompt.
    fn check_log(&self) -> Result<(), Error> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        if !log.contains(GAVE_UP) {
            return Ok(());
        }
        let is_taken = |port: u16| {
            log.lines().any(|line| {
                line.contains(ADDRESS_TAKEN) && line.contains(&format!("127.0.0.1:{port} "))
            })
        };
        for (port, purpose) in [
            (self.ports.native, ports::NATIVE),
            (self.ports.http, ports::HTTP),
        ] {
            if is_taken(port) {
                return Err(Error::PortTaken { port, purpose });
            }
        }
        Err(self.start_failed("it gave up opening its listeners".to_owned()))
    }

    fn start_failed(&self, reason: String) -> Error {
        Error::StartFailed {
            folder: self.folder.clone(),
            reason,
            log: log_tail(&self.log),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.try_exited().is_none() {
            let _ = self.terminate();
        }
    }
}

fn launch_on_free_ports(
    options: &ServerOptions,
    library: &Path,
    folder: &mut DataFolder,
) -> Result<Server, Error> {
    let mut attempt = 1;
    loop {
        let ports = ports::choose(options.native_port, options.http_port)?;
        match launch(options, library, folder, ports) {
            Err(Error::PortTaken { port, .. })
                if attempt < PORT_ATTEMPTS && !options.insists_on(port) =>
            {
                attempt += 1;
            }
            result => return result,
        }
    }
}

fn launch(
    options: &ServerOptions,
    library: &Path,
    folder: &mut DataFolder,
    ports: Ports,
) -> Result<Server, Error> {
    let token = format!("{:016x}{:016x}", ports::random(), ports::random());
    let args = HostArgs {
        library: library.to_owned(),
        database: folder.database_path(),
        config: folder.write_config(&token, options.query_log)?,
        log: folder.log_path(),
        native_port: ports.native,
        http_port: ports.http,
        log_level: options.log_level.name().to_owned(),
    };
    let mut server = spawn(&options.host_program, args, folder, ports)?;
    let ready = folder
        .name_holder(server.pid())
        .and_then(|()| server.wait_until_ready(&token));
    match ready {
        Ok(()) => Ok(server),
        Err(error) => {
            server.kill_now();
            Err(error)
        }
    }
}

fn spawn(
    program: &[OsString],
    args: HostArgs,
    folder: &DataFolder,
    ports: Ports,
) -> Result<Server, Error> {
    let (lifeline, host_end) =
        UnixStream::pair().map_err(Error::io("make a lifeline for", folder.path()))?;
    let (name, first_args) = program
        .split_first()
        .map_or((OsStr::new(""), &[][..]), |(name, rest)| {
            (name.as_os_str(), rest)
        });
    // What the host does with its three descriptors is told in `host`.
    let child = Command::new(name)
        .args(first_args)
        .args(args.into_vec())
        .env("TZ", "UTC")
        .stdin(OwnedFd::from(host_end))
        .stdout(folder.share_lock()?)
        .stderr(folder.start_log()?)
        .spawn()
        .map_err(|source| Error::HostProgram {
            program: name.to_owned(),
            source,
        })?;
    let (folder, log) = (folder.path().to_owned(), folder.log_path());
    Ok(Server {
        child,
        lifeline,
        ports,
        folder,
        log,
        tokens_forgotten: 0,
    })
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::Port;
    use crate::testing::private_options;

    /// Scenario: a port is taken between the probe and ClickHouse's own bind, first the native one,
    /// then the HTTP one. Guarantees: the failed start is told from others by the port and its use,
    /// also when whoever took it never answers, and the process is gone.
    #[test]
    fn port_lost_after_the_probe_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let options = private_options(temp.path());
        let library = library::resolve(options.library.as_deref()).unwrap();
        let mut folder = DataFolder::open(temp.path()).unwrap();
        let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = owner.local_addr().unwrap().port();
        let free = ports::choose(Port::Any, Port::Any).unwrap().native;

        for (native, http, purpose) in [(taken, free, ports::NATIVE), (free, taken, ports::HTTP)] {
            let ports = Ports { native, http };
            let error = launch(&options, &library, &mut folder, ports).unwrap_err();
            match error {
                Error::PortTaken {
                    port,
                    purpose: told,
                } => assert_eq!((port, told), (taken, purpose)),
                other => panic!("{other}"),
            }
        }
        folder.release();
        Server::start(&options).unwrap().stop().unwrap();
    }
}
