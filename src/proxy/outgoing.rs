//! Writing the request head that goes on to the upstream. The inbound head is never changed: what
//! must not go on is left out while the outgoing head is written.

use actix_web::web::BytesMut;

use crate::assertion::believed::{self, Speaker};
use crate::assertion::reserved::{begins_with, fold, is_same_name};
use crate::assertion::{CallerLines, ReservedNames};
use crate::http::forwarded::FORWARDED;
use crate::http::forwarded_origin::ForwardedOrigin;
use crate::http::head::Value;
use crate::http::response::{pass_line, write_line};
use crate::http::token::bearer_token;
use crate::http::{ForwardingHeader, Inbound, RequestHead, buffers};
use crate::proxy::hop_by_hop;
use crate::proxy::inbound::has_token;
use crate::proxy::rules::PreparedEdits;
use crate::proxy::via::Via;
use crate::session::carrier::{TokenCarrier, is_of_gateway_protocol};
use crate::session::token::TOKEN_LEN;
use crate::upstream::HostHeader;
use crate::upstream_client::upload::BodyFraming;

/// Every token starts with this.
const TOKEN_START: &str = "hufu_";

/// What the gateway always leaves out or writes itself, whatever the routes say.
#[derive(Debug, Clone)]
pub struct HeadRules {
    /// Names that only the gateway may set, in answers too.
    pub reserved: ReservedNames,
    /// The deployment's mark.
    pub via: Via,
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
    pub edits: &'a PreparedEdits,
    /// What the upstream gets as `Host`.
    pub host: &'a HostHeader,
    /// The upstream's address, for a client that sent no `Host`.
    pub upstream: &'a str,
    /// The facts of the request.
    pub inbound: &'a Inbound,
    pub framing: BodyFraming,
    /// Whether it is a WebSocket handshake.
    pub upgrades: bool,
}

/// What a session adds to an outgoing head; the default is for an anonymous request.
#[derive(Debug, Default)]
pub struct SessionLines<'a> {
    pub identity: Option<&'a CallerLines<'a>>,
    /// The header of the signed identity, and its value.
    pub assertion: Option<(&'a str, &'a str)>,
}

