//! Where a request comes from: the socket's peer, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Once;

use ipnet::IpNet;

use crate::assertion::headers::VIA;
use crate::http::address::address;
use crate::http::forwarded::{self, FORWARDED};
use crate::http::head::Headers;

/// More hops than any real chain has; what lies further left is not looked at.
const MAX_HOPS: usize = 32;
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The header in which proxies say whom a request comes from. Another one that comes with it may be
/// the client's own, which a proxy that does not know it passes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`, with the other `X-Forwarded-*`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardingHeader {
    const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => FORWARDED,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::XForwardedFor => Self::Forwarded,
            Self::Forwarded => Self::XForwardedFor,
        }
    }
}

/// The networks whose word about a request is believed, and where it stands.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// None by default.
    pub networks: Vec<IpNet>,
    /// The header that they write.
    pub header: ForwardingHeader,
}

impl TrustedProxies {
    /// Whether this address is a trusted proxy. `::ffff:10.0.0.1` is `10.0.0.1`.
    pub fn contains(&self, address: IpAddr) -> bool {
        !self.networks.is_empty()
            && self
                .networks
                .iter()
                .any(|net| net.contains(&address.to_canonical()))
    }

    /// The client: from the right, the first hop that is not a trusted proxy. From a peer that is
    /// not trusted, the headers count for nothing. A hop that is not an address ends the search at
    /// the last one that was.
    pub fn client(&self, peer: IpAddr, headers: Headers<'_>) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.contains(peer) {
            return client;
        }
        if !headers.contains(self.header.name()) {
            self.log_missing_header(peer, headers);
            return client;
        }
        for hop in self.hops(headers).take(MAX_HOPS) {
            let Some(address) = hop else { break };
            client = address.to_canonical();
            if !self.contains(client) {
                break;
            }
        }
        client
    }

    /// The hops from the right.
    fn hops<'a>(&self, headers: Headers<'a>) -> Box<dyn Iterator<Item = Option<IpAddr>> + 'a> {
        match self.header {
            ForwardingHeader::XForwardedFor => {
                Box::new(from_the_right(headers).map(|item| address(item?)))
            }
            ForwardingHeader::Forwarded => {
                Box::new(forwarded::elements(headers).map(|element| element?.client()))
            }
        }
    }

    /// A proxy that does not write the header that is believed is logged, once: its clients have
    /// its address.
    fn log_missing_header(&self, peer: IpAddr, headers: Headers<'_>) {
        static LOGGED_OTHER: Once = Once::new();
        static LOGGED_NONE: Once = Once::new();
        let believed = self.header.name();
        let other = self.header.other().name();
        if headers.contains(other) {
            LOGGED_OTHER.call_once(|| {
                log::warn!(
                    "the trusted proxy {peer} sends {other}, but server.forwarding_header expects {believed}: its clients have the proxy's address in \
                     logs and sessions, and logins are not limited by address. Let it write {believed}, or set server.forwarding_header if it writes {other} itself instead of \
                     passing on what clients send"
                );
            });
        } else {
            LOGGED_NONE.call_once(|| {
                log::warn!(
                    "the trusted proxy {peer} sent a request without {believed}: unless it was its own health check, its clients have the proxy's address in \
                     logs and sessions, and logins are not limited by address. Let it write {believed}, or remove it from server.trusted_proxies if it is no proxy"
                );
            });
        }
    }

    /// Whether the peer is a proxy of the operator's that nobody has told the gateway of: then its
    /// address is everybody's. The first time this is logged.
    pub fn is_nameless_proxy(&self, peer: IpAddr, headers: Headers<'_>) -> bool {
        static LOGGED: Once = Once::new();
        let forwards = || headers.contains(X_FORWARDED_FOR) || headers.contains(FORWARDED);
        let nameless = self.networks.is_empty() && is_private(peer.to_canonical()) && forwards();
        // What a gateway has sent is no proxy's: that one writes the header too, and where it comes
        // back here, that is told of.
        if nameless && !headers.contains(VIA) {
            LOGGED.call_once(|| {
                log::warn!(
                    "{peer} forwards requests, but server.trusted_proxies is empty: every client has its address in logs and sessions, and logins are \
                     not limited by address. Add the address of your proxy to server.trusted_proxies"
                );
            });
        }
        nameless
    }
}

