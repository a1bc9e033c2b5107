//! What the proxy does on one route beside passing on, prepared at start.

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};

use crate::assertion::headers::is_same_name;
use crate::http::completion::CountedRoute;
use crate::http::failure::FailureShape;
use crate::proxy::location;
use crate::route::{HeaderEdits, PathRewrite, Route};

/// The rules of one route.
#[derive(Debug)]
pub struct RouteRules {
    /// Its name and counters.
    pub counted: Arc<CountedRoute>,
    /// How the gateway's own errors look on it.
    pub failure: Arc<FailureShape>,
    /// What changes in requests.
    pub request: RequestEdits,
    response: Vec<(HeaderName, Option<HeaderValue>)>,
    /// The upstream's addresses, as they stand in its own redirects.
    authorities: Vec<String>,
    rewrite: PathRewrite,
}

impl RouteRules {
    /// The rules of this route.
    #[must_use]
    pub fn new(route: &Route, counted: Arc<CountedRoute>, failure: Arc<FailureShape>) -> Self {
        Self {
            counted,
            failure,
            request: RequestEdits::new(&route.request_headers),
            response: response_edits(&route.response_headers),
            authorities: route.upstream.endpoints.iter().map(ToString::to_string).collect(),
            rewrite: route.rewrite.clone(),
        }
    }

    /// Makes an upstream's answer the route's.
    pub fn edit_answer(&self, headers: &mut HeaderMap) {
        if let Some(location) = headers.get(LOCATION) {
            let changed = location.to_str().ok().and_then(|text| location::for_client(text, &self.authorities, &self.rewrite));
            if let Some(changed) = changed.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(LOCATION, changed);
            }
        }
        for (name, value) in &self.response {
            match value {
                Some(value) => drop(headers.insert(name.clone(), value.clone())),
                None => drop(headers.remove(name)),
            }
        }
    }
}

/// What a route changes in a request's headers.
#[derive(Default)]
pub struct RequestEdits {
    touched: Vec<String>,
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
        Self { touched: edits.names().map(str::to_owned).collect(), lines: edits.set.iter().map(line).collect() }
    }

    /// Whether a client's header does not go on: it is set or removed here, or another spelling of one that is.
    #[must_use]
    pub fn replaces(&self, name: &str) -> bool {
        self.touched.iter().any(|own| is_same_name(own, name))
    }

    /// The lines of what is set.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
    }
}

/// Names and values were checked with the configuration.
fn response_edits(edits: &HeaderEdits) -> Vec<(HeaderName, Option<HeaderValue>)> {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let removed = edits.remove.iter().filter_map(|own| Some((name(own)?, None)));
    let set = edits.set.iter().filter_map(|(own, value)| Some((name(own)?, Some(HeaderValue::from_str(value).ok()?))));
    removed.chain(set).collect()
}
