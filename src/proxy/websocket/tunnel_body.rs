//! The body of a 101 answer, which a tunnel's task fills. It holds one piece at a time, so that a
//! slow client slows the upstream down and fills no memory.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use crate::upstream_client::download::BrokenBody;

/// The task's end.
pub struct BodySender(Rc<BodyState>);

/// The body of a 101: what comes out of the tunnel.
pub struct TunnelBody(Rc<BodyState>);

#[derive(Default)]
struct BodyState {
    piece: Cell<Option<Bytes>>,
    /// How it ends, once that is known: with these bytes, or broken off.
    end: Cell<Option<Result<Bytes, BrokenBody>>>,
    has_left: Cell<bool>,
    sender: Cell<Option<Waker>>,
    receiver: Cell<Option<Waker>>,
}

/// Both ends.
pub fn tunnel_body() -> (BodySender, TunnelBody) {
    let state = Rc::new(BodyState::default());
    (BodySender(state.clone()), TunnelBody(state))
}

impl BodySender {
    /// Ready when the last piece was taken.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.sender.set(Some(cx.waker().clone()));
        match self.0.piece.take() {
            None => Poll::Ready(()),
            waits => {
                self.0.piece.set(waits);
                Poll::Pending
            }
        }
    }

    /// Whether the client has left.
    pub fn is_left(&self, cx: &Context<'_>) -> bool {
        self.0.sender.set(Some(cx.waker().clone()));
        self.0.has_left.get()
    }

    pub fn give(&self, piece: Bytes) {
        self.0.piece.set(Some(piece));
        wake(&self.0.receiver);
    }

    /// The last bytes, which may be none; or the tunnel broke off.
    pub fn end(&self, how: Result<Bytes, BrokenBody>) {
        self.0.end.set(Some(how));
        wake(&self.0.receiver);
    }
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        self.end(self.0.end.take().unwrap_or(Err(BrokenBody::Own)));
    }
}

impl Drop for TunnelBody {
    fn drop(&mut self) {
        self.0.has_left.set(true);
        wake(&self.0.sender);
    }
}

impl MessageBody for TunnelBody {
    type Error = BrokenBody;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        if let Some(piece) = self.0.piece.take() {
            wake(&self.0.sender);
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some(end) = self.0.end.take() else {
            self.0.receiver.set(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        // A second call gets the end again.
        self.0.end.set(Some(end.clone().map(|_| Bytes::new())));
        Poll::Ready(Some(end).filter(|end| !end.as_ref().is_ok_and(Bytes::is_empty)))
    }
}
