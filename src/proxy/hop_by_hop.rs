//! What belongs to one connection and never goes on to the next (RFC 9110 section 7.6.1).

use crate::http::Headers;
use crate::http::head::{Value, list_items};

/// Whether a header (lower case) always belongs to the connection; with what older proxies use.
pub fn contains(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"te"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade"
            | b"http2-settings"
    )
}

/// What the `Connection` headers of a message name, but for what says how long the connection
/// lives.
pub fn options(headers: Headers<'_>) -> Vec<&[u8]> {
    let mut options = Vec::new();
    for value in headers.get_all("connection").map(Value::bytes) {
        // Most say nothing else.
        if !is_of_its_life(value) {
            options.extend(list_items(value).filter(|option| !is_of_its_life(option)));
        }
    }
    options
}

/// Whether a header (lower case) is among them, and can be: what the gateway has looked at to let a
/// message pass goes on with it.
pub fn named(options: &[&[u8]], name: &[u8]) -> bool {
    options
        .iter()
        .any(|option| option.eq_ignore_ascii_case(name))
        && !is_looked_at(name)
}

/// A handshake without its key would be another request than the one that was let in.
fn is_looked_at(name: &[u8]) -> bool {
    matches!(name, b"host" | b"origin") || name.starts_with(b"sec-websocket-")
}

fn is_of_its_life(option: &[u8]) -> bool {
    option.is_empty()
        || option.eq_ignore_ascii_case(b"keep-alive")
        || option.eq_ignore_ascii_case(b"close")
}
