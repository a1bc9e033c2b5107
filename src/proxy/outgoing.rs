//! Writing the request head that goes on to the upstream. The inbound head is never changed: what must not go on is left out while
//! the outgoing head is written.

use std::borrow::Cow;

use actix_web::web::BytesMut;

use crate::assertion::ReservedNames;
use crate::assertion::headers::is_same_name;
use crate::http::head::Value;
use crate::http::response::{pass_line, write_line};
use crate::http::{Inbound, RequestHead, buffers};
use crate::proxy::hop_by_hop;
use crate::proxy::rules::RequestEdits;
use crate::proxy::upload::BodyFraming;
use crate::session::carrier::{TokenCarrier, is_of_gateway_protocol};
use crate::session::token::redacted;

/// Every token starts with this.
const TOKEN_START: &str = "hufu_";

/// What the gateway always leaves out or writes itself, whatever the routes say.
#[derive(Debug, Clone)]
pub struct HeadRules {
    /// Names that only the gateway may set.
    pub reserved: ReservedNames,
    /// Where tokens stand.
    pub carriers: std::sync::Arc<[TokenCarrier]>,
}

/// The parts of an outgoing head.
#[derive(Debug)]
pub struct OutgoingHead<'a> {
    /// The client's head; the token is still in it.
    pub head: &'a RequestHead,
    /// The canonical path, as the route makes it.
    pub path: &'a str,
    /// What the route has left out at its front.
    pub stripped: Option<&'a str>,
    /// What the route changes in the headers.
    pub edits: &'a RequestEdits,
    /// The upstream's address.
    pub upstream: &'a str,
    /// The facts of the request.
    pub inbound: &'a Inbound,
    /// The identity lines; empty for an anonymous request.
    pub identity: &'a str,
    /// The body's framing.
    pub framing: BodyFraming,
    /// Whether it is a WebSocket handshake.
    pub upgrades: bool,
}

impl HeadRules {
    /// Writes the head.
    #[must_use]
    pub fn write(&self, parts: &OutgoingHead<'_>) -> BytesMut {
        let mut out = buffers::spare();
        self.request_line(&mut out, parts);
        let headers = parts.head.headers();
        let connection = hop_by_hop::options(headers);
        for (name, value, whole) in headers.whole_lines() {
            if self.goes_on(name, &connection, parts.inbound.trusted_peer) && !parts.edits.replaces(name) {
                self.pass(&mut out, name, value, whole);
            }
        }
        if !headers.contains("host") {
            // HTTP/1.0 clients may leave it out; HTTP/1.1 upstreams want one.
            write_line(&mut out, "host", parts.upstream.as_bytes());
        }
        if parts.upgrades {
            out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
        }
        forwarding(&mut out, parts);
        match parts.framing {
            BodyFraming::None => {}
            BodyFraming::Sized(length) => write_line(&mut out, "content-length", itoa::Buffer::new().format(length).as_bytes()),
            BodyFraming::Chunked => write_line(&mut out, "transfer-encoding", b"chunked"),
        }
        write_line(&mut out, "x-request-id", parts.inbound.id.as_bytes());
        write_line(&mut out, "traceparent", parts.inbound.traceparent.as_bytes());
        out.extend_from_slice(parts.edits.lines());
        // Last and unconditional: a `Connection: x-wx-openid` of the client's has no say in it.
        out.extend_from_slice(parts.identity.as_bytes());
        out.extend_from_slice(b"\r\n");
        out
    }

