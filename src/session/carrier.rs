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
}

/// Why a text is no carrier. The text goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// None of the kinds.
    #[error("is no carrier; write \"bearer\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"")]
    Kind,
    /// A kind that a later version has.
    #[error("is not in this version; \"header:NAME\" works for WebSockets too, wx.connectSocket can set headers")]
    Later,
    /// Characters that the name of a header or a cookie cannot have, or no name.
    #[error("needs a name of letters, digits, \"-\", \"_\" and \".\" after the colon")]
    Name,
    /// A header with a meaning of its own.
    #[error("is a header that has a meaning of its own; choose another (for \"Authorization: Bearer\" write \"bearer\")")]
    Taken,
}

/// Headers that clients, proxies and servers act on: a value of our own in one of them would break requests, or be changed or
/// dropped on its way.
const OF_HTTP: [&str; 18] = [
    "accept",
    "authorization",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

impl FromStr for TokenCarrier {
    type Err = CarrierError;

    fn from_str(text: &str) -> Result<Self, CarrierError> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let named = |make: fn(String) -> Self| if is_name(name) { Ok(make(name.to_owned())) } else { Err(CarrierError::Name) };
        match kind {
            "bearer" if kind == text => Ok(Self::Bearer),
            "protocol" if kind == text => Err(CarrierError::Later),
            "header" if is_of_http(name) => Err(CarrierError::Taken),
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
        }
    }
}

/// Whether a header has a meaning in HTTP itself, however its name is spelt.
#[must_use]
pub fn is_of_http(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    OF_HTTP.contains(&&*name) || ["content-", "proxy-", "sec-", "x-forwarded-"].iter().any(|prefix| name.starts_with(prefix))
}

/// The characters that need no quoting in a header name, a cookie name and a query alike.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_is_read_as_it_is_written() {
        for text in ["bearer", "header:X-WX-Skey", "cookie:hufu", "query:3rd_session"] {
            assert_eq!(text.parse::<TokenCarrier>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_carry_a_token_is_refused() {
        for (text, why) in [
            ("", CarrierError::Kind),
            ("Bearer", CarrierError::Kind),
            ("bearer:", CarrierError::Kind),
            ("protocol", CarrierError::Later),
            ("header:", CarrierError::Name),
            ("header", CarrierError::Name),
            ("cookie:a b", CarrierError::Name),
            ("query:a=b", CarrierError::Name),
            ("header:authorization", CarrierError::Taken),
            ("header:Transfer-Encoding", CarrierError::Taken),
        ] {
            assert_eq!(text.parse::<TokenCarrier>().unwrap_err(), why, "{text:?}");
        }
    }
}
