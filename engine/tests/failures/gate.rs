//! Stands between the engine and ClickHouse's native port, and is as bad an endpoint as a test wants:
//! hanging, refusing, or one that does not know the engine's user.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::support::listener;

/// A user that ClickHouse does not have. An open gate puts [`KNOWN`] in its place, as if somebody had made
/// an account of that name.
pub(crate) const UNKNOWN: &str = "unknown";
const KNOWN: &str = "default";
const _: () = assert!(UNKNOWN.len() == KNOWN.len());

/// How it treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything.
    Open,
    /// Accepts, and passes nothing on, either way, until the mode changes.
    Hanging,
    /// Closes every connection at once.
    Refusing,
    /// Passes the engine's user as it is.
    Strange,
}

/// See the module. Everything it holds is closed when it is dropped.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    clickhouse: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    /// Both ends of every connection so far.
    connections: Vec<TcpStream>,
    ended: bool,
}

impl Gate {
    pub(crate) fn start(clickhouse: SocketAddr) -> Gate {
        let listener = listener();
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            clickhouse,
            state: Mutex::new(State {
                mode: Mode::Open,
                connections: Vec::new(),
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Gate { shared, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the mode. What was open is closed, unless it is to hang or hung until now.
    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.shared.state();
        if mode != Mode::Hanging && state.mode != Mode::Hanging {
            state.close_all();
        }
        state.mode = mode;
        self.shared.changed.notify_all();
    }

    /// Closes every connection, as a middlebox does with idle ones.
    pub(crate) fn cut(&self) {
        self.shared.state().close_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.ended = true;
            state.close_all();
        }
        self.shared.changed.notify_all();
        // Wakes the thread that accepts; if that is gone already, there is nothing to wake.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn close_all(&mut self) {
        for stream in self.connections.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for engine in listener.incoming() {
            let mut state = self.state();
            if state.ended {
                return;
            }
            // Dropped, and so closed, when it is refused or there is no ClickHouse.
            if state.mode != Mode::Refusing
                && let Ok(engine) = engine
                && let Ok(clickhouse) = TcpStream::connect(self.clickhouse)
            {
                let rename = state.mode != Mode::Strange;
                for stream in [&engine, &clickhouse] {
                    stream.set_nodelay(true).expect("no delay");
                    state.connections.push(clone(stream));
                }
                let (from, to) = (clone(&engine), clone(&clickhouse));
                let shared = Arc::clone(self);
                thread::spawn(move || shared.copy(&from, &to, rename));
                let shared = Arc::clone(self);
                thread::spawn(move || shared.copy(&clickhouse, &engine, false));
            }
        }
    }

    /// Passes bytes, unless it hangs, until either side ends, then closes both.
    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream, mut rename: bool) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &mut buffer[..count];
            if std::mem::take(&mut rename) {
                replace(bytes, UNKNOWN.as_bytes(), KNOWN.as_bytes());
            }
            let hangs = |state: &mut State| state.mode == Mode::Hanging && !state.ended;
            let waited = self.changed.wait_while(self.state(), hangs);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// In hello, which is the first that is sent and comes in one piece.
fn replace(bytes: &mut [u8], this: &[u8], by: &[u8]) {
    if let Some(at) = bytes.windows(this.len()).position(|part| part == this) {
        bytes[at..at + this.len()].copy_from_slice(by);
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}
