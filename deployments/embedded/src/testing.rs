//! Private servers for tests: nothing goes in, a running ClickHouse on free ports over a temporary
//! folder comes out. Both are gone when it is dropped. Everything here panics on failure, as a test
//! wants it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::{LogLevel, Port, QueryError, Server, ServerOptions, http, library_from_env};

/// Names an executable that stands in for `spanmill` as the host.
pub const BIN_VARIABLE: &str = "SPANMILL_BIN";

const QUERY_TIMEOUT: Duration = Duration::from_secs(120);

/// A server of one test. [`TestServer::stop`] and [`TestServer::kill`] leave the folder and the
/// ports to [`TestServer::start`]; dropping it kills the server and deletes the folder.
#[derive(Debug)]
pub struct TestServer {
    // Before the folder: fields are dropped in order, and the server writes into it.
    server: Option<Server>,
    options: ServerOptions,
    native_addr: SocketAddr,
    http_addr: SocketAddr,
    _folder: TempDir,
}

/// A private server that has answered its first query.
pub fn start_private() -> TestServer {
    start_private_with(|_| {})
}

/// The same with changed options.
pub fn start_private_with(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
    let folder = tempfile::Builder::new()
        .prefix("spanmill-test-")
        .tempdir()
        .expect("a temporary folder");
    let mut options = private_options(folder.path());
    change(&mut options);
    let server = start(&options);
    let (native_addr, http_addr) = (server.native_addr(), server.http_addr());
    options.native_port = Port::Exactly(native_addr.port());
    options.http_port = Port::Exactly(http_addr.port());
    TestServer {
        server: Some(server),
        options,
        native_addr,
        http_addr,
        _folder: folder,
    }
}

/// The options of a private server over `data_dir`: any ports, the host of [`host_program`], the
/// library of `SPANMILL_LIBCHDB` or the cache.
pub fn private_options(data_dir: &Path) -> ServerOptions {
    ServerOptions {
        data_dir: data_dir.to_owned(),
        library: library_from_env(),
        host_program: host_program(),
        native_port: Port::Any,
        http_port: Port::Any,
        log_level: LogLevel::Warning,
        query_log: false,
    }
}

fn start(options: &ServerOptions) -> Server {
    Server::start(options).unwrap_or_else(|error| panic!("{error}"))
}

impl TestServer {
    /// The running server.
    ///
    /// # Panics
    /// When it is stopped.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the server is stopped")
    }

    /// Where the native protocol listens, also while stopped.
    pub fn native_addr(&self) -> SocketAddr {
        self.native_addr
    }

    /// Where HTTP listens, as `http://127.0.0.1:PORT`, also while stopped.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_addr)
    }

    /// Where HTTP listens, also while stopped.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Runs one statement over HTTP as user `default` and gives back the answer's text (TabSeparated
    /// unless the statement says otherwise).
    ///
    /// # Errors
    /// See [`QueryError`]; a stopped server is a connection error.
    pub fn query(&self, sql: &str) -> Result<String, QueryError> {
        http::query(self.http_addr, sql, QUERY_TIMEOUT)
    }

    /// Stops the server with SIGTERM.
    ///
    /// # Panics
    /// When it is stopped already or does not end cleanly.
    pub fn stop(&mut self) {
        let server = self.server.take().expect("the server is stopped");
        server.stop().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Kills the server with SIGKILL.
    ///
    /// # Panics
    /// When it is stopped already.
    pub fn kill(&mut self) {
        self.server.take().expect("the server is stopped").kill();
    }

    /// Starts the stopped server on the same ports and folder.
    ///
    /// # Panics
    /// When it runs already, or does not start.
    pub fn start(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        self.server = Some(start(&self.options));
    }

    /// [`TestServer::stop`], then [`TestServer::start`].
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Its data is about to be deleted, so there is nothing to wait for.
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }
}

/// The host program of tests: `spanmill clickhouse-host`, with the profile and in the target folder of
/// the running test, built if it is not there or older than its sources. `SPANMILL_BIN` names another
/// executable.
pub fn host_program() -> Vec<OsString> {
    static SPANMILL: OnceLock<PathBuf> = OnceLock::new();
    let spanmill = SPANMILL.get_or_init(|| match env::var_os(BIN_VARIABLE) {
        Some(path) if !path.is_empty() => path.into(),
        _ => current_spanmill(),
    });
    vec![spanmill.into(), "clickhouse-host".into()]
}

/// A test runs as `TARGET[/TRIPLE]/PROFILE/deps/NAME`, other programs without `deps`.
fn current_spanmill() -> PathBuf {
    let test = env::current_exe().expect("the path of the running test");
    let folder = test.parent().expect("a test's folder");
    let in_deps = ["deps", "examples"]
        .iter()
        .any(|name| folder.ends_with(name));
    let profile_dir = if in_deps {
        folder.parent().expect("a profile's folder")
    } else {
        folder
    };
    let spanmill = profile_dir.join("spanmill");
    // A test of the whole workspace has built it already. Asking cargo for this one package would then
    // build it anew with all it depends on, since the features of the others fall away.
    if !is_newer_than_its_sources(&spanmill) {
        build_spanmill(profile_dir);
    }
    spanmill
}

/// Compares times as make would, with everything in the workspace that goes into a build.
fn is_newer_than_its_sources(executable: &Path) -> bool {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let built = executable.metadata().and_then(|data| data.modified());
    built.is_ok_and(|built| nothing_changed_since(built, workspace).unwrap_or(false))
}

fn nothing_changed_since(built: SystemTime, folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_apart = name.starts_with('.') || name == "target" || name == "tests";
        let unchanged = match entry.file_type()? {
            _ if is_apart => true,
            kind if kind.is_dir() => nothing_changed_since(built, &entry.path())?,
            _ => name.ends_with(".md") || entry.metadata()?.modified()? <= built,
        };
        if !unchanged {
            return Ok(false);
        }
    }
    Ok(true)
}

fn build_spanmill(profile_dir: &Path) {
    let name = |path: &Path| path.file_name().map(OsString::from).unwrap_or_default();
    let profile = match name(profile_dir) {
        debug if debug == "debug" => "dev".into(),
        profile => profile,
    };
    let mut target_dir = profile_dir.parent().expect("a target folder");

    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "spanmill",
        "--bin",
        "spanmill",
    ]);
    cargo.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"),
    ]);
    // Cargo marks the folder above the profiles with this file, and above the triples the other.
    if !target_dir.join("CACHEDIR.TAG").exists() || target_dir.join("../CACHEDIR.TAG").exists() {
        cargo.arg("--target").arg(name(target_dir));
        target_dir = target_dir.parent().expect("a target folder");
    }
    cargo
        .arg("--target-dir")
        .arg(target_dir)
        .arg("--profile")
        .arg(profile);
    let built = cargo.output().expect("cargo runs");
    assert!(
        built.status.success(),
        "the host of the test's ClickHouse did not build:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
}
