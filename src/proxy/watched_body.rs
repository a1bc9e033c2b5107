//! An answer's body that is cut when the session behind its request ends: event streams, and whatever else is long on its way.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use crate::http::completion::StreamAccount;
use crate::http::error::ErrorCode;
use crate::proxy::download::{BrokenBody, Download};
use crate::proxy::session_watch::SessionWatch;

/// Pieces that are not worth a timer: an ordinary answer is out with them.
const FREE_PIECES: u8 = 8;

/// A body with an eye on its session.
pub struct WatchedBody {
    body: Box<Download>,
    watch: SessionWatch,
    account: Rc<StreamAccount>,
    pieces: u8,
}

impl WatchedBody {
    /// Watches over a body; why it was cut is left in the account.
    #[must_use]
    pub const fn new(body: Box<Download>, watch: SessionWatch, account: Rc<StreamAccount>) -> Self {
        Self { body, watch, account, pieces: 0 }
    }
}

impl MessageBody for WatchedBody {
    type Error = BrokenBody;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        let next = Pin::new(&mut *self.body).poll_next(cx);
        self.pieces = self.pieces.saturating_add(1);
        let goes_on = next.is_pending() || (matches!(next, Poll::Ready(Some(Ok(_)))) && self.pieces > FREE_PIECES);
        if goes_on && self.watch.poll_ended(cx).is_ready() {
            self.account.error.set(Some(ErrorCode::SessionExpired));
            return Poll::Ready(Some(Err(BrokenBody::Session)));
        }
        next
    }
}
