//! The seam under a shard: sockets, files, clocks, tasks and the thread they run on. Everything above it
//! is written once against tokio's io traits; which runtime runs it is chosen at start and compiled in
//! statically, so the seam costs nothing per call.
//!
//! Two runtimes stand behind it: `uring` (glommio) and `epoll` (tokio, one thread). Neither leaves its
//! thread: nothing here is `Send` but what `run` is given. A third, `sim`, is built for tests only.

mod choice;
mod disk;
mod epoll;
mod placement;
#[cfg(test)]
pub(crate) mod sim;
mod uring;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use futures_lite::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use choice::{Chosen, choose, usable_cores};
pub use choice::{KERNEL_MIN, MEMLOCK_PER_SHARD, try_io_uring};
pub(crate) use epoll::Epoll;
pub use placement::{cores, isolated_cores};
pub(crate) use uring::Uring;

/// A runtime for one shard; see the module.
#[allow(async_fn_in_trait)] // futures here never leave their thread, so there is no `Send` to promise
pub(crate) trait Reactor: 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// A bound, listening, non-blocking socket that no thread has taken over yet.
    type Socket: Send + 'static;
    /// A listening socket.
    type Listener: 'static;
    /// A file.
    type File: File;

    /// Takes over a socket.
    fn listen(socket: Self::Socket) -> io::Result<Self::Listener>;
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

    /// The time that passes while `sleep` waits.
    fn now() -> Instant {
        Instant::now()
    }
    /// The time of day.
    fn wall() -> SystemTime {
        SystemTime::now()
    }

    /// Makes a folder and those above it, unless it is there.
    async fn make_folder(path: &Path) -> io::Result<()> {
        disk::make_folder(path).await
    }
    /// The names of what a folder holds, in no order; a name that is no UTF-8 is passed over.
    async fn list(folder: &Path) -> io::Result<Vec<String>> {
        disk::list(folder).await
    }
    /// Removes a file, or a folder that is empty.
    async fn remove(path: &Path) -> io::Result<()> {
        disk::remove(path).await
    }
    /// Gives a file or folder another name in the same file system.
    async fn rename(from: &Path, to: &Path) -> io::Result<()> {
        disk::rename(from, to).await
    }
    /// Returns when names made, changed or removed in `folder` will outlast a loss of power.
    async fn sync_folder(folder: &Path) -> io::Result<()> {
        disk::sync_folder(folder).await
    }

    /// A connection on its way to another thread.
    type Handed: Send + 'static;
    /// Gives up a connection that was accepted and not yet read from.
    fn release(stream: Self::Stream) -> io::Result<Self::Handed>;
    /// Takes over a connection that another thread gave up.
    fn adopt(handed: Self::Handed) -> io::Result<Self::Stream>;
    /// CPU time that this thread has used.
    fn thread_time() -> Duration {
        choice::thread_time()
    }
}

/// A file of a reactor. Dropping it closes it.
#[allow(async_fn_in_trait)]
pub(crate) trait File: Sized + 'static {
    /// Makes a file that must not be there yet, to be written and read.
    async fn create(path: &Path) -> io::Result<Self>;
    /// Opens a file that is there, to be written and read.
    async fn open(path: &Path) -> io::Result<Self>;
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// `length` bytes from `offset` on; fewer only where the file ends.
    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Writes all of `bytes`, and gives them back. After an error any of them may be there.
    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<Vec<u8>>;
    /// Returns when all that was written before, and the size, will outlast a loss of power
    /// (fdatasync). After an error nothing is known of what was written since the last success.
    async fn sync(&self) -> io::Result<()>;
    /// Cuts the file.
    async fn truncate(&self, length: u64) -> io::Result<()>;
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
    let name = host_port.to_owned();
    disk::on_own_thread(move || name.to_socket_addrs().map(Iterator::collect)).await
}
