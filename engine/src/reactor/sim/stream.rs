//! What the seam sees of the simulated network: sockets, listeners and streams with tokio's io traits.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::executor::Sleep;
use super::network::{ConnectionId, ListenerId};
use super::pipe::{End, Found, Pipe};
use super::process::Process;
use super::world::{try_with, with};

/// A listening socket that nobody accepts from yet. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct SimSocket(ListenerId);

/// A listening socket.
#[derive(Debug)]
pub(crate) struct SimListener(SimSocket);

/// One end of a connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct SimStream {
    id: ConnectionId,
    end: usize,
}

impl SimSocket {
    pub(super) fn new(address: SocketAddr) -> Self {
        let process = Process::present();
        SimSocket(with(|world| world.network.listen(address, process)))
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        try_with(|world| {
            let (executor, random) = (&mut world.executor, &mut world.random);
            world.network.stop_listening(self.0, executor, random);
        });
    }
}

impl SimListener {
    pub(super) fn new(socket: SimSocket) -> io::Result<Self> {
        let open = with(|world| world.network.listeners.contains_key(&socket.0));
        match open {
            true => Ok(SimListener(socket)),
            false => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<SimStream>> {
        let id = self.0.0;
        with(|world| {
            let Some(listener) = world.network.listeners.get_mut(&id) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            match listener.queue.pop_front() {
                Some(id) => Poll::Ready(Ok(SimStream { id, end: 1 })),
                None => {
                    listener.acceptor = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

pub(super) async fn connect(address: SocketAddr) -> io::Result<SimStream> {
    let delay = with(|world| world.network.delay(&mut world.random));
    Sleep::new(delay).await;
    poll_fn(|context| {
        with(
            |world| match world.network.is_silent(address, context.waker()) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            },
        )
    })
    .await;
    let client = Process::present();
    let connected = with(|world| {
        let random = &mut world.random;
        world.network.connect(address, client, random)
    });
    match connected {
        Some(id) => Ok(SimStream { id, end: 0 }),
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        with(|world| {
            let network = &mut world.network;
            let Some(connection) = network.connections.get(&self.id) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            if network.is_silent(connection.server, context.waker()) {
                return Poll::Pending;
            }
            let most = Pipe::portion(buffer.remaining(), network.small, &mut world.random);
            let Some(connection) = network.connections.get_mut(&self.id) else {
                return Poll::Pending;
            };
            let pipe = &mut connection.pipes[1 - self.end];
            let mut bytes = Vec::new();
            match pipe.pull(world.executor.time(), most, &mut bytes) {
                Found::Bytes => buffer.put_slice(&bytes),
                Found::End(End::Closed) => {}
                Found::End(End::Reset) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Found::Nothing => {
                    pipe.wait_to_read(context.waker(), &mut world.executor);
                    return Poll::Pending;
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with(|world| {
            let (network, executor) = (&mut world.network, &mut world.executor);
            let delay = network.delay(&mut world.random);
            let (small, now) = (network.small, executor.time());
            let Some(connection) = network.connections.get_mut(&self.id) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            // A reset reaches both ways.
            if let Some((End::Reset, at)) = connection.pipes[1 - self.end].ended()
                && at <= now
            {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let pipe = &mut connection.pipes[self.end];
            if pipe.ended().is_some() || pipe.unread_from.is_some_and(|at| at <= now) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let count = Pipe::portion(offered.min(pipe.room()), small, &mut world.random);
            if count == 0 && offered > 0 {
                pipe.wait_to_write(context.waker());
                return Poll::Pending;
            }
            let mut bytes = Vec::with_capacity(count);
            for slice in slices {
                let rest = slice.len().min(count - bytes.len());
                bytes.extend_from_slice(&slice[..rest]);
            }
            let mut cut = None;
            if let Some((left, how)) = &mut pipe.fuse {
                if count >= *left {
                    bytes.truncate(*left);
                    cut = Some(*how);
                }
                *left = left.saturating_sub(count);
            }
            if pipe.unread_from.is_none() {
                pipe.push(bytes, now + delay, executor);
            }
            if let Some(cut) = cut {
                pipe.fuse = None;
                network.cut(self.id, cut, executor, &mut world.random);
            }
            Poll::Ready(Ok(count))
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        with(|world| {
            let (network, executor) = (&mut world.network, &mut world.executor);
            let at = executor.time() + network.delay(&mut world.random);
            if let Some(connection) = network.connections.get_mut(&self.id) {
                connection.pipes[self.end].finish(End::Closed, at, executor);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        try_with(|world| {
            let (executor, random) = (&mut world.executor, &mut world.random);
            world.network.close(self.id, self.end, executor, random);
        });
    }
}
