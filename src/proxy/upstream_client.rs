//! The HTTP/1.1 client towards upstreams: one request at a time on each connection, another attempt where that can do no harm.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::web::BytesMut;
use tokio::net::TcpStream;

use crate::proxy::connection::Connection;
use crate::proxy::download::{BrokenBody, Download};
use crate::proxy::pool::Pool;
use crate::proxy::response_head::{self, BadAnswer, Framing, ResponseHead};
use crate::proxy::upload::{BodyFraming, Upload, UploadError};
use crate::upstream::{Endpoint, Upstream};

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error("cannot connect to {endpoint}: {reason}")]
    Unreachable {
        /// Where to.
        endpoint: Endpoint,
        /// For the log.
        reason: String,
    },
    /// Silent for longer than the upstream's timeout.
    #[error("{endpoint} was silent for {}", humantime::format_duration(*.silence))]
    Timeout {
        /// Who.
        endpoint: Endpoint,
        /// For how long.
        silence: Duration,
    },
    /// It answered something that is no answer.
    #[error("{endpoint} gave no usable answer: {why}")]
    Broken {
        /// Who.
        endpoint: Endpoint,
        /// What was wrong with it.
        why: BadAnswer,
    },
    /// The client broke off its body.
    #[error("the client broke off its body")]
    ClientLeft,
    /// The client's body is over the limit.
    #[error("the client's body is over the limit")]
    BodyTooLarge,
}

/// A request to an upstream.
pub struct UpstreamRequest<'a> {
    /// To whom.
    pub upstream: &'a Upstream,
    /// The method, which decides whether an answer has a body and whether the request may be sent twice.
    pub method: &'a Method,
    /// The serialised head.
    pub head: BytesMut,
    /// The body.
    pub payload: Payload,
    /// Its framing, as the head announces it.
    pub framing: BodyFraming,
    /// Longest body.
    pub body_limit: u64,
    /// How long the upstream may be silent.
    pub timeout: Duration,
}

/// An answer: its head, and its body still to come.
pub struct UpstreamResponse {
    /// The head.
    pub head: ResponseHead,
    /// The body; it also carries on with the request's body.
    pub body: Download,
}

/// The client of one worker.
#[derive(Default)]
pub struct UpstreamClient {
    pool: Rc<Pool>,
}

impl UpstreamClient {
    /// Sends a request and waits for the head of the answer. A kept connection that turns out to be dead costs the client nothing: the
    /// request goes out again on a fresh one where that is safe.
    pub async fn send(&self, request: UpstreamRequest<'_>, on_connect: impl Fn()) -> Result<UpstreamResponse, UpstreamError> {
        let UpstreamRequest { upstream, method, head, payload, framing, body_limit, timeout } = request;
        let endpoint = &upstream.endpoints[0];
        let mut payload = Some(payload);
        if let Some(connection) = self.pool.take(endpoint, may_repeat(method)) {
            let upload = Upload::new(head.clone(), payload.take().unwrap_or(Payload::None), framing, body_limit);
            match self.exchange(connection, upstream, method, upload, timeout).await {
                Err(Failed { error, retry: None }) => return Err(error),
                Err(Failed { retry: Some(unsent), .. }) => payload = Some(unsent),
                Ok(response) => return Ok(response),
            }
        }
        let connection = connect(endpoint, upstream).await?;
        on_connect();
        let upload = Upload::new(head, payload.take().unwrap_or(Payload::None), framing, body_limit);
        self.exchange(connection, upstream, method, upload, timeout).await.map_err(|failed| failed.error)
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        upstream: &Upstream,
        method: &Method,
        mut upload: Upload,
        timeout: Duration,
    ) -> Result<UpstreamResponse, Failed> {
        let endpoint = &upstream.endpoints[0];
        connection.patience().renew(timeout);
        let mut interim = 0;
        let mut takes_body = true;
        let head = poll_fn(|cx| poll_head(cx, &mut connection, &mut upload, &mut takes_body, method, &mut interim, timeout)).await;
        let error = match head {
            Ok(head) if is_overlong(&head, &connection.buf) => Failure::Answer(BadAnswer::Trailing),
            Ok(head) => {
                let mut body = Download::new(self.pool.clone(), endpoint.clone(), connection, upload, takes_body, &head, timeout);
                return match body.finish_if_empty().await {
                    Err(BrokenBody::Client) => Err(Failed::after_answer(UpstreamError::ClientLeft)),
                    Ok(()) | Err(BrokenBody::Answer(_) | BrokenBody::Silence) => Ok(UpstreamResponse { head, body }),
                };
            }
            Err(failure) => failure,
        };
        let silent_end = interim == 0 && connection.buf.is_empty() && matches!(error, Failure::Answer(BadAnswer::Cut));
        let repeatable = silent_end && upload.is_untouched() && (may_repeat(method) || upload.wrote_nothing());
        Err(Failed { error: error.told(endpoint, timeout), retry: repeatable.then(|| upload.into_payload()) })
    }
}

