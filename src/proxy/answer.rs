//! From the upstream's answer to the client's: what is left out, what is added.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::Bytes;

use crate::http::AnswerHead;
use crate::http::extract::X_REQUEST_ID;
use crate::http::head::Value;
use crate::proxy::hop_by_hop;
use crate::proxy::outgoing::HeadRules;
use crate::proxy::rules::RouteRules;
use crate::proxy::websocket::tunnel_body::TunnelBody;
use crate::session::carrier::TokenCarrier;
use crate::upstream_client::download::{BrokenBody, Download};
use crate::upstream_client::response_head::ResponseHead;

/// The body of an answer to a client.
pub enum AnswerBody {
    Upstream(Box<Download>),
    /// The client's end of a WebSocket.
    Tunnel(TunnelBody),
    /// The gateway's own.
    Own(BoxBody),
}

/// The answer's head as the client gets it.
pub fn to_client(head: &ResponseHead, rules: &HeadRules, route: &RouteRules) -> AnswerHead {
    let mut answer = AnswerHead::new(head.status);
    if let (StatusCode::NOT_MODIFIED, Some(length)) = (head.status, head.content_length) {
        answer.push(
            "content-length",
            itoa::Buffer::new().format(length).as_bytes(),
        );
    }
    let headers = head.headers.view();
    let options = hop_by_hop::options(headers);
    for (name, value, whole) in headers.whole_lines() {
        // The length is written from the body's own, and the request's id is the gateway's.
        let is_written_anew = hop_by_hop::contains(name)
            || hop_by_hop::named(&options, name)
            || name == b"content-length"
            || name == X_REQUEST_ID.as_bytes();
        if is_written_anew || speaks_for_gateway(rules, name, value) || route.response.drops(name) {
            continue;
        }
        if name == b"location" {
            route.write_location(value, &mut answer);
        } else {
            answer.pass(name, value.bytes(), whole);
        }
    }
    answer.push_lines(&route.response.lines);
    answer
}

/// An upstream cannot speak for the gateway: neither its errors nor its identity headers nor the
/// cookies that carry tokens.
fn speaks_for_gateway(rules: &HeadRules, name: &[u8], value: Value<'_>) -> bool {
    let cookie = || {
        let name = value.bytes().split(|b| *b == b'=').next();
        name.unwrap_or_default().trim_ascii()
    };
    rules.reserved.contains(name)
        || (name == b"set-cookie"
            && rules.carriers.iter().any(
                |carrier| matches!(carrier, TokenCarrier::Cookie(own) if own.as_bytes() == cookie()),
            ))
}

impl MessageBody for AnswerBody {
    type Error = BrokenBody;

    fn size(&self) -> BodySize {
        match self {
            Self::Upstream(body) => body.size(),
            Self::Tunnel(body) => body.size(),
            Self::Own(body) => body.size(),
        }
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut *self {
            Self::Upstream(body) => Pin::new(&mut **body).poll_next(cx),
            Self::Tunnel(body) => Pin::new(body).poll_next(cx),
            Self::Own(body) => Pin::new(body).poll_next(cx).map_err(|_| BrokenBody::Own),
        }
    }
}
