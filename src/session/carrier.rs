//! Where a client carries its token.

use std::fmt;
use std::str::FromStr;

/// One place of a request where a token may stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenCarrier {
    /// `Authorization: Bearer TOKEN`.
    Bearer,
    /// A header of this name, whose whole value is the token.
    Header(String),
    /// A cookie of this name.
    Cookie(String),
    /// A query parameter of this name.
    Query(String),
    /// A protocol that a WebSocket handshake offers: `hufu.token.TOKEN`, beside [`PROTOCOL`]. For
    /// browsers, which cannot set headers there.
    Protocol,
}

/// The gateway's own WebSocket protocol.
pub const PROTOCOL: &str = "hufu.v1";
/// What stands before the token in the protocol that carries it.
pub const TOKEN_PROTOCOL: &str = "hufu.token.";

/// Whether a WebSocket protocol is the gateway's own, so that the upstream does not get it.
pub fn is_of_gateway_protocol(protocol: &str) -> bool {
    protocol == PROTOCOL || protocol.starts_with(TOKEN_PROTOCOL)
}

/// Why a text is no carrier. The text goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// None of the kinds.
    #[error(
        "is no carrier; write \"bearer\", \"header:NAME\", \"cookie:NAME\", \"query:NAME\" or \"protocol\""
    )]
    Kind,
    /// Characters that the name of a header or a cookie cannot have, or no name.
    #[error("needs a name of letters, digits, \"-\", \"_\" and \".\" after the colon")]
    Name,
    /// A header with a meaning of its own.
    #[error(
        "is a header that has a meaning of its own; choose another (for \"Authorization: Bearer\" write \"bearer\")"
    )]
    Taken,
    /// A header by which the gateway tells backends who the user is, or which it sets itself.
    #[error(
        "is a header that the gateway itself sets for backends; choose another, such as \"header:X-Session-Token\""
    )]
    Own,
}

/// Headers that clients, proxies and servers act on: a value of our own in one of them would break
/// requests, or be changed or dropped on its way.
const OF_HTTP: [&str; 26] = [
    "accept",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "www-authenticate",
    "x-real-ip",
    "x-rewrite-url",
];
/// How the names of others of that kind begin.
const OF_HTTP_FAMILIES: [&str; 8] = [
    "accept-",
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-forwarded-",
    "x-original-",
];
/// Headers that backends take from the gateway, and from WeChat Cloud Hosting in its place, for the
/// truth.
const OF_GATEWAY: [&str; 9] = [
    "traceparent",
    "x-request-id",
    "x-wx-appid",
    "x-wx-from-appid",
    "x-wx-from-openid",
    "x-wx-from-unionid",
    "x-wx-openid",
    "x-wx-source",
    "x-wx-unionid",
];

impl FromStr for TokenCarrier {
    type Err = CarrierError;

    fn from_str(text: &str) -> Result<Self, CarrierError> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let named = |make: fn(String) -> Self| {
            if is_name(name) {
                Ok(make(name.to_owned()))
            } else {
                Err(CarrierError::Name)
            }
        };
        match kind {
            "bearer" if kind == text => Ok(Self::Bearer),
            "protocol" if kind == text => Ok(Self::Protocol),
            "header" if is_of_http(name) => Err(CarrierError::Taken),
            "header" if is_of_gateway(name) => Err(CarrierError::Own),
            "header" => named(Self::Header),
            "cookie" => named(Self::Cookie),
            "query" => named(Self::Query),
            _ => Err(CarrierError::Kind),
        }
    }
}

impl fmt::Display for TokenCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Protocol => f.write_str("protocol"),
        }
    }
}

/// Whether a header has a meaning in HTTP itself, however its name is spelt.
pub fn is_of_http(name: &str) -> bool {
    let name = folded(name);
    OF_HTTP.contains(&&*name)
        || OF_HTTP_FAMILIES
            .iter()
            .any(|family| name.starts_with(family))
}

/// Whether the gateway sets a header itself, however its name is spelt.
fn is_of_gateway(name: &str) -> bool {
    let name = folded(name);
    OF_GATEWAY.contains(&&*name) || name.starts_with("x-hufu-")
}

/// The name as a backend may read it.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// The characters that need no quoting in a header name, a cookie name and a query alike.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_is_read_as_it_is_written() {
        for text in [
            "bearer",
            "header:X-WX-Skey",
            "cookie:hufu",
            "query:3rd_session",
            "protocol",
        ] {
            assert_eq!(text.parse::<TokenCarrier>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_carry_a_token_is_refused() {
        for (text, why) in [
            ("", CarrierError::Kind),
            ("Bearer", CarrierError::Kind),
            ("bearer:", CarrierError::Kind),
            ("protocol:", CarrierError::Kind),
            ("header:", CarrierError::Name),
            ("header", CarrierError::Name),
            ("cookie:a b", CarrierError::Name),
            ("query:a=b", CarrierError::Name),
            ("header:authorization", CarrierError::Taken),
            ("header:Transfer-Encoding", CarrierError::Taken),
            ("header:Cookie", CarrierError::Taken),
            ("header:HOST", CarrierError::Taken),
            ("header:Keep-Alive", CarrierError::Taken),
            ("header:Proxy-Authorization", CarrierError::Taken),
            ("header:If-None-Match", CarrierError::Taken),
            ("header:X_Original.URI", CarrierError::Taken),
            ("header:X-WX-OPENID", CarrierError::Own),
            ("header:x_wx_unionid", CarrierError::Own),
            ("header:X-Hufu-Subject", CarrierError::Own),
            ("header:X-Request-Id", CarrierError::Own),
        ] {
            assert_eq!(text.parse::<TokenCarrier>().unwrap_err(), why, "{text:?}");
        }
    }
}
