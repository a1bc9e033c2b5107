//! The facts of a request head that every walk needs.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};

use crate::clock::monotonic_now;
use crate::crypto::{hash, random};
use crate::http::client_address::TrustedProxies;
use crate::http::connection::Connection;

/// The request id's header, in and out.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is known of a request before anything is decided about it.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// When its head had been read.
    pub started: Instant,
    /// Its name in logs and answers: a trusted proxy's, or a fresh one.
    pub id: String,
    /// Its W3C trace context: the client's if well-formed, or a fresh one.
    pub traceparent: String,
    /// The socket's peer.
    pub peer: IpAddr,
    /// Whether it came with TLS.
    pub secure: bool,
    /// Whether the peer is a trusted proxy.
    pub trusted_peer: bool,
    /// The client's address.
    pub client: IpAddr,
}

impl Inbound {
    /// Reads the facts.
    #[must_use]
    pub fn of(req: &HttpRequest, trusted: &TrustedProxies) -> Self {
        let started = monotonic_now();
        // A Unix socket has no peer address: whoever may write to it is on this machine.
        let peer = req.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |addr| addr.ip());
        let trusted_peer = trusted.contains(peer);
        let headers = req.headers();
        let trace = random::name_bytes::<24>();
        let traceparent = single(headers, &TRACEPARENT).filter(|t| is_traceparent(t)).map_or_else(|| fresh_traceparent(&trace), str::to_owned);
        let id = single(headers, &X_REQUEST_ID).filter(|id| trusted_peer && is_request_id(id)).map_or_else(|| hash::to_hex(&trace[..16]), str::to_owned);
        let client = if trusted_peer { trusted.client(peer, headers) } else { peer.to_canonical() };
        let secure = req.conn_data::<Connection>().is_some_and(Connection::is_secure);
        Self { started, id, traceparent, peer, secure, trusted_peer, client }
    }

    /// The facts of a request whose head was refused.
    #[must_use]
    pub fn unread(peer: IpAddr, started: Instant) -> Self {
        let trace = random::name_bytes::<24>();
        Self { started, id: hash::to_hex(&trace[..16]), traceparent: fresh_traceparent(&trace), peer, secure: false, trusted_peer: false, client: peer }
    }

    /// The trace id within the trace context.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        trace_id(&self.traceparent)
    }
}

/// The value of a header that occurs once.
#[must_use]
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn trace_id(traceparent: &str) -> &str {
    traceparent.get(3..35).unwrap_or_default()
}

/// Marked as sampled: an unsampled mark would switch off the tracing that a backend already has.
fn fresh_traceparent(random: &[u8; 24]) -> String {
    format!("00-{}-{}-01", hash::to_hex(&random[..16]), hash::to_hex(&random[16..]))
}

/// Version 00 of <https://www.w3.org/TR/trace-context/>, lower case, neither id all zeros.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { return false };
    let lengths = version == "00" && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    lengths && parts.iter().all(|p| hex(p)) && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0')
}

fn is_request_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && !text.contains("hufu_") && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_contexts_are_checked() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(is_traceparent(&fresh_traceparent(&[1; 24])));
        for wrong in [
            "",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }

    #[test]
    fn request_ids_cannot_forge_a_log_line() {
        assert!(is_request_id("abc-1.2:3_Z"));
        for wrong in ["", "a b", "a\n", "a\"", &"a".repeat(65)] {
            assert!(!is_request_id(wrong), "{wrong:?}");
        }
    }
}
