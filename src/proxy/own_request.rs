//! Requests that the gateway makes of itself: over the connections of its worker to an upstream,
//! retried and counted as any other.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use actix_web::body::MessageBody as _;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::BytesMut;
use tokio::time::timeout;

use crate::clock::monotonic_now;
use crate::crypto::{hash, random};
use crate::http::head::HeaderLines;
use crate::http::request_log::UpstreamCall;
use crate::http::response::write_line;
use crate::http::{Drain, GatewayError};
use crate::proxy::forward::{Forwarder, Outgoing};
use crate::proxy::pending_guard::PendingGuard;
use crate::proxy::via::Via;
use crate::upstream::{HostHeader, Upstream};
use crate::upstream_client::download::Download;
use crate::upstream_client::upload::BodyFraming;

/// The upstream's own machinery ends a request at its limit. This much later it is cut off, which
/// only a request meets that still waits for its turn.
const BACKSTOP: Duration = Duration::from_millis(100);

/// The way to the upstreams of one worker.
pub struct OwnRequests {
    pub forwarder: Forwarder,
    pub via: Via,
    pub drain: Drain,
}

/// A POST of the gateway's own.
pub struct OwnRequest<'a> {
    /// The name of an upstream.
    pub upstream: &'a str,
    pub path: &'a str,
    pub user_agent: &'static str,
    pub media_type: &'static str,
    /// Further header lines, each with its end.
    pub lines: &'a str,
    pub body: &'a [u8],
    pub id: &'a str,
    /// The longest that all of it takes; the upstream's own times count too.
    pub timeout: Duration,
    /// Longest body of an answer, in bytes.
    pub answer_max: usize,
}

/// An answer with a status, whatever that says.
pub struct OwnAnswer {
    pub status: StatusCode,
    pub headers: HeaderLines,
    /// As much of the body as has come, at most as much as was wanted.
    pub body: Vec<u8>,
    pub end: BodyEnd,
}

/// How the body of an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    Whole,
    /// It is longer than what is taken.
    TooLong,
    /// It broke off; for the log.
    Broken(String),
}

/// An id for a request that no client's request has led to.
#[must_use]
pub fn request_id() -> String {
    hash::to_hex(&random::name_bytes::<16>())
}

impl OwnRequests {
    /// Sends a request. It is sent again only where nothing of it was written. `Err`: why there is
    /// no answer, for the log.
    pub async fn send(&self, request: OwnRequest<'_>) -> Result<OwnAnswer, String> {
        let sent = timeout(request.timeout + BACKSTOP, self.try_send(&request)).await;
        sent.unwrap_or_else(|_| {
            let time = humantime::format_duration(request.timeout);
            Err(format!("{} gave no answer within {time}", request.upstream))
        })
    }

    async fn try_send(&self, request: &OwnRequest<'_>) -> Result<OwnAnswer, String> {
        let name = request.upstream;
        let upstream = self.forwarder.named(name);
        let upstream = upstream.ok_or_else(|| format!("there is no upstream {name} any more"))?;
        let guard = PendingGuard::new(None, &self.drain);
        let outgoing = Outgoing {
            upstream,
            user: None,
            method: "POST",
            head: self.written(upstream, request),
            payload: Payload::None,
            framing: BodyFraming::None,
            body_limit: 0,
            timeout: Some(request.timeout.min(upstream.first_byte_timeout)),
            total_timeout: Some(request.timeout),
            upgrade: None,
            guard: &guard,
        };
        let started = monotonic_now();
        let mut call = UpstreamCall::default();
        let forwarded = self.forwarder.forward(outgoing, &mut call, request.id);
        // The log has more of it: the forwarder has written a line.
        let no_answer =
            |error: GatewayError| format!("{name} gave no answer ({})", error.code.word());
        let response = forwarded.await.map_err(no_answer)?;
        let (body, mut end) = read(response.body, request.answer_max).await;
        let took = monotonic_now().saturating_duration_since(started);
        if matches!(end, BodyEnd::Broken(_)) && took >= request.timeout {
            let time = humantime::format_duration(request.timeout);
            end = BodyEnd::Broken(format!("its body was not whole within {time}"));
        }
        Ok(OwnAnswer {
            status: response.head.status,
            headers: response.head.headers,
            body,
            end,
        })
    }

    /// Head and body in one: so the request can be sent again as long as nothing of it was written.
    fn written(&self, upstream: &Upstream, request: &OwnRequest<'_>) -> BytesMut {
        let mut out = BytesMut::with_capacity(1024 + request.body.len());
        for part in ["POST ", request.path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        match &upstream.host {
            HostHeader::Client => write_line(&mut out, "host", upstream.authority.as_bytes()),
            HostHeader::Fixed(host) => write_line(&mut out, "host", host.as_bytes()),
            // Once an endpoint is chosen.
            HostHeader::Endpoint => {}
        }
        write_line(&mut out, "user-agent", request.user_agent.as_bytes());
        write_line(&mut out, "accept", b"*/*");
        write_line(&mut out, "content-type", request.media_type.as_bytes());
        let length = itoa::Buffer::new().format(request.body.len()).to_owned();
        write_line(&mut out, "content-length", length.as_bytes());
        write_line(&mut out, "x-request-id", request.id.as_bytes());
        out.extend_from_slice(self.via.line().as_bytes());
        out.extend_from_slice(request.lines.as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(request.body);
        out
    }
}

async fn read(body: Download, most: usize) -> (Vec<u8>, BodyEnd) {
    let mut body = pin!(body);
    let mut taken = Vec::new();
    loop {
        match poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            None => return (taken, BodyEnd::Whole),
            Some(Err(error)) => return (taken, BodyEnd::Broken(error.to_string())),
            Some(Ok(piece)) => {
                let room = most - taken.len();
                taken.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    return (taken, BodyEnd::TooLong);
                }
            }
        }
    }
}
