//! One route, as the operator has written it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::route::access::AccessRule;
use crate::route::host::HostPattern;
use crate::route::methods::Methods;
use crate::route::path::{PathError, as_it_came, lies_below};
use crate::route::rewrite::PathRewrite;
use crate::upstream::Upstream;

/// Which requests go where, and what it takes to get there.
#[derive(Debug, Clone)]
pub struct Route {
    /// The path that it matches, with everything below it; `/`: all.
    pub path: Arc<str>,
    pub hosts: HostPattern,
    pub methods: Methods,
    /// Which requests are let in.
    pub access: AccessRule,
    /// The upstream that answers.
    pub upstream: Arc<Upstream>,
    /// What becomes of the path.
    pub rewrite: PathRewrite,
    /// Behind the route's own path it goes on as it came, repeated and encoded slashes too.
    pub raw_path: bool,
    /// How long the upstream may be silent; `None`: as its own settings say.
    pub timeout: Option<Duration>,
    /// Longest request body, in bytes; `None`: the server's.
    pub body_limit: Option<u64>,
    /// What changes in a request's headers.
    pub request_headers: HeaderEdits,
    /// What changes in an answer's headers.
    pub response_headers: HeaderEdits,
}

impl Route {
    /// Every request for this path, with the rest as it is by default.
    pub fn new(path: Arc<str>, access: AccessRule, upstream: Arc<Upstream>) -> Self {
        Self {
            path,
            hosts: HostPattern::Any,
            methods: Methods::default(),
            access,
            upstream,
            rewrite: PathRewrite::default(),
            raw_path: false,
            timeout: None,
            body_limit: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
        }
    }

    /// Whether there is no request that it is not for.
    pub fn takes_all(&self) -> bool {
        &*self.path == "/" && self.hosts == HostPattern::Any && self.methods.is_all()
    }

    /// The path for the upstream, of the one that came and its form by which the route was found.
    pub fn outward<'a>(&self, raw: &'a str, form: &'a str) -> Result<Cow<'a, str>, PathError> {
        // Its own part stands in it as it is configured, so whatever a server makes of the rest
        // lies below it.
        if !self.raw_path || !lies_below(raw, &self.path) {
            return Ok(self.rewrite.apply(form));
        }
        let out = match as_it_came(raw) {
            Cow::Borrowed(raw) => self.rewrite.apply(raw),
            Cow::Owned(raw) => Cow::Owned(self.rewrite.apply(&raw).into_owned()),
        };
        let front = out.get(1..4).unwrap_or(&out[1..]);
        if front.starts_with('/') || front.eq_ignore_ascii_case("%2f") {
            Err(PathError::Front)
        } else {
            Ok(out)
        }
    }

    /// What it is called in metrics and access lines: `/api`, `a.example.com/api`, `POST,PUT /api`.
    pub fn name(&self) -> String {
        let space = if self.methods.is_all() { "" } else { " " };
        format!(
            "{}{space}{}{}",
            self.methods.0.join(","),
            self.hosts,
            self.path
        )
    }

    /// Whether there are requests that both match, and neither is the more special one.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.path == other.path && self.hosts == other.hosts && self.methods.overlap(&other.methods)
    }
}

/// What a route changes in the headers of a request or an answer; the reader of the configuration
/// has refused what must not be touched.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Name and value, in the place of whatever came under this name.
    pub set: Vec<(String, String)>,
    /// Names that do not go on.
    pub remove: Vec<String>,
    /// Names that go on though backends believe them.
    pub allow: Vec<String>,
}

impl fmt::Debug for HeaderEdits {
    /// The names: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl HeaderEdits {
    /// Every name that is set or removed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.set
            .iter()
            .map(|(name, _)| name.as_str())
            .chain(self.remove.iter().map(String::as_str))
    }
}
