//! HTTP/1.1 towards an upstream: one exchange on one connection, up to the head of the answer.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::clock::monotonic_now;
use crate::http::scheduling::yield_to_ready_tasks;
use crate::upstream_client::connection::Connection;
use crate::upstream_client::response_head::{self, BadAnswer, ResponseHead};
use crate::upstream_client::upgrade::Upgrade;
use crate::upstream_client::upload::{Upload, UploadError};

/// What an exchange must keep to.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The method, which decides whether an answer has a body and whether the request may be sent
    /// twice.
    pub method: &'a str,
    /// How long the upstream may be silent before the head of its answer.
    pub first_byte_timeout: Duration,
    /// How long it may be silent after it.
    pub timeout: Duration,
    /// When everything must be over.
    pub limit: Option<Instant>,
    /// Whether `limit` is the request's own, and earlier than any time of the upstream: then silence
    /// says nothing about the endpoint.
    pub is_impatient: bool,
    /// What the 101 of a WebSocket handshake must say; `None`: the request is no handshake.
    pub upgrade: Option<&'a Upgrade>,
    /// Set once the upstream has all of a request that must not be sent twice.
    pub passed: &'a Cell<bool>,
}

impl Terms<'_> {
    /// Whether the request may be sent twice. A handshake may not: it begins something.
    pub fn may_repeat(&self) -> bool {
        self.upgrade.is_none() && may_repeat(self.method)
    }
}

/// The head of an answer, and everything that its body needs.
pub struct ExchangeResponse {
    pub head: ResponseHead,
    /// When it came.
    pub at: Instant,
    /// The connection that it came on.
    pub connection: Box<Connection>,
    /// What is still to be sent of the request.
    pub upload: Box<Upload>,
}

/// An exchange without a usable answer.
pub struct Failed {
    /// Why.
    pub failure: ExchangeFailure,
    /// The request, back at its start, where another attempt can do no harm: nothing of it was
    /// written, or the upstream closed in the place of an answer to a method that changes nothing,
    /// and the client's body was not begun.
    pub again: Option<Box<Upload>>,
}

/// Why there is no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeFailure {
    /// What came is no answer.
    Answer(BadAnswer),
    /// Nothing came in time.
    Silence,
    /// The client's body does not get through.
    Client(UploadError),
}

/// Methods that change nothing. RFC 9110 section 9.2.2 has more that may be repeated; but a second
/// DELETE may answer 404 to a client whose first one worked.
pub fn may_repeat(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// Sends a request and reads until the head of its answer.
pub async fn exchange(
    mut connection: Box<Connection>,
    mut upload: Box<Upload>,
    now: Instant,
    terms: Terms<'_>,
) -> Result<ExchangeResponse, Failed> {
    yield_to_ready_tasks().await;
    connection
        .idle_timer
        .begin(now, terms.first_byte_timeout, terms.limit);
    let mut interim = 0;
    let head = poll_fn(|cx| poll_head(cx, &mut connection, &mut upload, &mut interim, terms)).await;
    let failure = match head {
        Ok(head) => {
            let at = monotonic_now();
            connection.idle_timer.answer_received(at);
            return Ok(ExchangeResponse {
                head,
                at,
                connection,
                upload,
            });
        }
        // The upstream cannot answer what it has not got.
        Err(ExchangeFailure::Silence) if upload.waits_for_client() => {
            ExchangeFailure::Client(UploadError::Left)
        }
        // Nothing is wrong with the next answer but that it comes behind this.
        Err(ExchangeFailure::Answer(BadAnswer::NotHttp)) if connection.served => {
            ExchangeFailure::Answer(BadAnswer::Leftover)
        }
        Err(failure) => failure,
    };
    let unanswered = matches!(
        failure,
        ExchangeFailure::Answer(BadAnswer::Cut | BadAnswer::Leftover)
    );
    let harmless = unanswered && (terms.may_repeat() || upload.wrote_nothing());
    let again = if harmless { upload.rewound() } else { None };
    Err(Failed { failure, again })
}

/// Sends the request and reads until the answer's head is complete. A failed upload does not end
/// the wait: an upstream that refuses a body has most likely said why.
fn poll_head(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    upload: &mut Upload,
    interim: &mut u8,
    terms: Terms<'_>,
) -> Poll<Result<ResponseHead, ExchangeFailure>> {
    upload
        .advance(cx, &mut connection.io)
        .map_err(ExchangeFailure::Client)?;
    // Without a body it is out at the beginning.
    if upload.take_progress() && upload.has_body() {
        connection.idle_timer.renew(terms.first_byte_timeout);
    }
    if upload.is_done() && !may_repeat(terms.method) {
        terms.passed.set(true);
    }
    loop {
        if !connection.buf.is_empty() {
            let head =
                response_head::take(&mut connection.buf, terms.method, terms.upgrade, interim);
            if let Some(head) = head.map_err(ExchangeFailure::Answer)? {
                return Poll::Ready(Ok(head));
            }
        }
        match connection.poll_read(cx) {
            Poll::Ready(Ok(0) | Err(_)) => {
                return Poll::Ready(Err(ExchangeFailure::Answer(BadAnswer::Cut)));
            }
            Poll::Ready(Ok(_)) => connection.idle_timer.renew(terms.first_byte_timeout),
            Poll::Pending => {
                ready!(connection.idle_timer.poll(cx));
                return Poll::Ready(Err(ExchangeFailure::Silence));
            }
        }
    }
}
