//! Upstreams that lead to the gateway itself: a request would go round.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::edge::Listen;
use crate::upstream::Endpoint;

/// Where the gateway listens.
pub(super) struct OwnListeners<'a> {
    public: &'a Listen,
    admin: SocketAddr,
}

impl<'a> OwnListeners<'a> {
    pub(super) const fn new(public: &'a Listen, admin: SocketAddr) -> Self {
        Self { public, admin }
    }

    /// The key of the listener that an endpoint leads to, as far as the file tells: other names and
    /// addresses of this machine show when a request comes back.
    pub(super) fn met_by(&self, endpoint: &Endpoint) -> Option<&'static str> {
        let public = match self.public {
            Listen::Tcp(public) => leads_to(endpoint, *public),
            Listen::Unix(path) => endpoint.socket.as_deref() == Some(path.as_path()),
        };
        match (public, leads_to(endpoint, self.admin)) {
            (true, _) => Some("server.listen"),
            (_, true) => Some("admin.listen"),
            _ => None,
        }
    }
}

fn leads_to(endpoint: &Endpoint, listener: SocketAddr) -> bool {
    endpoint.socket.is_none()
        && endpoint.port == listener.port()
        && addresses(&endpoint.host).any(|address| accepts(listener.ip(), address))
}

/// The addresses that a host means without being looked up.
fn addresses(host: &str) -> impl Iterator<Item = IpAddr> {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_local = name == "localhost"
        || name.ends_with(".localhost")
        || ["localhost.localdomain", "ip6-localhost", "ip6-loopback"].contains(&&*name);
    let local = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ]
    .into_iter()
    .filter(move |_| is_local);
    host.parse::<IpAddr>()
        .ok()
        .map(|address| connected(address.to_canonical()))
        .into_iter()
        .chain(local)
}

/// Where a connection to an address goes: to the unspecified one, to this machine.
const fn connected(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// Whether a listener gets what is sent to an address; `::` takes both families.
fn accepts(listener: IpAddr, address: IpAddr) -> bool {
    match listener.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.is_ipv4() && address.is_loopback(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.is_loopback(),
        own => own == address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_met_by_its_path_alone() {
        let endpoint = |text: &str| Endpoint::parse(text).unwrap();
        let (socket, port) = (
            Listen::Unix("/run/hufu.sock".into()),
            "127.0.0.1:0".parse().unwrap(),
        );
        let own = OwnListeners::new(&socket, port);
        assert_eq!(
            own.met_by(&endpoint("unix:///run//hufu.sock")),
            Some("server.listen")
        );
        assert_eq!(own.met_by(&endpoint("unix:/run/app.sock")), None);
        assert_eq!(own.met_by(&endpoint("http://localhost:81")), None);
        assert_eq!(
            OwnListeners::new(&Listen::Tcp(port), port).met_by(&endpoint("unix:/run/app.sock")),
            None,
            "it has no port"
        );
    }

    #[test]
    fn what_the_file_tells_is_told() {
        for (listener, endpoint, leads) in [
            ("127.0.0.1:80", "http://127.0.0.1", true),
            ("127.0.0.1:80", "http://localhost", true),
            ("127.0.0.1:80", "http://LOCALHOST.:80", true),
            ("127.0.0.1:80", "http://api.localhost", true),
            ("127.0.0.1:80", "http://[::ffff:127.0.0.1]", true),
            ("127.0.0.1:80", "http://0.0.0.0", true),
            ("127.0.0.1:80", "http://[::1]", false),
            ("127.0.0.1:80", "http://127.0.0.2", false),
            ("127.0.0.1:80", "http://127.0.0.1:81", false),
            ("127.0.0.1:443", "https://127.0.0.1", true),
            ("10.0.0.1:80", "http://10.0.0.1", true),
            ("10.0.0.1:80", "http://localhost", false),
            ("0.0.0.0:80", "http://127.0.0.1", true),
            ("0.0.0.0:80", "http://127.8.8.8", true),
            ("0.0.0.0:80", "http://localhost", true),
            ("0.0.0.0:80", "http://0.0.0.0", true),
            ("0.0.0.0:80", "http://[::1]", false),
            ("0.0.0.0:80", "http://10.0.0.1", false),
            ("0.0.0.0:80", "http://orders.internal", false),
            ("[::]:80", "http://127.0.0.1", true),
            ("[::]:80", "http://[::1]", true),
            ("[::]:80", "http://[::]", true),
            ("[::1]:80", "http://ip6-localhost", true),
            ("[::1]:80", "http://127.0.0.1", false),
        ] {
            let endpoint = Endpoint::parse(endpoint).unwrap();
            assert_eq!(
                leads_to(&endpoint, listener.parse().unwrap()),
                leads,
                "{listener} {endpoint}"
            );
        }
    }
}
