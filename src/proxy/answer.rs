//! From the upstream's answer to the client's: what is left out, what is added.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use actix_web::web::Bytes;

use crate::assertion::ReservedNames;
use crate::http::error::{ErrorCode, X_HUFU_ERROR};
use crate::http::extract::X_REQUEST_ID;
use crate::proxy::download::Download;
use crate::proxy::forward::UpstreamResponse;
use crate::proxy::handover::TunnelBody;
use crate::proxy::hop_by_hop;
use crate::proxy::response_head::ResponseHead;
use crate::proxy::watched_body::WatchedBody;

/// The body of an answer to a client.
pub enum AnswerBody {
    /// An upstream's.
    Upstream(Box<Download>),
    /// An upstream's that is still coming, of a request with a session.
    Watched(Box<WatchedBody>),
    /// The client's end of a WebSocket.
    Tunnel(TunnelBody),
    /// The gateway's own.
    Own(BoxBody),
}

/// What an upstream's answer must not say.
#[derive(Debug, Clone)]
pub struct AnswerRules {
    /// The names that only the gateway may set, in answers too.
    pub reserved: ReservedNames,
    /// The cookies that carry tokens.
    pub token_cookies: Vec<String>,
}

/// The answer as the client gets it.
#[must_use]
pub fn to_client(answer: UpstreamResponse, rules: &AnswerRules) -> HttpResponse<AnswerBody> {
    let UpstreamResponse { head, body } = answer;
    let mut response = HttpResponse::with_body(head.status, AnswerBody::Upstream(Box::new(body)));
    let headers = response.headers_mut();
    if let (StatusCode::NOT_MODIFIED, Some(length)) = (head.status, head.content_length) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let ResponseHead { headers: lines, .. } = head;
    // Nearly always none: then nothing is cloned and nothing allocated.
    let connection: Vec<HeaderValue> = lines.iter().filter(|(name, _)| *name == CONNECTION).map(|(_, value)| value.clone()).collect();
    let options = hop_by_hop::options(connection.iter());
    for (name, value) in lines {
        // The length is written by the server from the body's own.
        let of_the_connection = hop_by_hop::contains(name.as_str()) || hop_by_hop::named(&options, name.as_str()) || name == CONTENT_LENGTH;
        if !of_the_connection && rules.lets_through(&name, &value) {
            headers.append(name, value);
        }
    }
    response
}

/// On an optional route a dead token means an anonymous request; the answer says why.
pub fn say_token_is_dead(response: &mut HttpResponse<AnswerBody>, code: ErrorCode) {
    response.headers_mut().insert(HeaderName::from_static(X_HUFU_ERROR), HeaderValue::from_static(code.word()));
}

/// The request's id, by which an operator finds its line.
pub fn add_request_id(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

impl AnswerRules {
    /// An upstream cannot speak for the gateway: neither its errors nor its identity headers nor its cookies.
    fn lets_through(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        if self.reserved.contains(name.as_str().as_bytes()) {
            return false;
        }
        let cookie = || value.as_bytes().split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        *name != SET_COOKIE || !self.token_cookies.iter().any(|own| own.as_bytes() == cookie())
    }
}

impl MessageBody for AnswerBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        match self {
            Self::Upstream(body) => body.size(),
            Self::Watched(body) => body.size(),
            Self::Tunnel(body) => body.size(),
            Self::Own(body) => body.size(),
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut *self {
            Self::Upstream(body) => Pin::new(&mut **body).poll_next(cx).map_err(Into::into),
            Self::Watched(body) => Pin::new(&mut **body).poll_next(cx).map_err(Into::into),
            Self::Tunnel(body) => Pin::new(body).poll_next(cx).map_err(Into::into),
            Self::Own(body) => Pin::new(body).poll_next(cx),
        }
    }
}
