//! The seam in a simulated world, for tests: one seed decides the order of tasks, what the network does to
//! each byte, what a disk keeps of what was not synced, and how time passes. The same seed gives the same
//! history. Nothing here touches a socket, a file or a clock of the machine.

mod disk;
mod executor;
mod inode;
mod network;
mod pipe;
mod process;
mod stream;
mod tests;
mod world;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use disk::{DiskFaults, SimFile};
pub(crate) use network::Cut;
pub(crate) use process::Process;
pub(crate) use stream::{SimListener, SimSocket, SimStream};
pub(crate) use world::{
    disk, heal_network, jump_clock, network, note, polls, random, simulate, time,
};

use super::Reactor;
use disk::Change;
use executor::Sleep;
use world::with;

/// See the module.
pub(crate) struct Sim;

impl Reactor for Sim {
    type Stream = SimStream;
    type Socket = SimSocket;
    type Listener = SimListener;
    type File = SimFile;
    /// The shards of a simulated engine know nothing of each other.
    type Handed = SimStream;

    fn listen(socket: SimSocket) -> io::Result<SimListener> {
        SimListener::new(socket)
    }

    async fn accept(listener: &SimListener) -> io::Result<SimStream> {
        poll_fn(|context| listener.poll_accept(context)).await
    }

    async fn connect(address: SocketAddr) -> io::Result<SimStream> {
        stream::connect(address).await
    }

    async fn sleep(duration: Duration) {
        Sleep::new(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        let refused = with(|world| world.executor.spawn(Box::pin(task)));
        drop(refused);
    }

    /// A world with one history of its own. The core is ignored.
    fn run<T: 'static, F: Future<Output = T> + 'static>(
        _core: Option<usize>,
        main: impl FnOnce() -> F,
    ) -> io::Result<T> {
        let main = main();
        Ok(simulate(0, main).0)
    }

    fn now() -> Instant {
        with(|world| world.start + world.executor.time())
    }

    fn wall() -> SystemTime {
        with(|world| world.wall())
    }

    async fn make_folder(path: &Path) -> io::Result<()> {
        disk::change(Change::MakeFolder(path.to_owned())).await
    }

    async fn list(folder: &Path) -> io::Result<Vec<String>> {
        disk::list(folder).await
    }

    async fn remove(path: &Path) -> io::Result<()> {
        disk::change(Change::Remove(path.to_owned())).await
    }

    async fn rename(from: &Path, to: &Path) -> io::Result<()> {
        disk::change(Change::Rename(from.to_owned(), to.to_owned())).await
    }

    async fn sync_folder(folder: &Path) -> io::Result<()> {
        disk::sync_folder(folder).await
    }

    fn release(stream: SimStream) -> io::Result<SimStream> {
        Ok(stream)
    }

    fn adopt(handed: SimStream) -> io::Result<SimStream> {
        Ok(handed)
    }

    /// By chance: how busy a thread is decides where work goes, and here every way must be right.
    fn thread_time() -> Duration {
        with(|world| world.work())
    }
}

/// A socket that listens at `address` for the present process; several may share an address.
pub(crate) fn bind(address: SocketAddr) -> SimSocket {
    SimSocket::new(address)
}
