//! A named group of endpoints.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// Why a text is not an endpoint. The text goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `http://`.
    #[error("an endpoint starts with http://; write \"http://HOST:PORT\"")]
    Scheme,
    /// `https://`, which this version does not speak to upstreams.
    #[error("https:// upstreams are not supported by this version; use http:// inside your network, or a local TLS proxy")]
    Tls,
    /// A path, query or user behind the port.
    #[error("an endpoint is a host and a port only; a path belongs into [[routes]]")]
    Path,
    /// No host, or characters that no host has.
    #[error("no host in it; write \"http://HOST:PORT\"")]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Endpoint {
    /// Reads `http://host[:port]`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.starts_with("https://") {
            return Err(EndpointError::Tls);
        }
        let authority = text.strip_prefix("http://").ok_or(EndpointError::Scheme)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(EndpointError::Path);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']').ok_or(EndpointError::Host)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| EndpointError::Host)?;
                (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("80")).ok_or(EndpointError::Port)?)
            }
            None => authority.split_once(':').unwrap_or((authority, "80")),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(EndpointError::Host);
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(EndpointError::Port)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// A named group of endpoints with the patience that the gateway has with them.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What stands in `Host` where the client sent none: the first address.
    pub authority: String,
    /// Its addresses; at least one.
    pub endpoints: Vec<Endpoint>,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long the upstream may be silent: before its answer and within it.
    pub timeout: Duration,
}

impl Upstream {
    /// `wx.request` waits 60 s by default and at most.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
    /// Longer than a handshake within a network takes even after one lost packet.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

    /// An upstream that nobody calls.
    #[cfg(test)]
    pub(crate) fn for_tests(name: &str) -> Self {
        Self {
            name: name.into(),
            authority: "127.0.0.1:9".to_owned(),
            endpoints: vec![Endpoint { host: "127.0.0.1".to_owned(), port: 9 }],
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        for (text, host, port) in [
            ("http://10.0.0.1:8000", "10.0.0.1", 8000),
            ("http://orders.internal/", "orders.internal", 80),
            ("http://[::1]:8000", "::1", 8000),
            ("http://[::1]", "::1", 80),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap(), Endpoint { host: host.to_owned(), port }, "{text}");
        }
        for (text, why) in [
            ("10.0.0.1:8000", EndpointError::Scheme),
            ("https://x", EndpointError::Tls),
            ("http://x/api", EndpointError::Path),
            ("http://u:p@x", EndpointError::Path),
            ("http://", EndpointError::Host),
            ("http://a b", EndpointError::Host),
            ("http://[zz]:1", EndpointError::Host),
            ("http://x:0", EndpointError::Port),
            ("http://x:99999", EndpointError::Port),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap_err(), why, "{text}");
        }
        assert_eq!(Endpoint::parse("http://[::1]:8000").unwrap().to_string(), "[::1]:8000");
    }
}
