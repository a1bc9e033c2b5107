//! The body of an answer whose request is logged.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use crate::http::error::ErrorCode;
use crate::http::request_log::RequestLog;

/// Why an answer's body broke off.
pub trait BrokenOff {
    /// The code in the access line.
    fn code(&self) -> ErrorCode;
}

/// A body of the gateway's own, which is there in full.
impl BrokenOff for Box<dyn Error> {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

/// A body that reports its request when its last byte has gone, or when the client has.
pub struct LoggedBody<B> {
    body: B,
    request_log: Box<RequestLog>,
}

impl<B> LoggedBody<B> {
    /// The body with the request's account.
    pub const fn new(body: B, request_log: Box<RequestLog>) -> Self {
        Self { body, request_log }
    }

    /// Another body of the same request, before anything of it has gone.
    pub fn map<C>(self, map: impl FnOnce(B) -> C) -> LoggedBody<C> {
        LoggedBody::new(map(self.body), self.request_log)
    }
}

impl<B: MessageBody<Error: BrokenOff> + Unpin> MessageBody for LoggedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = ready!(Pin::new(&mut self.body).poll_next(cx));
        match &next {
            Some(Ok(bytes)) => self.request_log.bytes += bytes.len() as u64,
            Some(Err(error)) => self.request_log.broke_off(error.code()),
            None => {}
        }
        Poll::Ready(next)
    }
}
