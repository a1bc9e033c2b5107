//! What a route makes of a path on its way to the upstream. A matched path is canonical and begins
//! with the route's own; what comes out is canonical again: a prefix is exchanged for another at
//! the end of a segment, and nothing else.

use std::borrow::Cow;
use std::sync::Arc;

use crate::route::path::below;

/// A prefix that is left out or exchanged; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathRewrite {
    from: Arc<str>,
    to: Arc<str>,
}

impl PathRewrite {
    /// Puts `to` in the place of `from`. Both are canonical, `/` for nothing; `from` begins the
    /// route's path, whole segments of it.
    pub fn new(from: &str, to: &str) -> Self {
        Self {
            from: from.trim_end_matches('/').into(),
            to: to.trim_end_matches('/').into(),
        }
    }

    /// The path for the upstream.
    pub fn apply<'a>(&self, path: &'a str) -> Cow<'a, str> {
        exchange(path, &self.from, &self.to).unwrap_or(Cow::Borrowed(path))
    }

    /// The client's path for one of the upstream's; `None`: no request of the route leads there.
    pub fn reverse<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        exchange(path, &self.to, &self.from)
    }

    /// The prefix that is left out without another in its place: by it a backend can write links
    /// that work outside.
    pub fn stripped(&self) -> Option<&str> {
        (self.to.is_empty() && !self.from.is_empty()).then_some(&*self.from)
    }
}

/// `path` with `to` in the place of the segments `from` at its front.
fn exchange<'a>(path: &'a str, from: &str, to: &str) -> Option<Cow<'a, str>> {
    Some(match (to, below(path, from)?) {
        ("", "") => Cow::Borrowed("/"),
        ("", rest) => Cow::Borrowed(rest),
        (to, _) if to == from => Cow::Borrowed(path),
        (to, rest) => Cow::Owned([to, rest].concat()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_exchanged_at_the_end_of_a_segment() {
        for (from, to, path, out) in [
            ("/api", "/", "/api", "/"),
            ("/api", "/", "/api/", "/"),
            ("/api", "/", "/api/x/", "/x/"),
            ("/api", "/v2", "/api", "/v2"),
            ("/api", "/v2", "/api/", "/v2/"),
            ("/api", "/v2/y", "/api/x", "/v2/y/x"),
            ("/", "/v2", "/", "/v2/"),
            ("/", "/v2", "/x", "/v2/x"),
            ("/", "/", "/x", "/x"),
            ("/api", "/api", "/api/x", "/api/x"),
        ] {
            assert_eq!(
                PathRewrite::new(from, to).apply(path),
                out,
                "{from} {to} {path}"
            );
        }
        assert_eq!(PathRewrite::default().apply("/a/b"), "/a/b");
        assert_eq!(PathRewrite::new("/api", "/").stripped(), Some("/api"));
        assert_eq!(PathRewrite::new("/api", "/x").stripped(), None);
    }

    #[test]
    fn the_way_back() {
        for (to, path, back) in [
            ("/v2", "/v2/x", Some("/api/x")),
            ("/v2", "/v2", Some("/api")),
            ("/v2", "/v20", None),
            ("/", "/x", Some("/api/x")),
        ] {
            let rewrite = PathRewrite::new("/api", to);
            assert_eq!(rewrite.reverse(path).as_deref(), back, "{to} {path}");
        }
    }
}
