//! The body of the request that a client sends: read when its handler asks for it, and skipped once
//! the request has been answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use tokio::io::AsyncWrite as _;

use super::{BODY_READ, ClientConnection, DRAIN_BYTES};
use crate::clock::monotonic_now;
use crate::edge::h1::linger::{Linger, PAUSE};
use crate::http::body_decoder::BodyPart;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Fewer bytes of a body than this within the timeout count as silence.
pub(super) const SIGN_OF_LIFE: usize = 256;
/// How many bytes of a body may still be in flight when the client sees its answer. With more, the
/// client counts as still sending.
const UNDER_WAY: u64 = 64 * 1024;

impl ClientConnection {
    /// Passes over the rest of a body whose request has been answered. False: it goes on for too
    /// long.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.parser.take_body(&mut self.held) {
                BodyPart::Data(bytes) => self.body_bytes += bytes.len(),
                BodyPart::End => {
                    self.rest();
                    return Poll::Ready(true);
                }
                BodyPart::Broken => return Poll::Ready(false),
                BodyPart::More => match self.poll_fill(cx, BODY_READ) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                    Poll::Pending if self.is_late(cx) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                },
            }
            if self.body_bytes > DRAIN_BYTES {
                return Poll::Ready(false);
            }
        }
    }

    /// The next piece of the body, or of what comes through a WebSocket.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        ready!(self.poll_continue(cx))?;
        if self.body_refused {
            return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
        }
        loop {
            match self.parser.take_body(&mut self.held) {
                BodyPart::Data(bytes) => {
                    self.body_has_come(bytes.len());
                    return Poll::Ready(Some(Ok(bytes)));
                }
                BodyPart::End => return Poll::Ready(None),
                BodyPart::Broken => return Poll::Ready(Some(Err(PayloadError::EncodingCorrupted))),
                BodyPart::More if self.parser.is_handshake() => {
                    self.tunnel = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                BodyPart::More if self.left => {
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
                BodyPart::More => {}
            }
            match self.poll_fill(cx, BODY_READ) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) if self.parser.is_websocket() => return Poll::Ready(None),
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(PayloadError::Io(error)))),
                Poll::Pending if self.parser.is_websocket() => return Poll::Pending,
                Poll::Pending => {
                    let moment = *self
                        .read_by
                        .get_or_insert_with(|| monotonic_now() + self.body_time_left);
                    ready!(self.timer.poll(moment, cx));
                    self.connection.body_stalled.set(true);
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
            }
        }
    }

    /// Time runs only while the client is waited for: what keeps whoever takes the body is no
    /// silence of the client's.
    fn body_has_come(&mut self, bytes: usize) {
        self.body_bytes += bytes;
        let deadline = self.read_by.take();
        if self.body_bytes >= SIGN_OF_LIFE {
            self.body_bytes = 0;
            self.body_time_left = self.settings.body_timeout;
        } else if let Some(deadline) = deadline {
            self.body_time_left = deadline.saturating_duration_since(monotonic_now());
        }
    }

    /// Whether the client is in the midst of a body when its answer is there. One that waits to be
    /// asked for it sends nothing.
    pub fn is_sending(&self) -> bool {
        !self.left && !self.body_refused && self.parser.owes_more_than(UNDER_WAY, &self.held)
    }

    /// Passes over what comes of a body whose answer is there but for its end. Ready: the client
    /// has sent all of it, waits for that end, or has had its time.
    ///
    /// To a proxy a whole answer is the end of the request: it stops passing the body on, and most
    /// then reset their own client's connection, which still sends it.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut linger = self
            .linger
            .take()
            .unwrap_or_else(|| Box::new(Linger::new(&self.crowd)));
        let sent = self.poll_pass(&mut linger, cx);
        self.linger = Some(linger);
        sent
    }

    fn poll_pass(&mut self, linger: &mut Linger, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.parser.take_body(&mut self.held) {
                BodyPart::Data(_) => {}
                BodyPart::End | BodyPart::Broken => return Poll::Ready(()),
                BodyPart::More => match self.poll_fill(cx, BODY_READ) {
                    Poll::Ready(Ok(came @ 1..)) if linger.take(came) => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return linger.poll_over(PAUSE, &mut self.timer, cx),
                },
            }
        }
    }

    /// Asks a client for its body that waits to be asked. Without one it touches nothing: another
    /// task may be writing.
    pub(super) fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(sent) = self.promised {
            if sent == CONTINUE.len() {
                ready!(self.poll_flush(cx))?;
                self.promised = None;
                break;
            }
            let written = match Pin::new(&mut self.stream).poll_write(cx, &CONTINUE[sent..]) {
                Poll::Ready(written) => written?,
                Poll::Pending => return self.poll_stalled(cx),
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.promised = Some(sent + written);
        }
        Poll::Ready(Ok(()))
    }

    /// The answer begins: a body that was not asked for by now is not asked for any more.
    pub fn withdraw_continue(&mut self) {
        self.body_refused |= self.promised.take_if(|sent| *sent == 0).is_some();
    }

    /// Whether the request under way has a body, or becomes a WebSocket.
    pub fn is_in_body(&self) -> bool {
        self.parser.is_in_body()
    }

    /// Whether another request may come when the one under way has been answered: nothing that is
    /// still to come of it is in the way.
    pub fn may_go_on(&self) -> bool {
        !self.last && self.promised.is_none() && self.parser.may_end_within(DRAIN_BYTES as u64)
    }

    /// The handshake under way is answered with 101: what comes from now on is the WebSocket's.
    pub fn switch(&mut self) {
        self.parser.switch();
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.wake();
        }
    }
}
