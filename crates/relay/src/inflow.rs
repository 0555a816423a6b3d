//! What a connection has sent of a message that is not whole yet.
//!
//! A WebSocket message is collected where nobody sees it before it is whole, and its sender may talk in between (pings, pongs), so that it does not even
//! count as silent. What has been read and belongs to nothing that was whole is counted here, below that: it takes room like a body, and whoever
//! follows the connection can tell how long it lies about. Not here: what is done about that ([`mod@crate::command`]).

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::budget::{Budget, FREE, Held};
use crate::state::Places;

/// A masked frame's head (RFC 6455, section 5.2) as control frames have it: their payload has at most 125 bytes.
const CONTROL_HEAD: u64 = 6;

/// The count of one connection.
pub(crate) struct Inflow {
    budget: Budget,
    read: AtomicU64,
    /// Of what was read, what is done with; everything, ever, until somebody asks for messages.
    done: AtomicU64,
    held: Mutex<Held>,
}

impl Inflow {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, read: AtomicU64::new(0), done: AtomicU64::new(u64::MAX), held: Mutex::default() }
    }

    /// From now on messages are collected, and no bodies.
    pub(crate) fn begin(&self) {
        self.done.store(self.read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A message is whole. What came behind it and was read with it counts as done, too: that is no more than one read.
    pub(crate) fn whole(&self) {
        self.begin();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held::default();
    }

    /// A control frame with so many bytes has come, maybe amid a message.
    pub(crate) fn control(&self, payload: usize) {
        self.done.fetch_add(CONTROL_HEAD + payload as u64, Ordering::Relaxed);
    }

    /// Bytes of a message that is not whole.
    pub(crate) fn unfinished(&self) -> u64 {
        self.read.load(Ordering::Relaxed).saturating_sub(self.done.load(Ordering::Relaxed))
    }

    /// Counts what was read; an error if there is no room for it.
    fn count(&self, bytes: usize) -> io::Result<()> {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        let unfinished = usize::try_from(self.unfinished()).unwrap_or(usize::MAX);
        if unfinished <= FREE {
            return Ok(());
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match self.budget.grow_now(&mut held, unfinished) {
            true => Ok(()),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }
}

/// A stream whose reads are counted.
pub(crate) struct Counted<S> {
    inner: S,
    place: Arc<Places>,
}

impl<S> Counted<S> {
    pub(crate) fn new(inner: S, place: Arc<Places>) -> Self {
        Self { inner, place }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        Poll::Ready(self.place.inflow.count(buf.filled().len().saturating_sub(before)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A3: what control frames take is not what a message does, and a message that grows takes room until it is whole.
    #[test]
    fn a3_an_unfinished_message_takes_room() {
        let budget = Budget::new(4 * FREE as u64);
        let inflow = Inflow::new(budget.clone());
        // Requests are not counted here.
        inflow.count(10 * FREE).unwrap();
        assert_eq!(inflow.unfinished(), 0);
        inflow.begin();
        inflow.count(6 + 125).unwrap();
        inflow.control(125);
        assert_eq!(inflow.unfinished(), 0);
        inflow.count(2 * FREE).unwrap();
        inflow.count(6).unwrap();
        inflow.control(0);
        assert_eq!(inflow.unfinished(), 2 * FREE as u64);
        assert!(budget.take(3 * FREE).is_none());
        let others = budget.take(FREE + 1).unwrap();
        assert!(inflow.count(FREE).is_err());
        drop(others);
        inflow.whole();
        assert_eq!(inflow.unfinished(), 0);
        assert!(budget.take(4 * FREE).is_some());
        inflow.count(FREE).unwrap();
        assert!(budget.take(4 * FREE).is_some(), "what is small takes none");
    }
}