/// An exchange that failed; with the request's untouched body where another attempt can do no harm.
struct Failed {
    error: UpstreamError,
    retry: Option<Payload>,
}

impl Failed {
    const fn after_answer(error: UpstreamError) -> Self {
        Self { error, retry: None }
    }
}

enum Failure {
    Answer(BadAnswer),
    Silence,
    Client,
    TooLarge,
}

impl Failure {
    fn told(self, endpoint: &Endpoint, silence: Duration) -> UpstreamError {
        let endpoint = endpoint.clone();
        match self {
            Self::Answer(why) => UpstreamError::Broken { endpoint, why },
            Self::Silence => UpstreamError::Timeout { endpoint, silence },
            Self::Client => UpstreamError::ClientLeft,
            Self::TooLarge => UpstreamError::BodyTooLarge,
        }
    }
}

/// RFC 9110 section 9.2.2, without the methods that write: a second DELETE may answer 404 to a client whose first one worked.
fn may_repeat(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Bytes behind an answer whose end is known already: somebody else's answer, or an attempt at one.
fn is_overlong(head: &ResponseHead, buf: &BytesMut) -> bool {
    match head.framing {
        Framing::Empty => !buf.is_empty(),
        Framing::Sized(length) => buf.len() as u64 > length,
        Framing::Chunked | Framing::UntilClose => false,
    }
}

async fn connect(endpoint: &Endpoint, upstream: &Upstream) -> Result<Connection, UpstreamError> {
    let unreachable = |reason: String| UpstreamError::Unreachable { endpoint: endpoint.clone(), reason };
    let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let io = tokio::time::timeout(upstream.connect_timeout, connecting)
        .await
        .map_err(|_| unreachable(format!("no answer within {}", humantime::format_duration(upstream.connect_timeout))))?
        .map_err(|error| unreachable(error.to_string()))?;
    io.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    Ok(Connection::new(io, upstream.timeout))
}

/// Sends the request and reads until the answer's head is complete. A failed upload does not end the wait: an upstream that refuses a body
/// has most likely said why.
fn poll_head(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    upload: &mut Upload,
    takes_body: &mut bool,
    method: &Method,
    interim: &mut u8,
    timeout: Duration,
) -> Poll<Result<ResponseHead, Failure>> {
    if *takes_body {
        match upload.poll(cx, &mut connection.io) {
            Poll::Ready(Err(UploadError::Client)) => return Poll::Ready(Err(Failure::Client)),
            Poll::Ready(Err(UploadError::TooLarge)) => return Poll::Ready(Err(Failure::TooLarge)),
            Poll::Ready(Err(UploadError::Upstream(_))) => *takes_body = false,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if upload.take_progress() {
            connection.patience().renew(timeout);
        }
    }
    loop {
        match response_head::take(&mut connection.buf, method, interim) {
            Ok(Some(head)) => return Poll::Ready(Ok(head)),
            Ok(None) => {}
            Err(why) => return Poll::Ready(Err(Failure::Answer(why))),
        }
        match connection.poll_read(cx) {
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Failure::Answer(BadAnswer::Cut))),
            Poll::Ready(Ok(_)) => connection.patience().renew(timeout),
            Poll::Pending => {
                ready!(connection.patience().poll(cx));
                return Poll::Ready(Err(Failure::Silence));
            }
        }
    }
}
