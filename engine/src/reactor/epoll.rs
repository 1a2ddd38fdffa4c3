//! The seam on tokio's current-thread runtime: works wherever Linux does, containers included.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::disk::{HostFile, open_host_file};
use super::{File, Reactor, choice, guarded};

/// See the module.
pub(crate) struct Epoll;

impl Reactor for Epoll {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;
    type Listener = TcpListener;
    type File = ThreadFile;

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

    type Handed = std::net::TcpStream;

    fn release(stream: TcpStream) -> io::Result<std::net::TcpStream> {
        stream.into_std()
    }

    fn adopt(handed: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(handed)
    }
}

/// A file whose slow calls are made on tokio's helper threads.
pub(crate) struct ThreadFile(Arc<HostFile>);

impl ThreadFile {
    async fn on_helper<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HostFile) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.0);
        let worked = tokio::task::spawn_blocking(move || work(&file)).await;
        worked.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl File for ThreadFile {
    async fn create(path: &Path) -> io::Result<Self> {
        open_host_file(path, true).await.map(Arc::new).map(Self)
    }

    async fn open(path: &Path) -> io::Result<Self> {
        open_host_file(path, false).await.map(Arc::new).map(Self)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            if !self.0.read_cached(at, &mut bytes)? {
                let missing = length - bytes.len();
                let more = self.on_helper(move |file| file.read(at, missing)).await?;
                if more.is_empty() {
                    break;
                }
                bytes.extend_from_slice(&more);
            }
        }
        Ok(bytes)
    }

    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.on_helper(move |file| file.write(offset, bytes)).await
    }

    async fn sync(&self) -> io::Result<()> {
        self.on_helper(|file| file.file.sync_data()).await
    }

    async fn truncate(&self, length: u64) -> io::Result<()> {
        self.on_helper(move |file| file.file.set_len(length)).await
    }
}
