#![allow(unsafe_code)]
//! The seam on glommio, which runs a thread on io_uring. The stream here adapts glommio's to tokio's io
//! traits and mends what glommio 0.9 leaves open: reads go into uninitialised memory, writes are
//! vectored, and a socket that is always ready lets others run.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::{AsyncRead as _, AsyncWrite as _};
use glommio::io::BufferedFile;
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::disk::{HostFile, open_host_file};
use super::{File, Reactor, guarded};

/// Memory that glommio registers for direct file I/O, in bytes: its default of 10 MiB is pinned per
/// executor, and the log, which goes through the page cache, needs none of it.
const IO_MEMORY: usize = 64 << 10;
/// Bytes that one connection may read before it lets the others run. glommio has no budget of its own:
/// without this a busy sender delayed everything else by seconds.
const READ_BUDGET: usize = 1 << 20;
/// Room for what arrives between "nothing there" and glommio's own look.
const LATE_BYTES: usize = 4096;

/// See the module.
pub(crate) struct Uring;

impl Reactor for Uring {
    type Stream = Stream;
    type Socket = std::net::TcpListener;
    type Listener = TcpListener;
    type File = RingFile;

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        // SAFETY: the descriptor was just given up by its owner, is open, and is a listening socket.
        Ok(unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) })
    }

    async fn accept(listener: &TcpListener) -> io::Result<Stream> {
        let stream = listener.accept().await?;
        Stream::new(stream)
    }

    async fn connect(address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address).await?;
        Stream::new(stream)
    }

    async fn sleep(duration: Duration) {
        glommio::timer::sleep(duration).await;
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(guarded(task)).detach();
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(
        core: Option<usize>,
        main: impl FnOnce() -> F,
    ) -> io::Result<T> {
        let placement = core.map_or(Placement::Unbound, Placement::Fixed);
        let executor = LocalExecutorBuilder::new(placement)
            .io_memory(IO_MEMORY)
            .make()?;
        Ok(executor.run(async { main().await }))
    }

    type Handed = std::net::TcpStream;

    fn release(stream: Stream) -> io::Result<std::net::TcpStream> {
        // glommio does not give its descriptor away, and closes it when it is dropped.
        Ok(stream.descriptor().try_clone_to_owned()?.into())
    }

    fn adopt(handed: std::net::TcpStream) -> io::Result<Stream> {
        // SAFETY: the descriptor was just given up by its owner, is open, and is a connection's.
        Stream::new(unsafe { TcpStream::from_raw_fd(handed.into_raw_fd()) })
    }
}

/// A glommio connection with tokio's io traits.
pub(crate) struct Stream {
    inner: TcpStream,
    /// Bytes read since others could last run.
    read: usize,
}

impl Stream {
    fn new(inner: TcpStream) -> io::Result<Self> {
        inner.set_nodelay(true)?;
        Ok(Stream { inner, read: 0 })
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: `inner` owns the descriptor and lives as long as the borrow of `self`.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= READ_BUDGET {
            self.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // SAFETY: the slice is only written to, by recv, which writes initialised bytes.
        let room: &mut [MaybeUninit<u8>] = unsafe { buffer.unfilled_mut() };
        if room.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let fd = self.descriptor();
        match SockRef::from(&fd.as_fd()).recv_with_flags(room, libc::MSG_DONTWAIT) {
            Ok(count) => {
                // SAFETY: recv wrote `count` bytes at the start of the unfilled part.
                unsafe { buffer.assume_init(count) };
                buffer.advance(count);
                self.read += count;
                return Poll::Ready(Ok(()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        // Nothing there: let glommio wait. It looks once more and may find late bytes.
        self.read = 0;
        let mut late = [0; LATE_BYTES];
        let room = LATE_BYTES.min(buffer.remaining());
        let count = ready!(Pin::new(&mut self.inner).poll_read(context, &mut late[..room]))?;
        buffer.put_slice(&late[..count]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let fd = self.descriptor();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match SockRef::from(&fd.as_fd()).send_vectored_with_flags(slices, flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        let first = first.map_or(&[][..], |slice| slice);
        Pin::new(&mut self.inner).poll_write(context, first)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}

/// A file that is written and synced on the thread that glommio keeps for calls that block, and read, where the page
/// cache does not have it, through the ring. The ring would hand writes and syncs to threads of the kernel's, and keep
/// the bytes.
pub(crate) struct RingFile {
    /// Its descriptor is a duplicate, since glommio closes what it is given.
    ring: BufferedFile,
    host: Arc<HostFile>,
}

impl RingFile {
    fn adopt(host: HostFile) -> io::Result<Self> {
        let duplicate = host.file.try_clone()?.into_raw_fd();
        // SAFETY: the descriptor was just made, is open, and is given up by its owner here.
        let ring = unsafe { BufferedFile::from_raw_fd(duplicate) };
        let host = Arc::new(host);
        Ok(RingFile { ring, host })
    }

    async fn on_helper<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HostFile) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let host = Arc::clone(&self.host);
        glommio::executor()
            .spawn_blocking(move || work(&host))
            .await
    }
}

impl File for RingFile {
    async fn create(path: &Path) -> io::Result<Self> {
        Self::adopt(open_host_file(path, true).await?)
    }

    async fn open(path: &Path) -> io::Result<Self> {
        Self::adopt(open_host_file(path, false).await?)
    }

    fn size(&self) -> io::Result<u64> {
        self.host.size()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            if !self.host.read_cached(at, &mut bytes)? {
                let more = self.ring.read_at(at, length - bytes.len()).await?;
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
