//! The seam under a shard: sockets, timers, tasks and the thread they run on. Everything above it is
//! written once against tokio's io traits; which runtime runs it is chosen at start and compiled in
//! statically, so the seam costs nothing per call.
//!
//! Two runtimes stand behind it: `uring` (glommio) and `epoll` (tokio, one thread). Neither leaves its
//! thread: nothing here is `Send` but what `run` is given.

mod choice;
mod epoll;
mod uring;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_lite::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use choice::{Chosen, choose, usable_cores};
pub(crate) use epoll::Epoll;
pub(crate) use uring::Uring;

/// A runtime for one shard; see the module.
#[allow(async_fn_in_trait)] // futures here never leave their thread, so there is no `Send` to promise
pub(crate) trait Reactor: 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// A listening socket.
    type Listener: 'static;

    /// Takes over a bound, listening, non-blocking socket.
    fn listen(socket: std::net::TcpListener) -> io::Result<Self::Listener>;
    /// The next connection, with Nagle's delay off.
    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream>;
    /// Opens a connection, with Nagle's delay off.
    async fn connect(address: SocketAddr) -> io::Result<Self::Stream>;
    /// Waits.
    async fn sleep(duration: Duration);
    /// Runs a task on this thread. A panic in it is logged and ends that task alone.
    fn spawn(task: impl Future<Output = ()> + 'static);
    /// Runs `main` on this thread, pinned to `core` if one is given, until it returns. Tasks that are
    /// still pending then are not run any further.
    fn run<T: 'static, F: Future<Output = T> + 'static>(
        core: Option<usize>,
        main: impl FnOnce() -> F,
    ) -> io::Result<T>;
}

/// `future`, or `None` if it takes longer than `limit`.
pub(crate) async fn within<R: Reactor, T>(
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    async { Some(future.await) }
        .or(async {
            R::sleep(limit).await;
            None
        })
        .await
}

/// A task that catches its own panic: a runtime that saw it would end the whole shard.
async fn guarded(task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        // The panic hook has already written what and where.
        tracing::error!("a task panicked; its connection is closed, the shard goes on");
    }
}

/// Addresses of `host:port`. A name is looked up on a thread of its own, since that may block.
pub(crate) async fn resolve(host_port: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host_port.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let name = host_port.to_owned();
    std::thread::Builder::new()
        .name("resolve".into())
        .spawn(move || {
            // Nobody waits any more if this fails.
            let _ = sender.send(name.to_socket_addrs().map(Iterator::collect));
        })?;
    receiver.await.map_err(io::Error::other)?
}
