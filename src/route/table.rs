//! The route table: whole segments, the longest match wins.

use std::collections::HashMap;
use std::sync::Arc;

use crate::route::path::PathError;
use crate::upstream::Upstream;

/// Whether a route needs a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// No session: 401.
    Required,
    /// No token: anonymous. A dead token: anonymous, and the answer says so. Store down: 503.
    Optional,
    /// Sessions are not looked at.
    None,
}

/// Where a path leads and what it takes to get there.
#[derive(Debug, Clone)]
pub struct Route {
    /// The path that it matches, with everything below it; `/`: all.
    pub path: Arc<str>,
    /// Whether it needs a session.
    pub auth: AuthMode,
    /// Who answers.
    pub upstream: Arc<Upstream>,
}

/// Two routes that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {path} belongs to two routes")]
pub struct RouteConflict {
    /// The path.
    pub path: Arc<str>,
}

/// All routes. A lookup costs as much as the path has segments, however many routes there are.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    exact: HashMap<Box<str>, usize>,
    /// The same in lower case, to notice paths that a backend without case would serve from another route.
    folded: HashMap<Box<str>, usize>,
    /// Whether a route's own path has capitals or characters beyond ASCII, so that any path may be another spelling of it.
    cased: bool,
}

impl RouteTable {
    /// A table of these routes. Paths are canonical and without a slash at the end, except for `/` itself.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteConflict> {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let key: Box<str> = route.path.trim_end_matches('/').into();
            if table.exact.insert(key.clone(), index).is_some() {
                return Err(RouteConflict { path: route.path.clone() });
            }
            table.folded.insert(other_reading(&key).into(), index);
        }
        table.cased = routes.iter().any(|route| route.path.bytes().any(has_another_reading));
        table.routes = routes;
        Ok(table)
    }

    /// All routes, in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The index of the route of a canonical path. A path that another reading (without `;` parameters, or ignoring case)
    /// would give to a more special route is refused: a backend that reads so would serve what that route protects.
    pub fn find(&self, path: &str) -> Result<Option<usize>, PathError> {
        let Some(found) = longest(&self.exact, path) else { return Ok(None) };
        if self.cased || path.bytes().any(has_another_reading) || path.contains("./") || path.ends_with('.') {
            let other = longest(&self.folded, &other_reading(path));
            let special = |index: usize| self.routes[index].path.len();
            if other.is_some_and(|other| special(other) > special(found)) {
                return Err(PathError::Ambiguous);
            }
        }
        Ok(Some(found))
    }
}

/// Walks from the whole path up to the root, a segment at a time.
fn longest(table: &HashMap<Box<str>, usize>, path: &str) -> Option<usize> {
    let mut prefix = path.strip_suffix('/').unwrap_or(path);
    loop {
        if let Some(index) = table.get(prefix) {
            return Some(*index);
        }
        prefix = &prefix[..prefix.rfind('/')?];
    }
}

/// Characters that some server reads as something else.
const fn has_another_reading(b: u8) -> bool {
    matches!(b, b';' | b'%' | b':') || b.is_ascii_uppercase() || !b.is_ascii()
}

/// The path as the most generous servers together would read it: without `;` parameters and what they leave empty (servlet
/// containers), without case, dots and blanks at the end of a name, and streams (Windows), decoded again and again, and cut at what would
/// then be a query.
fn other_reading(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    // There and back: "ſ" has no other lower case, but the upper case of "s".
    let lower = text.to_uppercase().to_lowercase();
    let path = lower.split(['?', '#']).next().unwrap_or_default();
    let name = |segment: &str| segment.split([';', ':']).next().unwrap_or_default().trim_end_matches(['.', ' ']).to_owned();
    let names: Vec<String> = path.split('/').map(name).filter(|name| !name.is_empty()).collect();
    names.iter().fold(String::new(), |path, name| path + "/" + name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(paths: &[&str]) -> RouteTable {
        let upstream = Arc::new(Upstream::for_tests("u"));
        RouteTable::new(paths.iter().map(|p| Route { path: (*p).into(), auth: AuthMode::Required, upstream: upstream.clone() }).collect()).unwrap()
    }

    fn found<'a>(table: &'a RouteTable, path: &str) -> Result<Option<&'a str>, PathError> {
        Ok(table.find(path)?.map(|i| &*table.routes()[i].path))
    }

    #[test]
    fn whole_segments_and_the_longest_wins() {
        let t = table(&["/api", "/api/orders", "/"]);
        for (path, route) in [
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/api/x", "/api"),
            ("/apix", "/"),
            ("/api/orders", "/api/orders"),
            ("/api/orders/1", "/api/orders"),
            ("/api/ordersX", "/api"),
            ("/", "/"),
            ("/x;v=1/y", "/"),
        ] {
            assert_eq!(found(&t, path), Ok(Some(route)), "{path}");
        }
        assert_eq!(found(&table(&["/api"]), "/other"), Ok(None));
        assert_eq!(found(&table(&["/api"]), "/"), Ok(None));
    }

    #[test]
    fn another_reading_never_reaches_a_more_special_route() {
        let t = table(&["/", "/api", "/Files"]);
        let evasions = [
            "/api;x/y",
            "/API/x",
            "/Api",
            "/api%3Bx/y",
            "/aPi;a=b",
            "/;/api/x",
            "/;a=b/api/x",
            "/%3B/api",
            "/;x/;y/api",
            "/files/a",
            "/FILES",
            "/fileſ/x",
            "/api.",
            "/api./x",
            "/api%20",
            "/api::$DATA",
            "/%2561pi/x",
            "/api%3Fx",
            "/api%23",
            "/f%C4%B1les/../api",
        ];
        for path in evasions.iter().filter(|path| !path.contains("..")) {
            assert_eq!(found(&t, path), Err(PathError::Ambiguous), "{path}");
        }
        assert_eq!(found(&t, "/Files/A;v=1"), Ok(Some("/Files")));
        assert_eq!(found(&t, "/api/x;v=1/Y"), Ok(Some("/api")));
    }

    #[test]
    fn two_routes_with_one_path_are_a_conflict() {
        let upstream = Arc::new(Upstream::for_tests("u"));
        let route = |p: &str| Route { path: p.into(), auth: AuthMode::None, upstream: upstream.clone() };
        assert_eq!(RouteTable::new(vec![route("/a"), route("/a")]).unwrap_err().path.to_string(), "/a");
    }

    /// Matches by looking at every route.
    fn naive<'a>(paths: &'a [String], path: &str) -> Option<&'a str> {
        let matches = |p: &&String| **p == "/" || path == **p || path.strip_prefix(p.as_str()).is_some_and(|rest| rest.starts_with('/'));
        paths.iter().filter(matches).max_by_key(|p| p.len()).map(String::as_str)
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(paths in prop::collection::hash_set("(/[ab]{1,2}){1,3}|/", 1..8), path in "(/[ab]{0,2}){1,4}") {
            let paths: Vec<String> = paths.into_iter().collect();
            let refs: Vec<&str> = paths.iter().map(String::as_str).collect();
            if let Ok(path) = crate::route::canonical(&path) {
                let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
                let table = table(&refs);
                prop_assert_eq!(found(&table, &path).unwrap(), naive(&paths, trimmed));
            }
        }
    }
}
