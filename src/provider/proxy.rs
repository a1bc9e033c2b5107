//! The outbound proxy that calls to the platforms go through, where there is one.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

/// Which calls go through which proxy; by default none does, whatever the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For platforms at `https://`, by CONNECT.
    pub https: Option<ProxyUrl>,
    /// For those at `http://`, such as a sandbox.
    pub http: Option<ProxyUrl>,
    /// Hosts that are called directly.
    pub except: Vec<Exception>,
}

/// Where a proxy is, with its login. Shows its host alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

/// Why a text is no proxy's URL. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProxyUrl {
    /// It does not parse, or has no host.
    #[error("is not the URL of a proxy")]
    NotAUrl,
    /// SOCKS, of any version.
    #[error("names a SOCKS proxy; only HTTP proxies are supported")]
    Socks,
    /// Another scheme.
    #[error("does not begin with http:// or https://")]
    Scheme,
    /// A path, a query or a fragment.
    #[error("has more than a host and a port")]
    Extra,
}

/// Hosts that are called directly, as in `NO_PROXY`: a name and all below it, an address, a
/// network, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// `*`.
    All,
    /// Addresses.
    Network(IpNet),
    /// A name, and every one below it.
    Name(String),
}

impl Proxies {
    /// The proxy for a call, if it takes one.
    pub fn via(&self, url: &Url) -> Option<&ProxyUrl> {
        let proxy = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        let host = url.host_str().unwrap_or_default();
        proxy
            .as_ref()
            .filter(|_| !self.except.iter().any(|exception| exception.has(host)))
    }
}

impl ProxyUrl {
    /// Checks and takes a URL.
    pub fn parse(text: &str) -> Result<Self, BadProxyUrl> {
        let url = Url::parse(text).map_err(|_| BadProxyUrl::NotAUrl)?;
        match url.scheme() {
            "http" | "https" => {}
            socks if socks.starts_with("socks") => return Err(BadProxyUrl::Socks),
            _ => return Err(BadProxyUrl::Scheme),
        }
        let bare =
            matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if bare {
            Ok(Self(url))
        } else {
            Err(BadProxyUrl::Extra)
        }
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0
            .port_or_known_default()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The URL as it may be shown.
    pub fn shown(&self) -> String {
        let login = if self.0.username().is_empty() && self.0.password().is_none() {
            ""
        } else {
            "[hidden]@"
        };
        format!("{}://{login}{}", self.0.scheme(), self.host())
    }

    /// The URL with its login, for the client.
    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Exception {
    /// Reads one of a list; `None`: it is neither a name nor an address.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some(network) = network(text) {
            return Some(Self::Network(network));
        }
        let name = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
        let sound = name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        });
        sound.then_some(Self::Name(name))
    }

    fn has(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address)),
            Self::Name(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|start| start.is_empty() || start.ends_with('.')),
        }
    }
}

/// A network, or an address alone.
pub fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_those_of_no_proxy() {
        let has = |exception: &str, host: &str| {
            let proxy = ProxyUrl::parse("http://p:3128").ok();
            let proxies = Proxies {
                https: proxy.clone(),
                http: proxy,
                except: vec![Exception::parse(exception).unwrap()],
            };
            proxies
                .via(&Url::parse(&format!("https://{host}/x")).unwrap())
                .is_none()
        };
        for (exception, host, direct) in [
            ("*", "a.test", true),
            ("a.test", "a.test", true),
            ("a.test", "b.A.test", true),
            (".a.test", "a.test", true),
            (".a.test", "b.a.test", true),
            ("a.test", "xa.test", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3:8443", true),
            ("fd00::/8", "[fd00::1]", true),
            ("::1", "[::1]:9000", true),
        ] {
            assert_eq!(has(exception, host), direct, "{exception} {host}");
        }
        for wrong in [
            "",
            "a..test",
            "a.test:443",
            "*.a.test",
            "http://a.test",
            "10.0.0.0/33",
        ] {
            assert_eq!(Exception::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_proxy_shows_its_host_alone() {
        let proxy = ProxyUrl::parse("http://user:p%40ss@proxy.test:3128").unwrap();
        assert_eq!(
            (format!("{proxy:?}"), proxy.host()),
            (
                "http://[hidden]@proxy.test:3128".to_owned(),
                "proxy.test:3128".to_owned()
            )
        );
        assert_eq!(
            ProxyUrl::parse("https://proxy.test").unwrap().shown(),
            "https://proxy.test:443"
        );
        for (text, why) in [
            ("proxy:3128", BadProxyUrl::Scheme),
            ("proxy.test", BadProxyUrl::NotAUrl),
            ("socks5h://p:1080", BadProxyUrl::Socks),
            ("ftp://p", BadProxyUrl::Scheme),
            ("http://p/path", BadProxyUrl::Extra),
            ("http://p/?a", BadProxyUrl::Extra),
        ] {
            assert_eq!(ProxyUrl::parse(text).unwrap_err(), why, "{text}");
        }
    }
}
