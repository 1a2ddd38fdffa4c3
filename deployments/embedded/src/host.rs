//! The host process: arguments and three inherited descriptors go in, ClickHouse listens until a
//! signal or the parent's end stops it. It never returns and never writes to the parent's terminal.
//!
//! Descriptor 0 is the lifeline, one end of a socket pair whose other end only the parent holds:
//! each side reads the other's end from it. Descriptor 1 is the data folder's lock, kept open for
//! as long as this process lives. Descriptor 2 is the log.
//!
//! The library's entry point is clickhouse-local. Without a terminal it aborts the process when an
//! exception leaves a connection's thread, so it gets a pseudo-terminal and runs as if someone sat
//! there: it opens the listeners, then reads a pipe that stays empty until this process is to stop.
#![allow(unsafe_code)] // One call into the library, and `_exit`.

use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid};

use crate::folder::rotate_log;

/// How often `exit` is typed while stopping: one line can be lost to a prompt being set up.
const TYPE_EXIT_EVERY: Duration = Duration::from_millis(100);
/// How often the log's size is looked at, and at what size it is moved aside.
const LOG_CHECK_EVERY: Duration = Duration::from_secs(30);
const LOG_BYTES_MAX: u64 = 64 << 20;
/// How long the parent waits from SIGTERM to SIGKILL, in seconds; 1 to 2 are usual.
pub(crate) const STOP_S: u64 = 30;
/// A stop that takes longer ends the process hard, which acknowledged rows survive. Shorter than
/// the parent waits, so that an orphan follows the same rule.
const STOP_MAX: Duration = Duration::from_secs(STOP_S - 5);

type Cmdline = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;

/// What the parent tells the host on its command line, in this order.
pub(crate) struct HostArgs {
    pub(crate) library: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) native_port: u16,
    pub(crate) http_port: u16,
    pub(crate) log_level: String,
}

impl HostArgs {
    pub(crate) fn into_vec(self) -> Vec<OsString> {
        let paths = [self.library, self.database, self.config, self.log];
        let mut args: Vec<OsString> = paths.into_iter().map(PathBuf::into_os_string).collect();
        args.push(self.native_port.to_string().into());
        args.push(self.http_port.to_string().into());
        args.push(self.log_level.into());
        args
    }

    fn parse(args: impl Iterator<Item = OsString>) -> Option<HostArgs> {
        let args: [OsString; 7] = args.collect::<Vec<_>>().try_into().ok()?;
        let [
            library,
            database,
            config,
            log,
            native_port,
            http_port,
            log_level,
        ] = args;
        Some(HostArgs {
            library: library.into(),
            database: database.into(),
            config: config.into(),
            log: log.into(),
            native_port: native_port.to_str()?.parse().ok()?,
            http_port: http_port.to_str()?.parse().ok()?,
            log_level: log_level.into_string().ok()?,
        })
    }

    /// The arguments of clickhouse-local; `hold` is the pipe whose end of file stops it.
    fn clickhouse(&self, hold: &OwnedFd) -> Vec<CString> {
        let option = |name: &str, value: &OsStr| {
            let mut option = OsString::from(name);
            option.push(value);
            option
        };
        let hold = hold.as_raw_fd();
        let args: Vec<OsString> = vec![
            "clickhouse-local".into(),
            option("--config-file=", self.config.as_os_str()),
            option("--path=", self.database.as_os_str()),
            option("--log-level=", self.log_level.as_ref()),
            "--listen_host=127.0.0.1".into(),
            format!("--tcp_port={}", self.native_port).into(),
            format!("--http_port={}", self.http_port).into(),
            "--interactive".into(),
            "--disable_suggestion".into(),
            "--progress=off".into(),
            "--query".into(),
            format!(
                "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; \
                 SELECT count() FROM file('/proc/self/fd/{hold}', 'LineAsString', 'l String') \
                 FORMAT Null; SYSTEM STOP LISTEN TCP; SYSTEM STOP LISTEN HTTP"
            )
            .into(),
        ];
        // Arguments came from a command line, so none holds a zero byte.
        args.into_iter()
            .filter_map(|arg| CString::new(arg.into_vec()).ok())
            .collect()
    }
}

/// Hosts ClickHouse in this process; what the hidden subcommand `spanmill clickhouse-host` runs
/// with the arguments after its name. Call it before any thread is started: it blocks signals for
/// all of them.
pub fn host_main(args: impl Iterator<Item = OsString>) -> ! {
    let code = match HostArgs::parse(args) {
        None => {
            eprintln!("this command is internal: spanmill starts it with the arguments it needs");
            2
        }
        Some(args) => match host(&args) {
            Ok(()) => 0,
            Err(error) => {
                // A loader's error keeps the reason in its source.
                let reason = error
                    .source()
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                eprintln!("the host of ClickHouse failed: {error}{reason}");
                1
            }
        },
    };
    // SAFETY: `_exit` takes any code and has no preconditions. Returning instead would run the
    // library's exit handlers under its still running threads.
    unsafe { libc::_exit(code) }
}

