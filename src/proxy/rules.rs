//! What the proxy does on one route beside passing on, prepared at start.

use std::fmt;
use std::sync::Arc;

use crate::assertion::reserved::is_same_name;
use crate::http::head::Value;
use crate::http::request_log::CountedRoute;
use crate::http::{AnswerHead, FailureShape};
use crate::proxy::location;
use crate::route::{HeaderEdits, PathRewrite, Route};
use crate::upstream::{Endpoint, HostHeader, Upstream};

pub struct RouteRules {
    /// Its name and counters.
    pub counted: Arc<CountedRoute>,
    /// How the gateway's own errors look on it.
    pub failure: Arc<FailureShape>,
    /// What changes in requests.
    pub request: PreparedEdits,
    /// What changes in answers, which have names in lower case.
    pub response: PreparedEdits,
    /// The upstream's addresses, as they stand in its own redirects.
    authorities: Vec<String>,
    rewrite: PathRewrite,
}

impl RouteRules {
    /// The rules of this route.
    pub fn new(route: &Route, counted: Arc<CountedRoute>, failure: Arc<FailureShape>) -> Self {
        Self {
            counted,
            failure,
            request: PreparedEdits::new(&route.request_headers, str::to_owned),
            response: PreparedEdits::new(&route.response_headers, str::to_ascii_lowercase),
            authorities: authorities(&route.upstream),
            rewrite: route.rewrite.clone(),
        }
    }

    /// An upstream's `Location` as the client gets it.
    pub fn write_location(&self, location: Value<'_>, answer: &mut AnswerHead) {
        let changed = std::str::from_utf8(location.bytes())
            .ok()
            .and_then(|text| location::for_client(text, &self.authorities, &self.rewrite));
        let location = changed.as_ref().map_or(location.bytes(), String::as_bytes);
        answer.push("location", location);
    }
}

/// What a route changes in headers, ready to be applied.
#[derive(Default)]
pub struct PreparedEdits {
    touched: Vec<String>,
    allowed: Vec<String>,
    /// The lines of what is set.
    pub lines: String,
}

impl fmt::Debug for PreparedEdits {
    /// The names: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.touched).finish()
    }
}

impl PreparedEdits {
    fn new(edits: &HeaderEdits, spell: fn(&str) -> String) -> Self {
        let line = |(name, value): &(String, String)| format!("{}: {value}\r\n", spell(name));
        let allowed = edits.allow.iter();
        Self {
            touched: edits.names().map(str::to_owned).collect(),
            allowed: allowed.map(|name| name.to_ascii_lowercase()).collect(),
            lines: edits.set.iter().map(line).collect(),
        }
    }

    /// Whether a client's header goes on that else would not. In no other spelling than the
    /// route's: a proxy before the gateway that takes the name from its clients may not know the
    /// others.
    pub fn allows(&self, name: &[u8]) -> bool {
        self.allowed.iter().any(|own| own.as_bytes() == name)
    }

    /// Whether a header does not go on as it is: it is set or removed here, or another spelling of
    /// one that is.
    pub fn drops(&self, name: &[u8]) -> bool {
        self.touched.iter().any(|own| is_same_name(own, name))
    }
}

/// The endpoints, and what the upstream gets as its host: it may write its redirects from either,
/// and where it believes `X-Forwarded-Proto`, with the client's scheme.
fn authorities(upstream: &Upstream) -> Vec<String> {
    let mut all: Vec<_> = upstream.endpoints.iter().map(own_authority).collect();
    let hosts = match &upstream.host {
        HostHeader::Client => Vec::new(),
        HostHeader::Endpoint => upstream.endpoints.iter().map(Endpoint::authority).collect(),
        HostHeader::Fixed(host) => vec![host.clone()],
    };
    for host in hosts {
        match has_port(&host) {
            true => all.push(host),
            false => all.extend([80, 443].map(|port| format!("{host}:{port}"))),
        }
    }
    all
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']'))
}

/// An endpoint with its port. A server behind a Unix socket takes that of its scheme.
fn own_authority(endpoint: &Endpoint) -> String {
    if endpoint.socket.is_some() {
        format!("{}:80", endpoint.authority())
    } else {
        endpoint.host_and_port()
    }
}
