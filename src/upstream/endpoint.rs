//! One endpoint of an upstream, as the configuration writes it.

use std::fmt;

/// One endpoint of an upstream: a host name, which may stand for several addresses, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address, without the brackets of IPv6.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its share of the requests beside the others', from 1 to [`Endpoint::WEIGHT_MAX`].
    pub weight: u32,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// Why a text is not an endpoint. The text goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither `http://` nor `https://`.
    #[error("an endpoint starts with http:// or https://; write \"http://HOST:PORT\"")]
    Scheme,
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
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 100;

    /// Reads `http://host[:port]` or `https://host[:port]`; of weight 1.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (tls, authority, usual_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest, "443"),
            (None, Some(rest)) => (false, rest, "80"),
            (None, None) => return Err(EndpointError::Scheme),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(EndpointError::Path);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']').ok_or(EndpointError::Host)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| EndpointError::Host)?;
                (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(usual_port)).ok_or(EndpointError::Port)?)
            }
            None => authority.split_once(':').unwrap_or((authority, usual_port)),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(EndpointError::Host);
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(EndpointError::Port)?;
        Ok(Self { host: host.to_owned(), port, tls, weight: 1 })
    }

    /// What stands for it in `Host`: with its port where that is not the scheme's.
    #[must_use]
    pub fn authority(&self) -> String {
        let text = self.to_string();
        let usual = if self.tls { ":443" } else { ":80" };
        text.strip_suffix(usual).map_or_else(|| text.clone(), str::to_owned)
    }

    /// Whether both lead to the same place, whatever their weights.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        for (text, host, port, tls) in [
            ("http://10.0.0.1:8000", "10.0.0.1", 8000, false),
            ("http://orders.internal/", "orders.internal", 80, false),
            ("https://orders.internal", "orders.internal", 443, true),
            ("https://[::1]:8443/", "::1", 8443, true),
            ("http://[::1]:8000", "::1", 8000, false),
            ("http://[::1]", "::1", 80, false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap(), Endpoint { host: host.to_owned(), port, tls, weight: 1 }, "{text}");
        }
        for (text, why) in [
            ("10.0.0.1:8000", EndpointError::Scheme),
            ("ftp://x", EndpointError::Scheme),
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
        for (text, authority) in [
            ("http://web", "web"),
            ("https://web:443", "web"),
            ("http://web:443", "web:443"),
            ("http://10.0.0.1:8080", "10.0.0.1:8080"),
            ("https://[::1]", "[::1]"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().authority(), authority, "{text}");
        }
    }
}
