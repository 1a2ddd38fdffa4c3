//! A connection whose first bytes can be looked at and read again, and that closes in a way that lets its
//! peer read the last answer. A socket that is closed while bytes lie in it unread resets its peer, and a
//! reset may take an answer away that was not read yet: so after the last byte is written, what the peer
//! still sends is read off and dropped, within bounds.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{DISCARD_BYTES_MAX, DISCARD_TIMEOUT};
use crate::reactor::Reactor;

/// Bytes read off at once.
const ROOM: usize = 16 << 10;

/// See the module: reading begins with what was given back, shutting down waits; all else is the stream's.
pub(crate) struct Linger<R: Reactor> {
    inner: R::Stream,
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
    pub(crate) fn new(inner: R::Stream) -> Self {
        Linger {
            inner,
            unread: Vec::new(),
            read: 0,
            closing: None,
        }
    }

    /// Gives back the first bytes of the connection, all that was read so far.
    pub(crate) fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
        self.read = 0;
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
            return Pin::new(&mut this.inner).poll_read(context, buffer);
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
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Ready when the peer has closed too, or has been waited for long enough.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
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
