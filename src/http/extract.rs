//! The facts of a request head that every handler needs.

use std::net::IpAddr;
use std::time::Instant;

use arrayvec::ArrayString;

use crate::clock::monotonic_now;
use crate::crypto::{hash, random};
use crate::http::address::{AddressText, address_text};
use crate::http::client_address::{ForwardingHeader, TrustedProxies};
use crate::http::head::RequestHead;
use crate::telemetry::{SpanIds, Traces};

/// The request id's header, in and out.
pub const X_REQUEST_ID: &str = "x-request-id";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// Longest request id that is believed, in characters.
const REQUEST_ID_MAX: usize = 64;
/// Characters of a trace context of version 00.
const TRACEPARENT_LEN: usize = 55;

/// What is known of a request before anything is decided about it.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// When its head had been read.
    pub started: Instant,
    /// Its name in logs and answers: a trusted proxy's, or a fresh one.
    pub id: ArrayString<REQUEST_ID_MAX>,
    /// Its W3C trace context for the upstream: the client's if well-formed, or a fresh one; with
    /// spans, the one below which the upstream's are to hang.
    pub traceparent: ArrayString<TRACEPARENT_LEN>,
    /// Its spans, where they are made and the trace is one of those that are kept.
    pub spans: Option<SpanIds>,
    /// The socket's peer.
    pub peer: IpAddr,
    /// Whether it came with TLS.
    pub secure: bool,
    /// Whether the peer is a trusted proxy.
    pub trusted_peer: bool,
    /// The header in which trusted proxies say where it comes from.
    pub forwarding: ForwardingHeader,
    /// The client's address.
    pub client: IpAddr,
    /// The peer's address as it is written.
    pub peer_text: AddressText,
    /// The client's address as it is written.
    pub client_text: AddressText,
    /// The address whose quota the request counts against; `None`: the only one that is known is a
    /// proxy's.
    pub limited_by: Option<IpAddr>,
}

impl Inbound {
    /// Reads the facts.
    pub fn of(head: &RequestHead, trusted: &TrustedProxies, traces: Option<&Traces>) -> Self {
        let mut inbound = Self::read(head, trusted, traces);
        if trusted.contains(inbound.client)
            || trusted.is_nameless_proxy(inbound.peer, head.headers())
        {
            inbound.limited_by = None;
        }
        inbound
    }

    /// The facts on a listener that believes no proxy.
    pub fn of_peer(head: &RequestHead) -> Self {
        Self::read(head, &TrustedProxies::default(), None)
    }

    fn read(head: &RequestHead, trusted: &TrustedProxies, traces: Option<&Traces>) -> Self {
        let started = monotonic_now();
        let peer = head.connection.peer();
        let headers = head.headers();
        let trusted_peer = trusted.contains(peer) && !head.connection.is_nameless;
        let fresh = Fresh::draw();
        let sent = headers
            .single(TRACEPARENT)
            .filter(|t| is_traceparent(t))
            .and_then(|t| ArrayString::from(t).ok());
        let (traceparent, spans) = match traces {
            Some(traces) => traced(traces, sent.as_deref(), &fresh, trusted_peer),
            None => (sent.unwrap_or_else(|| fresh.traceparent()), None),
        };
        let sent_id = headers
            .single(X_REQUEST_ID)
            .filter(|id| trusted_peer && is_request_id(id))
            .and_then(|id| ArrayString::from(id).ok());
        let client = if trusted_peer {
            trusted.client(peer, headers)
        } else {
            peer.to_canonical()
        };
        let peer_text = address_text(peer.to_canonical());
        Self {
            started,
            id: sent_id.unwrap_or_else(|| fresh.id()),
            traceparent,
            spans,
            peer,
            secure: head.connection.is_secure,
            trusted_peer,
            forwarding: trusted.header,
            client,
            limited_by: Some(client),
            peer_text,
            client_text: if trusted_peer {
                address_text(client)
            } else {
                peer_text
            },
        }
    }

    /// The trace id within the trace context.
    pub fn trace_id(&self) -> &str {
        self.traceparent.get(3..35).unwrap_or_default()
    }
}

/// What is drawn for every request, as it is written: a trace id, which is the request's id too,
/// and a span id.
struct Fresh(ArrayString<48>);

impl Fresh {
    fn draw() -> Self {
        Self(hash::hex_text(&random::name_bytes::<24>()))
    }

    fn trace(&self) -> &str {
        self.0.get(..32).unwrap_or_default()
    }

    fn id(&self) -> ArrayString<REQUEST_ID_MAX> {
        let mut text = ArrayString::new();
        text.push_str(self.trace());
        text
    }

    /// Marked as sampled: an unsampled mark would switch off the tracing that a backend already
    /// has.
    fn traceparent(&self) -> ArrayString<TRACEPARENT_LEN> {
        context(self.trace(), self.0.get(32..).unwrap_or_default(), true)
    }
}

fn context(trace: &str, span: &str, sampled: bool) -> ArrayString<TRACEPARENT_LEN> {
    let mut text = ArrayString::new();
    for part in ["00-", trace, "-", span, if sampled { "-01" } else { "-00" }] {
        text.push_str(part);
    }
    text
}

/// Where spans are made: the context for the upstream, and the ids of this request's spans if its
/// trace is kept. Whether it is was decided by a trusted proxy, if one sent the context; a client
/// has no say in what the collector must hold.
fn traced(
    traces: &Traces,
    sent: Option<&str>,
    fresh: &Fresh,
    trusted_peer: bool,
) -> (ArrayString<TRACEPARENT_LEN>, Option<SpanIds>) {
    let part = |from: usize, to: usize| sent.and_then(|sent| sent.get(from..to));
    let parent = part(36, 52).and_then(hash::from_hex::<8>);
    let trace_text = part(3, 35).unwrap_or(fresh.trace());
    let trace = hash::from_hex::<16>(trace_text).unwrap_or_default();
    let flags = part(53, 55)
        .and_then(hash::from_hex::<1>)
        .filter(|_| trusted_peer);
    let sampled = flags.map_or_else(|| traces.samples(&trace), |[flags]| flags & 1 == 1);
    let more = random::name_bytes::<16>();
    let server = hash::first(&more);
    let client = hash::last(&more);
    (
        context(trace_text, &hash::hex_text::<16>(&client), sampled),
        sampled.then_some(SpanIds {
            trace,
            parent,
            server,
            client,
        }),
    )
}

/// Version 00 of <https://www.w3.org/TR/trace-context/>, lower case, neither id all zeros.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        return false;
    };
    let lengths = version == "00" && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    lengths
        && parts.iter().all(|p| hex(p))
        && trace.bytes().any(|b| b != b'0')
        && span.bytes().any(|b| b != b'0')
}

fn is_request_id(text: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&text.len())
        && !text.contains("hufu_")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_contexts_are_checked() {
        assert!(is_traceparent(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        ));
        assert!(is_traceparent(&Fresh::draw().traceparent()));
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
