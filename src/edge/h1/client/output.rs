//! What goes out to a client: answers, and the end of the connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

use super::{ClientConnection, HEAD_READ};
use crate::clock::monotonic_now;
use crate::edge::h1::linger::Linger;

impl ClientConnection {
    /// Writes some of these bytes; an error: the client has left, or takes nothing for too long.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: [&[u8]; 2],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.promised, Some(1..)) {
            // Half an interim answer must not stand before the final one.
            ready!(self.poll_continue(cx))?;
        }
        let stream = Pin::new(&mut self.stream);
        let written = match parts {
            [one, []] | [[], one] => stream.poll_write(cx, one),
            [one, other] => {
                stream.poll_write_vectored(cx, &[IoSlice::new(one), IoSlice::new(other)])
            }
        };
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(written) => {
                self.unflushed = true;
                if self.stream.taken().is_none() {
                    self.write_by = None;
                }
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_stalled(cx),
        }
    }

    /// Sees to it that what was written has left, which only encryption may hold back.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.poll_stalled(cx),
            Poll::Ready(flushed) => {
                self.write_by = None;
                self.unflushed = false;
                Poll::Ready(flushed)
            }
        }
    }

    /// Closes, so that the client sees the answer: were it still sending what nobody reads, the
    /// answer would be taken away from it.
    pub fn poll_close(&mut self, cx: &mut Context<'_>, unread: bool) -> Poll<()> {
        if !self.closed {
            match Pin::new(&mut self.stream).poll_shutdown(cx) {
                Poll::Pending => return self.poll_stalled::<()>(cx).map(drop),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            // What has come meanwhile would have the system reset the connection, and the client
            // lose the answer.
            let more = self.held.is_empty()
                && matches!(self.poll_fill(cx, HEAD_READ), Poll::Ready(Ok(1..)));
            if self.left || !(unread || more || !self.held.is_empty()) {
                return Poll::Ready(());
            }
            self.closed = true;
        }
        self.linger
            .get_or_insert_with(|| Box::new(Linger::new(&self.crowd)))
            .poll(&mut self.stream, &mut self.timer, cx)
    }

    /// The client takes nothing.
    pub(super) fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let taken = self.stream.taken();
        let (moment, _) = match self.write_by {
            Some(since) if since.1 == taken => since,
            _ => *self
                .write_by
                .insert((monotonic_now() + self.settings.write_timeout, taken)),
        };
        ready!(self.timer.poll(moment, cx));
        self.connection.write_stalled.set(true);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The answer has broken off; `unmarked`: nothing but the end of the connection says where it
    /// ends.
    pub fn cut(&self, unmarked: bool) {
        self.connection.answer_cut.set(true);
        if unmarked {
            self.stream.reset_when_dropped();
        }
    }
}