/// An address that no client comes from over the Internet; among them 100.64.0.0/10, from which
/// cloud providers' balancers speak.
const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared(v4)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

const fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

/// The items of `X-Forwarded-For`, of its last line first; `None` for a line that is not text.
fn from_the_right(headers: Headers<'_>) -> impl Iterator<Item = Option<&str>> {
    headers.get_all(X_FORWARDED_FOR).rev().flat_map(|line| {
        line.text()
            .unwrap_or("\0")
            .rsplit(',')
            .map(|item| Some(item.trim()).filter(|i| *i != "\0"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::RequestHead;

    /// The client by each of the two headers, where the proxies are in 10.0.0.0/8 and fd00::/8.
    fn clients(peer: &str, lines: &[(&str, &str)]) -> [String; 2] {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let head = RequestHead::sample("GET", "/", lines);
        [ForwardingHeader::XForwardedFor, ForwardingHeader::Forwarded].map(|header| {
            let trusted = TrustedProxies {
                networks: networks.to_vec(),
                header,
            };
            let client = trusted.client(peer.parse().unwrap(), head.headers());
            client.to_string()
        })
    }

    #[test]
    fn a_private_peer_that_forwards_is_a_proxy_that_nobody_named() {
        let nameless = |trusted: &[&str], peer: &str, name: &str| {
            let head = RequestHead::sample("GET", "/", &[(name, "198.51.100.7")]);
            let networks = trusted.iter().map(|net| net.parse().unwrap()).collect();
            let trusted = TrustedProxies {
                networks,
                ..TrustedProxies::default()
            };
            trusted.is_nameless_proxy(peer.parse().unwrap(), head.headers())
        };
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.9.9",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(
                nameless(&[], private, X_FORWARDED_FOR) && nameless(&[], private, FORWARDED),
                "{private}"
            );
            assert!(!nameless(&[], private, "x-other"), "{private}");
            assert!(
                !nameless(&["192.0.2.1/32"], private, X_FORWARDED_FOR),
                "{private}: the operator has named the proxies"
            );
        }
        for public in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "2001:db8::1",
        ] {
            assert!(!nameless(&[], public, X_FORWARDED_FOR), "{public}");
        }
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        let long = format!("6.6.6.6,{}", vec!["10.0.0.2"; 500].join(","));
        for (peer, forwarded_for, client) in [
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"][..], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1:443"], "1.1.1.1"),
            ("fd00::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["6.6.6.6, evil, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["[fe80::1%1]:443"], "10.0.0.1"),
            ("10.0.0.1", &["[fe80::1%1]"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%1"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[&long], "10.0.0.2"),
            ("::ffff:8.8.8.8", &[], "8.8.8.8"),
        ] {
            let lines: Vec<_> = forwarded_for
                .iter()
                .map(|line| (X_FORWARDED_FOR, *line))
                .collect();
            assert_eq!(clients(peer, &lines)[0], client, "{forwarded_for:?}");
        }
    }

    #[test]
    fn only_the_header_that_proxies_write_says_who_the_client_is() {
        let xff = (X_FORWARDED_FOR, "1.1.1.1");
        let forwarded = (FORWARDED, "for=2.2.2.2");
        let with_port = "for=6.6.6.6;proto=http, For=\"[2001:db8::1]:47\"";
        let hidden = "for=6.6.6.6, for=_hidden";
        let through = "for=6.6.6.6, for=1.1.1.1, for=10.0.0.2";
        for (peer, lines, by_each) in [
            ("10.0.0.1", &[xff, forwarded][..], ["1.1.1.1", "2.2.2.2"]),
            ("8.8.8.8", &[xff, forwarded], ["8.8.8.8", "8.8.8.8"]),
            ("10.0.0.1", &[xff], ["1.1.1.1", "10.0.0.1"]),
            ("10.0.0.1", &[forwarded], ["10.0.0.1", "2.2.2.2"]),
            (
                "10.0.0.1",
                &[(FORWARDED, with_port)],
                ["10.0.0.1", "2001:db8::1"],
            ),
            ("10.0.0.1", &[(FORWARDED, hidden)], ["10.0.0.1", "10.0.0.1"]),
            ("10.0.0.1", &[(FORWARDED, through)], ["10.0.0.1", "1.1.1.1"]),
        ] {
            assert_eq!(clients(peer, lines), by_each, "{peer} {lines:?}");
        }
    }
}