impl HeadRules {
    pub fn write(&self, parts: &OutgoingHead<'_>, session: &SessionLines<'_>) -> BytesMut {
        let mut out = buffers::spare();
        self.request_line(&mut out, parts);
        let headers = parts.head.headers();
        let connection = hop_by_hop::options(headers);
        let of_client = *parts.host == HostHeader::Client;
        match parts.host {
            // HTTP/1.0 clients may leave it out; HTTP/1.1 upstreams want one.
            HostHeader::Client if !headers.contains("host") => {
                write_line(&mut out, "host", parts.upstream.as_bytes());
            }
            HostHeader::Fixed(host) => write_line(&mut out, "host", host.as_bytes()),
            // In its place among the client's lines, or once an endpoint is chosen.
            HostHeader::Client | HostHeader::Endpoint => {}
        }
        for (name, value, whole) in headers.whole_lines() {
            if (of_client || name != b"host")
                && self.is_forwarded(name, &connection, parts.inbound, parts.edits)
            {
                self.write_without_token(&mut out, name, value, whole);
            }
        }
        if parts.upgrades {
            out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
        }
        forwarding(&mut out, parts);
        match parts.framing {
            BodyFraming::None => {}
            BodyFraming::Sized(length) => write_line(
                &mut out,
                "content-length",
                itoa::Buffer::new().format(length).as_bytes(),
            ),
            BodyFraming::Chunked => write_line(&mut out, "transfer-encoding", b"chunked"),
        }
        write_line(&mut out, "x-request-id", parts.inbound.id.as_bytes());
        write_line(
            &mut out,
            "traceparent",
            parts.inbound.traceparent.as_bytes(),
        );
        self.via.write(&mut out, headers);
        out.extend_from_slice(parts.edits.lines.as_bytes());
        // Last and unconditional: a `Connection: x-wx-openid` of the client's has no say in it.
        if let Some(identity) = session.identity {
            identity.write(&mut out);
        }
        if let Some((name, assertion)) = session.assertion {
            write_line(&mut out, name, assertion.as_bytes());
        }
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

    fn is_forwarded(
        &self,
        name: &[u8],
        connection: &[&[u8]],
        inbound: &Inbound,
        edits: &PreparedEdits,
    ) -> bool {
        if hop_by_hop::contains(name)
            || is_rewritten(name)
            || self.reserved.contains(name)
            || edits.drops(name)
        {
            return false;
        }
        match believed::speaker(name) {
            // Neither is taken out by a client's `Connection`: a proxy's word, or what the operator
            // wants to arrive.
            Some(Speaker::Nobody) => edits.allows(name),
            Some(Speaker::Proxies) => inbound.trusted_peer && is_believed(name, inbound.forwarding),
            None => !hop_by_hop::named(connection, name),
        }
    }

    /// Writes a header without the token that may stand in it.
    fn write_without_token(
        &self,
        out: &mut BytesMut,
        name: &[u8],
        value: Value<'_>,
        whole: Option<&[u8]>,
    ) {
        match name {
            b"authorization" if holds_token(value) || self.is_empty_carrier(value) => {}
            b"cookie" => {
                let rest = self.without_token_cookie(value);
                if !rest.is_empty() {
                    write_line(out, "cookie", &rest);
                }
            }
            b"referer" | b"x-forwarded-uri" | b"x-original-uri"
                if value.text().is_some() || holds_token(value) =>
            {
                let uri = String::from_utf8_lossy(value.bytes());
                write_line(out, name, self.uri_without_token(&uri).as_bytes());
            }
            b"sec-websocket-protocol" => {
                let offered = String::from_utf8_lossy(value.bytes());
                let rest: Vec<&str> = offered
                    .split(',')
                    .map(str::trim)
                    .filter(|protocol| !is_of_gateway_protocol(protocol) && !shows_token(protocol))
                    .collect();
                if rest.iter().any(|protocol| !protocol.is_empty()) {
                    write_line(out, "sec-websocket-protocol", rest.join(", ").as_bytes());
                }
            }
            _ if self.is_carrier(name) => {}
            // Every request has its host, whatever it is called.
            _ if is_lone_token(value) && name != b"host" => {}
            _ => pass_line(out, name, value.bytes(), whole),
        }
    }

    /// Whether an `Authorization` is the place of a token that has none.
    fn is_empty_carrier(&self, value: Value<'_>) -> bool {
        self.carriers.contains(&TokenCarrier::Bearer)
            && value
                .text()
                .and_then(bearer_token)
                .is_some_and(str::is_empty)
    }

    fn is_carrier(&self, name: &[u8]) -> bool {
        self.carriers
            .iter()
            .any(|carrier| matches!(carrier, TokenCarrier::Header(own) if is_same_name(own, name)))
    }

    /// The query without a token: neither under a configured name nor, sent to the wrong place by
    /// mistake, under any other.
    fn without_token(&self, query: &str) -> String {
        let is_configured = |name: &str| {
            self.carriers
                .iter()
                .any(|carrier| matches!(carrier, TokenCarrier::Query(own) if own == name))
        };
        query
            .split('&')
            .filter(|pair| !is_token(pair, is_configured))
            .collect::<Vec<_>>()
            .join("&")
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
        let is_configured = |name: &str| {
            self.carriers
                .iter()
                .any(|carrier| matches!(carrier, TokenCarrier::Cookie(own) if own == name))
        };
        let pairs = value.bytes().split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let rest: Vec<&[u8]> = pairs
            .filter(|pair| !is_token(&String::from_utf8_lossy(pair), is_configured))
            .collect();
        rest.join(&b"; "[..])
    }
}

/// Whether a `name=value` pair carries a token: under a name that is configured for it, or by its
/// looks.
fn is_token(pair: &str, is_configured: impl Fn(&str) -> bool) -> bool {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    value.starts_with(TOKEN_START) || shows_token(pair) || is_configured(name)
}

/// Whether a token stands in it, also where some of its characters are escaped.
fn shows_token(text: &str) -> bool {
    has_token(text)
        || (text.contains('%')
            && has_token(&percent_encoding::percent_decode_str(text).decode_utf8_lossy()))
}

/// Whether a header, in any spelling, is the gateway's or the connection's own, so that no route
/// sets or removes it.
pub fn is_beyond_routes(name: &str) -> bool {
    let folded: Vec<u8> = name.bytes().map(fold).collect();
    folded == b"host"
        || hop_by_hop::contains(&folded)
        || is_rewritten(&folded)
        || Speaker::Proxies.says(&folded)
}

/// What the gateway writes anew. `expect` was answered here.
fn is_rewritten(name: &[u8]) -> bool {
    /// In every spelling, since some servers take the others for them.
    const NAMES: [&str; 7] = [
        "content-length",
        "transfer-encoding",
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
    ];
    matches!(name, b"expect" | b"traceparent") || NAMES.iter().any(|own| is_same_name(own, name))
}

/// Whether a trusted proxy is believed to have written it, and not to have passed on what a client
/// sent.
fn is_believed(name: &[u8], written: ForwardingHeader) -> bool {
    match written {
        ForwardingHeader::XForwardedFor => !is_same_name(FORWARDED, name),
        ForwardingHeader::Forwarded => !begins_with(name, b"x-forwarded"),
    }
}

/// A backend's own `Authorization` on a route without sessions is none of the gateway's business;
/// one with a token of ours is, in whatever form.
fn holds_token(value: Value<'_>) -> bool {
    value
        .bytes()
        .windows(TOKEN_START.len())
        .any(|part| part == TOKEN_START.as_bytes())
}

/// Whether a value is a token and little else, such as a word before it: a client has taken the
/// wrong name for it. The length alone tells for nearly all headers, so that longer ones are not
/// searched.
fn is_lone_token(value: Value<'_>) -> bool {
    const MOST_BESIDE: usize = 24;
    (TOKEN_LEN..=TOKEN_LEN + MOST_BESIDE).contains(&value.bytes().len())
        && has_token(&String::from_utf8_lossy(value.bytes()))
}

/// Where the request came from, as the upstream is told.
fn forwarding(out: &mut BytesMut, parts: &OutgoingHead<'_>) {
    let inbound = parts.inbound;
    let headers = parts.head.headers();
    out.extend_from_slice(b"x-forwarded-for: ");
    match (inbound.trusted_peer, inbound.forwarding) {
        (false, _) => {}
        (true, ForwardingHeader::XForwardedFor) => {
            for chain in headers
                .get_all("x-forwarded-for")
                .map(Value::bytes)
                .filter(|chain| !chain.is_empty())
            {
                out.extend_from_slice(chain);
                out.extend_from_slice(b", ");
            }
        }
        (true, ForwardingHeader::Forwarded) => {
            if inbound.client_text != inbound.peer_text {
                out.extend_from_slice(inbound.client_text.as_bytes());
                out.extend_from_slice(b", ");
            }
        }
    }
    let origin = ForwardedOrigin::of(inbound, headers);
    out.extend_from_slice(inbound.peer_text.as_bytes());
    out.extend_from_slice(b"\r\n");
    write_line(out, "x-real-ip", inbound.client_text.as_bytes());
    write_line(out, "x-forwarded-proto", origin.scheme(inbound));
    if let Some(host) = origin
        .host
        .or_else(|| headers.get("host").map(Value::bytes))
    {
        write_line(out, "x-forwarded-host", host);
    }
    if let Some(prefix) = parts.stripped {
        write_line(out, "x-forwarded-prefix", prefix.as_bytes());
    }
}