fn host(args: &HostArgs) -> Result<(), Box<dyn std::error::Error>> {
    // A session of its own: a Ctrl-C in the parent's terminal is the parent's to handle. It fails
    // for a group leader, whom no parent of ours starts.
    let _ = setsid();
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    signals.thread_block()?;
    let (_, files_max) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, files_max, files_max)?;

    // Not the parent's folder, which would stay in use for as long as this process lives.
    std::env::set_current_dir(&args.database)?;

    let lifeline = std::io::stdin().as_fd().try_clone_to_owned()?;
    let _lock = std::io::stdout().as_fd().try_clone_to_owned()?;
    let terminal = nix::pty::openpty(None, None)?;
    dup2_stdin(&terminal.slave)?;
    dup2_stdout(&terminal.slave)?;
    fcntl(&terminal.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    fcntl(
        &terminal.master,
        FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    let (hold, release) = pipe2(OFlag::O_CLOEXEC)?;

    let stopping = Arc::new(AtomicBool::new(false));
    let supervisor = Supervisor {
        signals: SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?,
        lifeline,
        terminal: File::from(terminal.master),
        release,
        log: args.log.clone(),
        stopping: stopping.clone(),
    };
    thread::Builder::new()
        .name("supervisor".into())
        .spawn(|| supervisor.run())?;

    run_clickhouse(args, &hold)?;
    if stopping.load(Ordering::Acquire) {
        Ok(())
    } else {
        Err("its session ended unasked".into())
    }
}

fn run_clickhouse(args: &HostArgs, hold: &OwnedFd) -> Result<(), libloading::Error> {
    let strings = args.clickhouse(hold);
    let mut argv: Vec<*mut c_char> = strings.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    // SAFETY: the file is the checked library of the cache, or one that the user named to be run;
    // its initialisers need no more than any shared library's do.
    let library = unsafe { libloading::Library::new(&args.library) }?;
    // SAFETY: the library exports `chdb_query_cmdline(int argc, char ** argv)`, which returns a
    // pointer.
    let cmdline = unsafe { library.get::<Cmdline>(b"chdb_query_cmdline\0") }?;
    // SAFETY: argv holds the zero-terminated strings of `strings`, which outlive the call, and the
    // null that ends a C main's; the library reads them as a main does. It is called once.
    unsafe { cmdline(strings.len() as c_int, argv.as_mut_ptr()) };
    // Never unloaded: its threads may still run its code.
    std::mem::forget(library);
    Ok(())
}

/// The thread that watches for the end: it owns everything that must stay open meanwhile.
struct Supervisor {
    signals: SignalFd,
    lifeline: OwnedFd,
    terminal: File,
    /// The pipe's other end: dropping it ends the query that keeps the listeners open.
    release: OwnedFd,
    log: PathBuf,
    stopping: Arc<AtomicBool>,
}

impl Supervisor {
    fn run(mut self) {
        while !self.told_to_stop() {
            drain(&mut self.terminal);
            limit_log(&self.log);
        }
        self.stopping.store(true, Ordering::Release);
        drop(self.release);

        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            let _ = self.terminal.write_all(b"exit\n");
            thread::sleep(TYPE_EXIT_EVERY);
            drain(&mut self.terminal);
        }
        eprintln!(
            "the host of ClickHouse: no end after {} s, ending hard",
            STOP_MAX.as_secs()
        );
        // SAFETY: `_exit` takes any code and has no preconditions.
        unsafe { libc::_exit(1) }
    }

    /// Waits for a signal, the parent's end, terminal output, or the time to look at the log.
    fn told_to_stop(&self) -> bool {
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.lifeline.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
        ];
        match poll(
            &mut fds,
            PollTimeout::try_from(LOG_CHECK_EVERY).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(_) => fds[..2].iter().any(|fd| fd.any() == Some(true)),
            Err(nix::Error::EINTR) => false,
            // Without a watch nobody would notice the parent's end.
            Err(_) => true,
        }
    }
}

/// Throws away what ClickHouse shows on its terminal, lest it fill up and block the writer.
fn drain(terminal: &mut File) {
    let mut shown = [0; 4096];
    while matches!(terminal.read(&mut shown), Ok(1..)) {}
}

/// Moves a grown log aside; descriptor 2 is replaced in one step, so no line is lost.
fn limit_log(log: &Path) {
    if fs::metadata(log).is_ok_and(|data| data.len() > LOG_BYTES_MAX)
        && let Ok(fresh) = rotate_log(log)
    {
        // A failure leaves the old file, now of another name, as the log.
        let _ = dup2_stderr(&fresh);
    }
}
