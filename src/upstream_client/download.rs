//! An answer's body on its way to the client, with constant memory. It also carries on with the
//! request's body: an upstream may answer before it has read everything, and what it then still
//! reads must be whole.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use crate::http::ErrorCode;
use crate::http::body_decoder::{BodyDecoder, BodyPart};
use crate::http::request_log::BrokenOff;
use crate::upstream::resolved::UnderWay;
use crate::upstream_client::connection::Connection;
use crate::upstream_client::exchange::ExchangeResponse;
use crate::upstream_client::pool::Pool;
use crate::upstream_client::response_head::{BadAnswer, ResponseHead};
use crate::upstream_client::upload::{Upload, UploadError};

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenBody {
    /// The upstream's answer is no good.
    #[error("the upstream's body cannot be used: {0}")]
    Answer(#[from] BadAnswer),
    /// The upstream fell silent.
    #[error("the upstream sent nothing for too long within its body")]
    Silence,
    /// The client's own body does not get through.
    #[error("{0}")]
    Client(UploadError),
    /// The client did not go on with its body for as long as the upstream may be silent.
    #[error("the client did not go on with its body")]
    ClientSilent,
    /// The gateway's own part in it has ended too early.
    #[error("the gateway broke off")]
    Own,
}

impl BrokenOff for BrokenBody {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Answer(_) => ErrorCode::UpstreamError,
            Self::Silence => ErrorCode::UpstreamTimeout,
            Self::Client(UploadError::Left) | Self::ClientSilent => ErrorCode::BodyBroken,
            Self::Client(UploadError::TooLarge) => ErrorCode::BodyTooLarge,
            Self::Own => ErrorCode::Internal,
        }
    }
}

/// What a request holds until the last byte of its answer.
#[derive(Default)]
pub struct RequestPermits {
    /// Its place among those that the upstream has under way at once.
    pub place: Option<OwnedSemaphorePermit>,
    /// That its target is busy with it.
    pub under_way: Option<UnderWay>,
}

/// A body that is still coming.
pub struct Download {
    pool: Rc<Pool>,
    held: RequestPermits,
    /// Gone once the connection was given back, or after an error.
    connection: Option<Box<Connection>>,
    upload: Box<Upload>,
    left: BodyDecoder,
    size: BodySize,
    reusable: bool,
    /// Backends that send a body where there is none may still be about to.
    bodiless: bool,
    /// The answer began before the request was out. Whether the upstream will read the rest as that
    /// request's body, or as the next request, whose answer would go to somebody else, only it
    /// knows: the connection is not used again.
    early: bool,
    timeout: Duration,
}

impl Download {
    /// The body behind a head, which it gives back.
    pub fn new(
        answer: ExchangeResponse,
        pool: Rc<Pool>,
        held: RequestPermits,
        timeout: Duration,
    ) -> (ResponseHead, Self) {
        let ExchangeResponse {
            head,
            connection,
            upload,
            ..
        } = answer;
        let size = match head.body {
            // A length is taken at its word, except after HEAD; a 304 has its length as a header.
            BodyDecoder::Complete if head.status == StatusCode::NOT_MODIFIED => BodySize::None,
            BodyDecoder::Complete => head.content_length.map_or(BodySize::None, BodySize::Sized),
            BodyDecoder::Sized(length) => BodySize::Sized(length),
            _ => BodySize::Stream,
        };
        let body = Self {
            pool,
            held,
            connection: Some(connection),
            early: !upload.is_done(),
            upload,
            left: head.body,
            size,
            reusable: head.keep_alive,
            bodiless: head.bodiless,
            timeout,
        };
        (head, body)
    }

    /// Carries an exchange without an answer body to its end: a body of size zero is never polled,
    /// so the rest of the request's body would stay where it is.
    pub async fn finish_if_empty(&mut self) -> Result<(), BrokenBody> {
        if self.left == BodyDecoder::Complete {
            std::future::poll_fn(|cx| self.poll(cx))
                .await
                .transpose()
                .map(|_| ())
        } else {
            Ok(())
        }
    }

    /// The connection behind a switch of protocols, with what the request holds.
    #[must_use]
    pub fn into_connection(self) -> Option<(Box<Connection>, RequestPermits)> {
        self.connection.map(|connection| (connection, self.held))
    }

    /// Whether all of it has come already, and nothing of the request is still going out.
    pub fn is_here(&self) -> bool {
        match self.left {
            BodyDecoder::Complete => true,
            BodyDecoder::Sized(left) => {
                self.upload.is_done()
                    && self
                        .connection
                        .as_ref()
                        .is_some_and(|connection| connection.buf.len() as u64 >= left)
            }
            _ => false,
        }
    }

    fn release(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.reusable
            && !self.early
            && !self.upload.is_refused
            && connection.buf.is_empty()
        {
            self.pool.give_back(connection, self.bodiless);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        let Some(mut connection) = self.connection.take() else {
            return Poll::Ready(None);
        };
        let next = self.poll_with(cx, &mut connection);
        // After an error the connection is dropped, which the upstream sees as a broken exchange.
        if !matches!(next, Poll::Ready(Some(Err(_)))) {
            self.connection = Some(connection);
        }
        if matches!(next, Poll::Ready(None)) {
            self.release();
        }
        next
    }

    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        self.upload
            .advance(cx, &mut connection.io)
            .map_err(BrokenBody::Client)?;
        if self.upload.take_progress() {
            connection.idle_timer.renew(self.timeout);
        }
        loop {
            if let Some(bytes) = self.decode(&mut connection.buf)? {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.left == BodyDecoder::Complete && (self.upload.is_over() || !self.reusable) {
                return Poll::Ready(None);
            }
            match connection.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.cut()),
                // A reset is no end, not even of a body that ends with its connection.
                Poll::Ready(Err(_)) if self.left == BodyDecoder::Complete => {
                    return Poll::Ready(self.cut());
                }
                Poll::Ready(Err(_)) => {
                    return Poll::Ready(Some(Err(BrokenBody::Answer(BadAnswer::Cut))));
                }
                Poll::Ready(Ok(_)) => connection.idle_timer.renew(self.timeout),
                Poll::Pending if connection.idle_timer.poll(cx).is_ready() => {
                    return Poll::Ready(Some(Err(self.silence())));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whose silence it is.
    fn silence(&self) -> BrokenBody {
        if self.upload.waits_for_client() {
            BrokenBody::ClientSilent
        } else {
            BrokenBody::Silence
        }
    }

    /// The upstream has closed.
    fn cut(&mut self) -> Option<Result<Bytes, BrokenBody>> {
        self.reusable = false;
        match self.left {
            BodyDecoder::Complete | BodyDecoder::UntilClose => None,
            _ => Some(Err(BrokenBody::Answer(BadAnswer::Cut))),
        }
    }

    /// The next piece of the body out of what was read; `None`: more must be read, or nothing is
    /// left.
    fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, BadAnswer> {
        match self.left.take(buf) {
            BodyPart::Data(bytes) => Ok(Some(bytes)),
            BodyPart::More => Ok(None),
            BodyPart::Broken => Err(BadAnswer::Chunk),
            BodyPart::End => {
                // Bytes behind the end are nobody's: they end the connection, not the answer (RFC
                // 9112 section 6.3).
                if !buf.is_empty() {
                    buf.clear();
                    self.reusable = false;
                    self.pool.note_untidy();
                }
                Ok(None)
            }
        }
    }
}

impl MessageBody for Download {
    type Error = BrokenBody;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.poll(cx)
    }
}
