//! Scheme and host of a request, as a trusted proxy forwards them.

use std::net::IpAddr;

use crate::http::client_address::ForwardingHeader;
use crate::http::extract::Inbound;
use crate::http::forwarded::of_client;
use crate::http::head::{Headers, Value};
use crate::route::host_name;

/// What a trusted proxy says of where a request comes from.
#[derive(Debug, Default)]
pub struct ForwardedOrigin<'a> {
    /// The scheme by which the client came.
    pub proto: Option<&'a [u8]>,
    /// The host that it asked for.
    pub host: Option<&'a [u8]>,
}

impl<'a> ForwardedOrigin<'a> {
    /// Empty if the peer is no trusted proxy.
    pub fn of(inbound: &Inbound, headers: Headers<'a>) -> Self {
        match (inbound.trusted_peer, inbound.forwarding) {
            (false, _) => Self::default(),
            (true, ForwardingHeader::XForwardedFor) => Self::by_x_forwarded(headers),
            (true, ForwardingHeader::Forwarded) => Self::by_forwarded(headers, inbound.client),
        }
    }

    /// The scheme by which the client came, as far as is known.
    pub fn scheme(&self, inbound: &Inbound) -> &'a [u8] {
        self.proto
            .unwrap_or(if inbound.secure { b"https" } else { b"http" })
    }

    /// A proxy may add a line behind the client's own, so the last one counts.
    fn by_x_forwarded(headers: Headers<'a>) -> Self {
        let last = |name: &str| headers.get_all(name).next_back().map(Value::bytes);
        Self {
            proto: last("x-forwarded-proto"),
            host: last("x-forwarded-host"),
        }
    }

    fn by_forwarded(headers: Headers<'a>, client: IpAddr) -> Self {
        let Some(element) = of_client(headers, client) else {
            return Self::default();
        };
        let proto = element
            .get("proto")
            .filter(|proto| ["http", "https"].contains(proto));
        let host = element.get("host").filter(|host| host_name(host).is_some());
        Self {
            proto: proto.map(str::as_bytes),
            host: host.map(str::as_bytes),
        }
    }
}

/// Whether the client is known to have come by https: to the gateway itself, or to a trusted proxy
/// that says so.
pub fn is_https(inbound: &Inbound, headers: Headers<'_>) -> bool {
    ForwardedOrigin::of(inbound, headers)
        .scheme(inbound)
        .eq_ignore_ascii_case(b"https")
}
