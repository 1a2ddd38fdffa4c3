//! Stands between the engine and ClickHouse's native port, passes bytes both ways, and loses on demand what
//! a network can lose: the rest of what the engine sends, or ClickHouse's confirmation of an insert.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::support::{PATIENCE, listener};

/// The packet that ends the answer to an insert: the confirmation.
const END_OF_STREAM: u8 = 5;

/// See the module. Everything it holds is closed when it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    lost: Receiver<()>,
    cut: Receiver<()>,
}

struct Shared {
    clickhouse: SocketAddr,
    /// Both ends of every connection so far.
    connections: Mutex<Vec<TcpStream>>,
    /// How many bytes of the engine still pass before its connection is cut.
    cut_after: Mutex<Option<usize>>,
    /// The same of ClickHouse.
    cut_answer_after: Mutex<Option<usize>>,
    lose_answers: AtomicBool,
    ended: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(clickhouse: SocketAddr) -> Proxy {
        let listener = listener();
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            clickhouse,
            connections: Mutex::default(),
            cut_after: Mutex::default(),
            cut_answer_after: Mutex::default(),
            lose_answers: AtomicBool::default(),
            ended: AtomicBool::default(),
        });
        let (losing, lost) = channel();
        let (cutting, cut) = channel();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener, &losing, &cutting));
        Proxy {
            shared,
            address,
            lost,
            cut,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers do not arrive; returns when a confirmation was lost that way, so an insert is
    /// stored of which the engine does not know.
    pub(crate) fn lose_a_confirmation(&self) {
        while self.lost.try_recv().is_ok() {}
        self.shared.lose_answers.store(true, Ordering::SeqCst);
        self.lost
            .recv_timeout(PATIENCE)
            .expect("an insert is confirmed");
    }

    /// Closes every connection and lets answers through again.
    pub(crate) fn cut(&self) {
        self.shared.close_all();
        self.shared.lose_answers.store(false, Ordering::SeqCst);
    }

    /// Cuts the connection that carries the engine's next bytes after `bytes` of them.
    pub(crate) fn cut_after(&self, bytes: usize) {
        *locked(&self.shared.cut_after) = Some(bytes);
    }

    /// Cuts the connection that carries ClickHouse's next bytes after `bytes` of them.
    pub(crate) fn cut_answer_after(&self, bytes: usize) {
        *locked(&self.shared.cut_answer_after) = Some(bytes);
    }

    /// Waits until a cut that was asked for is made.
    pub(crate) fn await_cut(&self) {
        let cut = self.cut.recv_timeout(PATIENCE);
        cut.expect("the connection is cut");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.close_all();
        // Wakes the thread that accepts; if that is gone already, there is nothing to wake.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener, lost: &Sender<()>, cut: &Sender<()>) {
        for engine in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            // Without ClickHouse the engine's connection is closed again, by being dropped.
            if let Ok(engine) = engine
                && let Ok(clickhouse) = TcpStream::connect(self.clickhouse)
            {
                self.pass(&engine, &clickhouse, lost.clone(), cut);
            }
        }
    }

    fn pass(
        self: &Arc<Self>,
        engine: &TcpStream,
        clickhouse: &TcpStream,
        lost: Sender<()>,
        cut: &Sender<()>,
    ) {
        for stream in [engine, clickhouse] {
            stream.set_nodelay(true).expect("no delay");
            locked(&self.connections).push(clone(stream));
        }
        let (shared, from, to) = (Arc::clone(self), clone(engine), clone(clickhouse));
        let cutting = cut.clone();
        thread::spawn(move || copy(&from, &to, &cutting, |bytes| shared.of_the_engine(bytes)));
        let (shared, from, to) = (Arc::clone(self), clone(clickhouse), clone(engine));
        let cutting = cut.clone();
        thread::spawn(move || {
            copy(&from, &to, &cutting, |bytes| {
                shared.of_clickhouse(bytes, &lost)
            });
        });
    }

    /// What passes of bytes that the engine sent, and whether the connection goes on.
    fn of_the_engine<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], bool) {
        pass_until_cut(&self.cut_after, bytes)
    }

    fn of_clickhouse<'b>(&self, bytes: &'b [u8], lost: &Sender<()>) -> (&'b [u8], bool) {
        if !self.lose_answers.load(Ordering::SeqCst) {
            return pass_until_cut(&self.cut_answer_after, bytes);
        }
        if bytes.last() == Some(&END_OF_STREAM) {
            // Nobody waits for it when the test is over.
            let _ = lost.send(());
        }
        (&[], true)
    }

    fn close_all(&self) {
        for stream in locked(&self.connections).drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What passes of `bytes` when the connection is to be cut after some more, and whether it goes on.
fn pass_until_cut<'b>(cut_after: &Mutex<Option<usize>>, bytes: &'b [u8]) -> (&'b [u8], bool) {
    let mut cut_after = locked(cut_after);
    match *cut_after {
        Some(left) if left <= bytes.len() => {
            *cut_after = None;
            (&bytes[..left], false)
        }
        Some(left) => {
            *cut_after = Some(left - bytes.len());
            (bytes, true)
        }
        None => (bytes, true),
    }
}

/// Passes bytes until either side ends or `what` says so, then closes both.
fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    cut: &Sender<()>,
    what: impl for<'b> Fn(&'b [u8]) -> (&'b [u8], bool),
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let (passing, goes_on) = what(&buffer[..count]);
        let passed = to.write_all(passing).is_ok();
        if !goes_on {
            // Nobody waits for it when the test is over.
            let _ = cut.send(());
        }
        if !passed || !goes_on {
            break;
        }
    }
    for stream in [from, to] {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
