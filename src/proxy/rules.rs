//! What the proxy does on one route beside passing on, prepared at start.

use std::fmt;
use std::sync::Arc;

use crate::assertion::headers::is_same_name;
use crate::http::AnswerHead;
use crate::http::failure::FailureShape;
use crate::http::head::Value;
use crate::http::request_log::CountedRoute;
use crate::proxy::location;
use crate::route::{HeaderEdits, PathRewrite, Route};
use crate::upstream::{Endpoint, HostHeader, Upstream};

/// The rules of one route.
pub struct RouteRules {
    /// Its name and counters.
    pub counted: Arc<CountedRoute>,
    /// How the gateway's own errors look on it.
    pub failure: Arc<FailureShape>,
    /// What changes in requests.
    pub request: RequestEdits,
    /// What changes in answers, by names in lower case; without a value: the header is removed.
    response: Vec<(String, Option<String>)>,
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
            request: RequestEdits::new(&route.request_headers),
            response: response_edits(&route.response_headers),
            authorities: authorities(&route.upstream),
            rewrite: route.rewrite.clone(),
        }
    }

    /// Whether an upstream's header does not go on as it is: it is set or removed here, or another
    /// spelling of one that is.
    pub fn replaces_in_answers(&self, name: &[u8]) -> bool {
        self.response.iter().any(|(own, _)| is_same_name(own, name))
    }

    /// Writes what is set in answers.
    pub fn write_set(&self, answer: &mut AnswerHead) {
        for (name, value) in &self.response {
            if let Some(value) = value {
                answer.push(name, value.as_bytes());
            }
        }
    }

    /// An upstream's `Location` as the client gets it.
    pub fn write_location(&self, location: Value<'_>, answer: &mut AnswerHead) {
        let changed = std::str::from_utf8(location.bytes())
            .ok()
            .and_then(|text| location::for_client(text, &self.authorities, &self.rewrite));
        answer.push(
            "location",
            changed
                .as_ref()
                .map_or(location.bytes(), |text| text.as_bytes()),
        );
    }
}

/// What a route changes in a request's headers.
#[derive(Default)]
pub struct RequestEdits {
    touched: Vec<String>,
    allowed: Vec<String>,
    lines: String,
}

impl fmt::Debug for RequestEdits {
    /// The names: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.touched).finish()
    }
}

impl RequestEdits {
    fn new(edits: &HeaderEdits) -> Self {
        let line = |(name, value): &(String, String)| format!("{name}: {value}\r\n");
        let allowed = edits
            .allow
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        Self {
            touched: edits.names().map(str::to_owned).collect(),
            allowed,
            lines: edits.set.iter().map(line).collect(),
        }
    }

    /// Whether a client's header goes on that else would not. In no other spelling than the
    /// route's: a proxy before the gateway that takes the name from its clients may not know the
    /// others.
    pub fn allows(&self, name: &[u8]) -> bool {
        self.allowed.iter().any(|own| own.as_bytes() == name)
    }

    /// Whether a client's header does not go on: it is set or removed here, or another spelling of
    /// one that is.
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.touched.iter().any(|own| is_same_name(own, name))
    }

    /// The lines of what is set.
    pub fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
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

/// Names and values were checked with the configuration.
fn response_edits(edits: &HeaderEdits) -> Vec<(String, Option<String>)> {
    let removed = edits
        .remove
        .iter()
        .map(|name| (name.to_ascii_lowercase(), None));
    let set = edits
        .set
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), Some(value.clone())));
    removed.chain(set).collect()
}
