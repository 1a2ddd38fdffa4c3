//! The seam on tokio's current-thread runtime: works wherever Linux does, containers included.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::{Reactor, choice, guarded};

/// See the module.
pub(crate) struct Epoll;

impl Reactor for Epoll {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(socket)
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(guarded(task));
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(
        core: Option<usize>,
        main: impl FnOnce() -> F,
    ) -> io::Result<T> {
        if let Some(core) = core {
            choice::pin_to(core)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        Ok(LocalSet::new().block_on(&runtime, async { main().await }))
    }
}
