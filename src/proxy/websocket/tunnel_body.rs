//! The body of a 101 answer, which a tunnel's task fills. It holds one piece at a time, so that a
//! slow client slows the upstream down and fills no memory.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use crate::upstream_client::download::BrokenBody;

/// The task's end.
pub struct BodySender(Rc<RefCell<BodyState>>);

/// The body of a 101: what comes out of the tunnel.
pub struct TunnelBody(Rc<RefCell<BodyState>>);

#[derive(Default)]
struct BodyState {
    piece: Option<Bytes>,
    /// How it ends, once that is known: with these bytes, or broken off.
    end: Option<Result<Bytes, BrokenBody>>,
    left: bool,
    sender: Option<Waker>,
    receiver: Option<Waker>,
}

/// Both ends.
#[must_use]
pub fn tunnel_body() -> (BodySender, TunnelBody) {
    let state = Rc::new(RefCell::new(BodyState::default()));
    (BodySender(state.clone()), TunnelBody(state))
}

impl BodySender {
    /// Ready when the last piece was taken.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        state.sender = Some(cx.waker().clone());
        if state.piece.is_none() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether the client has left.
    pub fn is_left(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.borrow_mut();
        state.sender = Some(cx.waker().clone());
        state.left
    }

    /// Gives a piece.
    pub fn give(&self, piece: Bytes) {
        self.0.borrow_mut().piece = Some(piece);
        self.wake();
    }

    /// The last bytes, which may be none; or the tunnel broke off.
    pub fn end(&self, how: Result<Bytes, BrokenBody>) {
        self.0.borrow_mut().end = Some(how);
        self.wake();
    }

    fn wake(&self) {
        let receiver = self.0.borrow_mut().receiver.take();
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        self.0.borrow_mut().end.get_or_insert(Err(BrokenBody::Own));
        self.wake();
    }
}

impl Drop for TunnelBody {
    fn drop(&mut self) {
        let sender = {
            let mut state = self.0.borrow_mut();
            state.left = true;
            state.sender.take()
        };
        if let Some(sender) = sender {
            sender.wake();
        }
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
        let mut state = self.0.borrow_mut();
        if let Some(piece) = state.piece.take() {
            let sender = state.sender.take();
            drop(state);
            if let Some(sender) = sender {
                sender.wake();
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match &mut state.end {
            None => {
                state.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Ok(last)) if last.is_empty() => Poll::Ready(None),
            Some(Ok(last)) => Poll::Ready(Some(Ok(std::mem::take(last)))),
            Some(Err(broken)) => Poll::Ready(Some(Err(*broken))),
        }
    }
}
