//! The origin of a web page, and when two are the same (RFC 6454 section 5): scheme, host and port,
//! however they are written.

use crate::route::{HostName, host_name};

/// Where a web page came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    host: HostName,
    port: u16,
}

impl Origin {
    /// Reads `https://HOST` or `http://HOST`, with a port or without; `None`: no origin that a page
    /// of a web server has.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let https = scheme.eq_ignore_ascii_case("https");
        (https || scheme.eq_ignore_ascii_case("http")).then(|| Self::at(https, authority))?
    }

    /// The origin of the pages that a `Host` has under a scheme, whose port counts where none is
    /// written.
    fn at(https: bool, authority: &str) -> Option<Self> {
        let host = host_name(authority)?;
        // Behind the address, in which there are colons too.
        let behind = authority.rfind(']').map_or(0, |end| end + 1);
        let port = authority
            .get(behind..)?
            .split_once(':')
            .map_or("", |(_, port)| port);
        let port = if port.is_empty() {
            if https { 443 } else { 80 }
        } else {
            port.parse().ok()?
        };
        Some(Self { https, host, port })
    }

    /// Whether the page came encrypted.
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// Whether its pages are those of this `Host`, as far as that can say: it has no scheme, so the
    /// page's counts.
    pub fn is_of_host(&self, host: &str) -> bool {
        Self::at(self.https, host).as_ref() == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_the_same_with_one_scheme_host_and_port() {
        for (origin, host, same) in [
            ("https://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("https://a.example:443", "a.example", true),
            ("http://a.example", "a.example:80", true),
            ("http://a.example:80", "a.example", true),
            ("HTTPS://A.Example", "a.eXample:443", true),
            ("https://a.example.", "a.example", true),
            ("https://a.example", "a.example.:443", true),
            ("https://a.example:8443", "a.example:8443", true),
            ("https://[::1]", "[0:0:0:0:0:0:0:1]:443", true),
            ("https://[2001:DB8::1]:443", "[2001:db8::1]", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("https://a.example", "a.example:80", false),
            ("http://a.example", "a.example:443", false),
            ("https://a.example:80", "a.example", false),
            ("https://a.example:8443", "a.example", false),
            ("https://a.example", "a.example:8443", false),
            ("https://a.example", "b.a.example", false),
            ("https://a.example", "a.example.evil", false),
            ("https://[::1]", "[::2]", false),
            ("https://a.example", "a.example:65979", false),
            ("https://a.example", "", false),
        ] {
            assert_eq!(
                Origin::parse(origin).is_some_and(|page| page.is_of_host(host)),
                same,
                "{origin} {host}"
            );
        }
        assert_ne!(
            Origin::parse("https://a.example"),
            Origin::parse("http://a.example:443")
        );
        assert_eq!(
            Origin::parse("https://a.example:443"),
            Origin::parse("https://A.example.")
        );
    }

    #[test]
    fn what_no_web_server_has_is_no_origin() {
        for text in [
            "",
            "null",
            "*",
            "a.example",
            "//a.example",
            "://a.example",
            "ws://a.example",
            "file://",
            "https://",
            "https://a/b",
            "https://u@a",
            "https://a,b",
            "https://a b",
            "https://a:x",
            "https://a:65536",
            "https://[::1",
            "https://.",
            "chrome-extension://a",
            "https:///a",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
