//! What is refused before a route is looked for, and how the request's body is framed.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use actix_web::http::{Method, Version};

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::method::other_methods;
use crate::proxy::upload::BodyFraming;
use crate::route::{HostName, NoRoute, PathError, host_name};
use crate::session::token::redacted;

/// Longest method, in bytes; the longest registered one has 17.
const MAX_METHOD: usize = 20;

/// Whether a connection has been told that it ends. The server goes on answering what was already sent on it; nothing of that
/// may count any more.
#[derive(Debug, Default)]
pub struct Ended(Cell<bool>);

impl Ended {
    /// Puts the mark on a new connection.
    pub fn on_connect(_io: &dyn Any, data: &mut Extensions) {
        data.insert(Self::default());
    }

    /// Ends the connection of a request.
    pub fn mark(req: &HttpRequest) {
        if let Some(Self(ended)) = req.conn_data() {
            ended.set(true);
        }
    }
}

/// Refuses what a session gateway never passes on.
pub fn refuse_odd_requests(req: &HttpRequest, max_target: usize) -> Result<(), GatewayError> {
    if req.conn_data::<Ended>().is_some_and(|ended| ended.0.get()) {
        return Err(GatewayError::new(ErrorCode::RequestInvalid, "The connection had ended with an earlier answer.").closing());
    }
    if matches!(*req.method(), Method::CONNECT | Method::TRACE) || req.method().as_str().len() > MAX_METHOD {
        return Err(GatewayError::new(ErrorCode::MethodNotAllowed, "CONNECT, TRACE and methods that nobody knows are not passed on.").closing());
    }
    refuse_upgrades(req)?;
    let target = req.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > max_target {
        return Err(GatewayError::new(ErrorCode::UriTooLong, format!("The request target has at most {max_target} bytes.")));
    }
    refuse_odd_hosts(req)
}

/// A token in the path would be in every log on its way, and in the backend's hands.
pub fn refuse_token_in(path: &str) -> Result<(), GatewayError> {
    match redacted(path) {
        Cow::Borrowed(_) => Ok(()),
        Cow::Owned(_) => Err(GatewayError::new(ErrorCode::PathInvalid, "The path carries a session token; send it as \"Authorization: Bearer …\".")),
    }
}

/// actix-http takes everything behind a head with `Upgrade: websocket` for its body, whatever `Content-Length` says. Unless it is a proper
/// handshake, the two sides would disagree about where the request ends.
fn refuse_upgrades(req: &HttpRequest) -> Result<(), GatewayError> {
    let headers = req.headers();
    let has = |name, word: &str| headers.get_all(name).any(|value| value.to_str().is_ok_and(|v| v.split(',').any(|o| o.trim().eq_ignore_ascii_case(word))));
    if !has(UPGRADE, "websocket") {
        return Ok(());
    }
    let framed = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    if *req.method() != Method::GET || req.version() != Version::HTTP_11 || framed || !has(CONNECTION, "upgrade") {
        let detail = "A WebSocket handshake is a GET in HTTP/1.1 with \"Connection: Upgrade\" and without a body.";
        return Err(GatewayError::new(ErrorCode::UpgradeInvalid, detail).closing());
    }
    Err(GatewayError::new(ErrorCode::UpgradeUnsupported, "This version of the gateway does not pass WebSockets on.").closing())
}

/// `GET http://other/…` is fine only where it names the same host as the `Host` header: two names are two readings. And a host is a name
/// or an address with a port, nothing that a backend could take for more when it builds links from it.
fn refuse_odd_hosts(req: &HttpRequest) -> Result<(), GatewayError> {
    let host = req.headers().get(HOST).map(|value| value.as_bytes());
    if host.is_some_and(|host| !is_host(host)) {
        return Err(GatewayError::new(ErrorCode::RequestInvalid, "The Host header is not a host name or address.").closing());
    }
    match req.uri().authority() {
        Some(authority) if host != Some(authority.as_str().as_bytes()) => {
            Err(GatewayError::new(ErrorCode::PathInvalid, "The request target and the Host header name two hosts.").closing())
        }
        _ => Ok(()),
    }
}

fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|b| *b == b']') {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => return false,
        },
        None => host.iter().position(|b| *b == b':').map_or((host, &host[host.len()..]), |at| host.split_at(at)),
    };
    let of_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let good_name = if host.starts_with(b"[") { name.iter().all(of_address) } else { name.iter().all(of_name) };
    let port = port.strip_prefix(b":").map_or(port.is_empty(), |digits| std::str::from_utf8(digits).is_ok_and(|d| d.is_empty() || d.parse::<u16>().is_ok()));
    !name.is_empty() && good_name && port
}

/// How the body comes. The server has refused everything that has two readings.
pub fn body_framing(headers: &HeaderMap, limit: u64) -> Result<BodyFraming, GatewayError> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Ok(BodyFraming::Chunked);
    }
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(BodyFraming::None) };
    let length = length.to_str().ok().and_then(|digits| digits.trim().parse().ok());
    let length = length.ok_or_else(|| GatewayError::new(ErrorCode::RequestInvalid, "The Content-Length is not a number.").closing())?;
    if length > limit { Err(too_large().closing()) } else { Ok(BodyFraming::Sized(length)) }
}

/// The body is over the limit.
#[must_use]
pub fn too_large() -> GatewayError {
    GatewayError::new(ErrorCode::BodyTooLarge, "The request's body is longer than this route takes.")
}

/// The host of a request, in the form in which hosts are compared.
#[must_use]
pub fn host(req: &HttpRequest) -> Option<HostName> {
    req.headers().get(HOST).and_then(|host| host_name(host.to_str().ok()?))
}

/// Why there is no route, for the client.
#[must_use]
pub fn no_route(why: NoRoute<'_>) -> GatewayError {
    match why {
        NoRoute::Unknown => GatewayError::new(ErrorCode::RouteNotFound, "No route of the gateway matches this host and path."),
        NoRoute::OtherMethods(methods) => other_methods(methods),
        NoRoute::Refused(why) => ambiguous_path(why),
    }
}

/// The path has two readings.
#[must_use]
pub fn ambiguous_path(error: PathError) -> GatewayError {
    GatewayError::new(ErrorCode::PathInvalid, format!("Refused: {error}."))
}
