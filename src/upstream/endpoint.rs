//! One endpoint of an upstream, as the configuration writes it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// One endpoint of an upstream: a host name, which may stand for several addresses, an address, or
/// a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address, without the brackets of IPv6; of a Unix socket `localhost`, by which
    /// nobody connects.
    pub host: String,
    /// Port; of a Unix socket 0.
    pub port: u16,
    /// The path of its Unix socket, where it has one.
    pub socket: Option<Arc<Path>>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its share of the requests beside the others', from 1 to [`Endpoint::WEIGHT_MAX`].
    pub weight: u32,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "unix:{}", path.display()),
            None if self.host.contains(':') => write!(f, "[{}]:{}", self.host, self.port),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why a text is not an endpoint. The text goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither `http://` nor `https://` nor `unix:`.
    #[error(
        "an endpoint starts with http:// or https://; write \"http://HOST:PORT\", or \"unix:/PATH\" for a Unix socket"
    )]
    Scheme,
    /// `unix:` without the absolute path of a file, or behind another scheme.
    #[error(
        "a Unix socket is written with its absolute path, as in \"unix:/run/app.sock\", and without http://"
    )]
    Socket,
    /// A path that is longer than the operating system takes.
    #[error(
        "the path of a Unix socket has at most {} bytes",
        Endpoint::SOCKET_PATH_MAX
    )]
    SocketTooLong,
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
    /// The longest path of a Unix socket on Linux (`sun_path`), without the NUL at its end.
    pub const SOCKET_PATH_MAX: usize = 107;

    /// Reads `http://host[:port]`, `https://host[:port]` or `unix:/path`; of weight 1.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::of_socket(path.strip_prefix("//").unwrap_or(path));
        }
        let (tls, authority, usual_port) =
            match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
                (Some(rest), _) => (true, rest, "443"),
                (None, Some(rest)) => (false, rest, "80"),
                (None, None) => return Err(EndpointError::Scheme),
            };
        if authority.starts_with("unix:") {
            return Err(EndpointError::Socket);
        }
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(EndpointError::Path);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']').ok_or(EndpointError::Host)?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| EndpointError::Host)?;
                (
                    host,
                    rest.strip_prefix(':')
                        .or_else(|| rest.is_empty().then_some(usual_port))
                        .ok_or(EndpointError::Port)?,
                )
            }
            None => authority.split_once(':').unwrap_or((authority, usual_port)),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(EndpointError::Host);
        }
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(EndpointError::Port)?;
        Ok(Self {
            host: host.to_owned(),
            port,
            socket: None,
            tls,
            weight: 1,
        })
    }

    /// The endpoint at the path of a Unix socket.
    fn of_socket(path: &str) -> Result<Self, EndpointError> {
        // nginx writes a URI behind another colon.
        if !path.starts_with('/') || path.ends_with(['/', ':']) || path.contains(char::is_control) {
            return Err(EndpointError::Socket);
        }
        if path.len() > Self::SOCKET_PATH_MAX {
            return Err(EndpointError::SocketTooLong);
        }
        Ok(Self {
            host: "localhost".to_owned(),
            port: 0,
            socket: Some(Path::new(path).into()),
            tls: false,
            weight: 1,
        })
    }

    /// What stands for it in `Host`: with its port where that is not the scheme's. A Unix socket
    /// has no name of its own; nginx calls it so too.
    pub fn authority(&self) -> String {
        let text = self.host_and_port();
        let usual = if self.tls { ":443" } else { ":80" };
        text.strip_suffix(usual)
            .map_or_else(|| text.clone(), str::to_owned)
    }

    /// The same with the port, where it has one.
    pub fn host_and_port(&self) -> String {
        if self.socket.is_some() {
            self.host.clone()
        } else {
            self.to_string()
        }
    }

    /// Whether both lead to the same place, whatever their weights.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && self.socket == other.socket
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
            assert_eq!(
                Endpoint::parse(text).unwrap(),
                Endpoint {
                    host: host.to_owned(),
                    port,
                    socket: None,
                    tls,
                    weight: 1
                },
                "{text}"
            );
        }
        let too_long = format!("unix:/{}", "x".repeat(107));
        for (why, texts) in [
            (EndpointError::Scheme, &["10.0.0.1:8000", "ftp://x"][..]),
            (EndpointError::Path, &["http://x/api", "http://u:p@x"]),
            (
                EndpointError::Host,
                &["http://", "http://a b", "http://[zz]:1"],
            ),
            (EndpointError::Port, &["http://x:0", "http://x:99999"]),
            (
                EndpointError::Socket,
                &[
                    "unix:",
                    "unix:app.sock",
                    "unix:@app",
                    "unix://app.sock",
                    "unix:/run/",
                    "unix:/run/app.sock:",
                    "unix:/run/a\0b",
                    "http://unix:/run/app.sock",
                    "https://unix:/run/app.sock",
                ],
            ),
            (EndpointError::SocketTooLong, &[&*too_long]),
        ] {
            for text in texts {
                assert_eq!(Endpoint::parse(text).unwrap_err(), why, "{text}");
            }
        }
        assert_eq!(
            Endpoint::parse("http://[::1]:8000").unwrap().to_string(),
            "[::1]:8000"
        );
        for (text, authority) in [
            ("http://web", "web"),
            ("https://web:443", "web"),
            ("http://web:443", "web:443"),
            ("http://10.0.0.1:8080", "10.0.0.1:8080"),
            ("https://[::1]", "[::1]"),
        ] {
            assert_eq!(
                Endpoint::parse(text).unwrap().authority(),
                authority,
                "{text}"
            );
        }
        for text in ["unix:/run/app.sock", "unix:///run/app.sock"] {
            let socket = Endpoint::parse(text).unwrap();
            assert_eq!(
                (socket.to_string().as_str(), socket.authority().as_str()),
                ("unix:/run/app.sock", "localhost")
            );
        }
        let [one, other] = ["unix:/run/app.sock", "unix:/run/other.sock"]
            .map(|text| Endpoint::parse(text).unwrap());
        assert!(!one.is_same_place(&other));
        assert!(Endpoint::parse(&format!("unix:/{}", "x".repeat(106))).is_ok());
    }
}