    fn request_line(&self, out: &mut BytesMut, parts: &OutgoingHead<'_>) {
        out.extend_from_slice(parts.head.method().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(parts.path.as_bytes());
        let query = parts.head.query();
        match query.map(|query| self.without_token(query)) {
            // What held only the token is gone; what was empty stays so.
            Some(rest) if rest.is_empty() && query.is_some_and(|query| !query.is_empty()) => {}
            Some(rest) => {
                out.extend_from_slice(b"?");
                out.extend_from_slice(rest.as_bytes());
            }
            None => {}
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }

    fn goes_on(&self, name: &[u8], connection: &[&[u8]], trusted_peer: bool) -> bool {
        if hop_by_hop::contains(name) || is_rewritten(name) || self.reserved.contains(name) {
            return false;
        }
        // `Host` is not the client's to remove.
        if hop_by_hop::named(connection, name) && name != b"host" {
            return false;
        }
        trusted_peer || !is_forwarding(name)
    }

    /// Writes a header without the token that may stand in it.
    fn pass(&self, out: &mut BytesMut, name: &[u8], value: Value<'_>, whole: Option<&[u8]>) {
        match name {
            b"authorization" if holds_token(value) => {}
            b"cookie" => {
                let rest = self.without_token_cookie(value);
                if !rest.is_empty() {
                    write_line(out, "cookie", &rest);
                }
            }
            b"referer" | b"x-forwarded-uri" | b"x-original-uri" | b"x-original-url" | b"x-rewrite-url" => match value.text() {
                Some(uri) => pass_line(out, name, self.uri_without_token(uri).as_bytes(), None),
                None if holds_token(value) => {
                    pass_line(out, name, self.uri_without_token(&String::from_utf8_lossy(value.bytes())).as_bytes(), None);
                }
                None => pass_line(out, name, value.bytes(), whole),
            },
            b"sec-websocket-protocol" => {
                let offered = String::from_utf8_lossy(value.bytes());
                let rest: Vec<&str> = offered.split(',').map(str::trim).filter(|protocol| !is_of_gateway_protocol(protocol)).collect();
                if rest.iter().any(|protocol| !protocol.is_empty()) {
                    write_line(out, "sec-websocket-protocol", rest.join(", ").as_bytes());
                }
            }
            _ if self.carries_header(name) => {}
            _ => pass_line(out, name, value.bytes(), whole),
        }
    }

    fn carries_header(&self, name: &[u8]) -> bool {
        self.carriers.iter().any(|carrier| matches!(carrier, TokenCarrier::Header(own) if is_same_name(own, name)))
    }

    /// The query without a token: neither under a configured name nor, sent to the wrong place by mistake, under any other.
    fn without_token(&self, query: &str) -> String {
        let is_own = |name: &str| self.carriers.iter().any(|carrier| matches!(carrier, TokenCarrier::Query(own) if own == name));
        query.split('&').filter(|pair| !is_token(pair, is_own)).collect::<Vec<_>>().join("&")
    }

    fn uri_without_token(&self, uri: &str) -> String {
        match uri.split_once('?') {
            Some((path, query)) => match self.without_token(query) {
                rest if rest.is_empty() => path.to_owned(),
                rest => format!("{path}?{rest}"),
            },
            None => uri.to_owned(),
        }
    }

    fn without_token_cookie(&self, value: Value<'_>) -> Vec<u8> {
        let is_own = |name: &str| self.carriers.iter().any(|carrier| matches!(carrier, TokenCarrier::Cookie(own) if own == name));
        let pairs = value.bytes().split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let rest: Vec<&[u8]> = pairs.filter(|pair| !is_token(&String::from_utf8_lossy(pair), is_own)).collect();
        rest.join(&b"; "[..])
    }
}

/// Whether a `name=value` pair carries a token: under a name that is configured for it, or by its looks.
fn is_token(pair: &str, is_own: impl Fn(&str) -> bool) -> bool {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    value.starts_with(TOKEN_START) || matches!(redacted(pair), Cow::Owned(_)) || is_own(name)
}

/// Whether a header, in any spelling, is the gateway's or the connection's own, so that no route sets or removes it.
#[must_use]
pub fn is_own(name: &str) -> bool {
    let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    folded == "host" || hop_by_hop::contains(folded.as_bytes()) || is_rewritten(folded.as_bytes()) || is_forwarding(folded.as_bytes())
}

/// What the gateway writes anew. `expect` was answered here.
fn is_rewritten(name: &[u8]) -> bool {
    // `Proxy` becomes HTTP_PROXY to CGI backends (httpoxy).
    matches!(name, b"expect" | b"traceparent" | b"proxy")
        // Nor their other spellings, which some servers take for them.
        || folds_to(name, "content-length")
        || folds_to(name, "transfer-encoding")
        || folds_to(name, "x-request-id")
        || folds_to(name, "x-forwarded-for")
        || folds_to(name, "x-forwarded-proto")
        || folds_to(name, "x-forwarded-host")
        || folds_to(name, "x-real-ip")
}

/// What only a trusted proxy may say of a request, in every spelling: `X-Original-URL` and `X-Rewrite-URL` choose the path in some frameworks.
fn is_forwarding(name: &[u8]) -> bool {
    let folded_start = |start: &str| name.len() >= start.len() && folds_to(&name[..start.len()], start);
    name.first().is_some_and(|b| matches!(b, b'x' | b'f' | b'c' | b't'))
        && (folded_start("x-forwarded")
            || folds_to(name, "forwarded")
            || folded_start("x-original-")
            || folds_to(name, "x-rewrite-url")
            || folds_to(name, "x-client-ip")
            || folds_to(name, "x-cluster-client-ip")
            || folds_to(name, "cf-connecting-ip")
            || folds_to(name, "true-client-ip")
            || folds_to(name, "client-ip"))
}

/// Equal when every character that is neither letter nor digit counts as `-`. Names arrive in lower case.
fn folds_to(name: &[u8], folded: &str) -> bool {
    name.len() == folded.len() && name.iter().zip(folded.bytes()).all(|(a, b)| *a == b || (b == b'-' && !a.is_ascii_alphanumeric()))
}

/// A backend's own `Authorization` on a route without sessions is none of the gateway's business; one with a token of ours is, in
/// whatever form.
fn holds_token(value: Value<'_>) -> bool {
    value.bytes().windows(TOKEN_START.len()).any(|part| part == TOKEN_START.as_bytes())
}

/// Where the request came from, as the upstream is told.
fn forwarding(out: &mut BytesMut, parts: &OutgoingHead<'_>) {
    let (inbound, headers) = (parts.inbound, parts.head.headers());
    let from_proxy = |name: &'static str| if inbound.trusted_peer { headers.get(name).map(Value::bytes) } else { None };
    let peer = &inbound.peer_text;
    match from_proxy("x-forwarded-for") {
        Some(chain) => write_line(out, "x-forwarded-for", &[chain, b", ", peer.as_bytes()].concat()),
        None => write_line(out, "x-forwarded-for", peer.as_bytes()),
    }
    write_line(out, "x-real-ip", inbound.client_text.as_bytes());
    write_line(out, "x-forwarded-proto", from_proxy("x-forwarded-proto").unwrap_or(if inbound.secure { b"https" } else { b"http" }));
    if let Some(host) = from_proxy("x-forwarded-host").or_else(|| headers.get("host").map(Value::bytes)) {
        write_line(out, "x-forwarded-host", host);
    }
    if let Some(prefix) = parts.stripped {
        write_line(out, "x-forwarded-prefix", prefix.as_bytes());
    }
}
