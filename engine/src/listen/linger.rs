//! A connection whose first bytes can be looked at and read again, that reports to its `Peer` what arrives
//! and what cannot be written, and that closes in a way that lets its peer read the last answer. A socket that is closed while bytes lie in it unread resets its peer, and a
//! reset may take an answer away that was not read yet: so after the last byte is written, what the peer
//! still sends is read off and dropped, within bounds.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::FrameMeter;
use super::peer::{End, Peer};
use crate::limits::{DISCARD_BYTES_MAX, DISCARD_TIMEOUT};
use crate::memory::{Intake, Memory};
use crate::reactor::Reactor;

/// Bytes read off at once.
const ROOM: usize = 16 << 10;

/// See the module: reading begins with what was given back, shutting down waits; all else is the stream's.
pub(crate) struct Linger<R: Reactor> {
    inner: R::Stream,
    peer: Rc<Peer>,
    /// What it is read into, where that is bounded.
    memory: Option<Rc<Memory>>,
    intake: Intake,
    /// Present when the bytes are HTTP/2.
    frames: Option<FrameMeter>,
    /// Bytes given back, and how many of them were read again.
    unread: Vec<u8>,
    read: usize,
    closing: Option<Closing>,
}

/// The write side is shut down.
struct Closing {
    bytes_left: usize,
    /// Made when there is something to wait for.
    deadline: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<R: Reactor> Linger<R> {
    pub(crate) fn new(inner: R::Stream, peer: Rc<Peer>, memory: Option<Rc<Memory>>) -> Self {
        Linger {
            inner,
            peer,
            memory,
            intake: Intake::default(),
            frames: None,
            unread: Vec::new(),
            read: 0,
            closing: None,
        }
    }

    /// Whose connection it is.
    pub(super) fn peer(&self) -> &Rc<Peer> {
        &self.peer
    }

    /// Gives back the first bytes of the connection, all that was read so far: the preface of HTTP/2,
    /// after which frames come.
    pub(super) fn unread_preface(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
        self.read = 0;
        self.frames = Some(FrameMeter::default());
    }

    /// Reports what was read.
    fn arrived(&mut self, bytes: &[u8]) {
        let Some(frames) = &mut self.frames else {
            return self.peer.head_arrives();
        };
        let brought = frames.follow(bytes);
        self.peer
            .frames_arrive(brought.completed, !frames.between());
        self.peer.charge(brought.cost);
    }

    /// Reports whether a write went on.
    fn written<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.peer.writes(result.is_pending());
        result
    }
}

impl<R: Reactor> AsyncRead for Linger<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.unread[this.read..];
        if rest.is_empty() {
            if this.peer.asked() >= Some(End::Calm) {
                // Nothing is read any more. Whoever serves the connection is on the way to end it.
                return Poll::Pending;
            }
            if let Some(memory) = &this.memory {
                ready!(memory.poll_read(&mut this.intake, context));
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
            if let Some(memory) = &this.memory {
                memory.read(buffer.filled().len() - before);
            }
            this.arrived(&buffer.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        this.read += count;
        Poll::Ready(Ok(()))
    }
}

impl<R: Reactor> AsyncWrite for Linger<R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Ready when the peer has closed too, or has been waited for long enough, or must not be waited for.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
        }
        if this.peer.asked() == Some(End::Leave) {
            return Poll::Ready(Ok(()));
        }
        let closing = this.closing.get_or_insert(Closing {
            bytes_left: DISCARD_BYTES_MAX,
            deadline: None,
        });
        let mut room = [MaybeUninit::uninit(); ROOM];
        while closing.bytes_left > 0 {
            let mut buffer = ReadBuf::uninit(&mut room);
            match Pin::new(&mut this.inner).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    closing.bytes_left = closing.bytes_left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let deadline = || Box::pin(R::sleep(DISCARD_TIMEOUT)) as _;
                    let deadline = closing.deadline.get_or_insert_with(deadline);
                    return deadline.as_mut().poll(context).map(Ok);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
