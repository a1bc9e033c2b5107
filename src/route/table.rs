//! The route table: the longest path wins, by whole segments; then the more special host; then the method.

use rustc_hash::FxHashMap;

use crate::route::definition::{AuthMode, Route};
use crate::route::host::{ByHost, HostPattern};
use crate::route::methods;
use crate::route::path::PathError;
use crate::route::reading::{self, other_reading};

/// Two routes that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} belongs to two routes")]
pub struct RouteConflict {
    /// The second one's name.
    pub name: String,
}

/// Why no route takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute<'a> {
    /// None has the host and the path.
    Unknown,
    /// Those that have them are for other methods: these.
    OtherMethods(&'a str),
    /// The path has two readings.
    Refused(PathError),
}

/// All routes. A lookup costs as much as the path has segments and the host labels, however many routes there are.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// A quick hash will do: what is in it is the operator's choice.
    exact: FxHashMap<Box<str>, ByHost<Place>>,
    /// The length of the longest path of these that read the same to a backend without case.
    folded: FxHashMap<Box<str>, ByHost<usize>>,
    /// Whether a route's own path has capitals or characters beyond ASCII, so that any path may be another spelling of it.
    cased: bool,
    /// Whether a route names a host.
    by_host: bool,
    /// For each route, whether it was chosen by the method too.
    by_method: Vec<bool>,
}

/// The routes with one path and one pattern of hosts.
#[derive(Debug, Clone, Default)]
struct Place {
    routes: Vec<usize>,
    allow: String,
}

impl RouteTable {
    /// A table of these routes. Paths are canonical and without a slash at the end, except for `/` itself.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteConflict> {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let key: Box<str> = route.path.trim_end_matches('/').into();
            let other = table.folded.entry(other_reading(&key).into()).or_default().entry(&route.hosts);
            *other = (*other).max(route.path.len());
            let place = table.exact.entry(key).or_default().entry(&route.hosts);
            if place.routes.iter().any(|earlier| routes[*earlier].conflicts_with(route)) {
                return Err(RouteConflict { name: route.name() });
            }
            place.routes.push(index);
            place.allow = methods::allow(place.routes.iter().map(|index| &routes[*index].methods));
        }
        table.cased = routes.iter().any(|route| route.path.bytes().any(reading::of_another));
        table.by_method = vec![false; routes.len()];
        for place in table.exact.values().flat_map(ByHost::all) {
            place.routes.iter().for_each(|index| table.by_method[*index] = place.routes.len() > 1 || !routes[*index].methods.is_all());
        }
        table.by_host = routes.iter().any(|route| route.hosts != HostPattern::Any);
        table.routes = routes;
        Ok(table)
    }

    /// All routes, in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether the host of a request matters.
    #[must_use]
    pub const fn names_hosts(&self) -> bool {
        self.by_host
    }

    /// The index of the route of a request: its host as [`host_name`](crate::route::host_name) gives it, its canonical path. Path and host
    /// choose the place, and only then the method the route: what a place does not serve is no other route's. A path that another reading
    /// (without `;` parameters, or ignoring case) would give to a more special place is refused: a backend that reads so would serve what
    /// that protects.
    pub fn find(&self, host: Option<&str>, method: &str, path: &str) -> Result<usize, NoRoute<'_>> {
        let place = longest(&self.exact, path, |hosts| hosts.get(host)).ok_or(NoRoute::Unknown)?;
        self.refuse_other_readings(path, self.path_len(place), |hosts| hosts.get(host).copied())?;
        self.pick(place, method).ok_or(NoRoute::OtherMethods(&place.allow))
    }

    /// Whether a request to this route would have another rule with another method.
    #[must_use]
    pub fn chose_by_method(&self, index: usize) -> bool {
        self.by_method.get(index).is_some_and(|by_method| *by_method)
    }

    /// Whether the method of some request matters.
    #[must_use]
    pub fn names_methods(&self) -> bool {
        self.by_method.contains(&true)
    }

    /// The strictest rule that a request may meet whose host or method is not known.
    pub fn strictest(&self, host: Option<&str>, method: Option<&str>, path: &str) -> Result<AuthMode, NoRoute<'_>> {
        let places = match host {
            Some(_) => longest(&self.exact, path, |hosts| hosts.get(host)).into_iter().collect(),
            None => self.places_of_any_host(path),
        };
        let special = places.iter().map(|place| self.path_len(place)).max().ok_or(NoRoute::Unknown)?;
        self.refuse_other_readings(path, special, |hosts| match host {
            Some(_) => hosts.get(host).copied(),
            None => hosts.all().max().copied(),
        })?;
        let rules = |place: &&Place| -> Vec<usize> { method.map_or_else(|| place.routes.clone(), |method| self.pick(place, method).into_iter().collect()) };
        let found = places.iter().flat_map(rules).map(|index| self.routes[index].auth).min();
        found.ok_or_else(|| places.first().map_or(NoRoute::Unknown, |place| NoRoute::OtherMethods(&place.allow)))
    }

    /// Every place that is some host's: up to the longest path with one for all hosts.
    fn places_of_any_host(&self, path: &str) -> Vec<&Place> {
        let mut places = Vec::new();
        longest(&self.exact, path, |hosts| {
            places.extend(hosts.all());
            hosts.has_any().then_some(())
        });
        places
    }

    fn path_len(&self, place: &Place) -> usize {
        place.routes.first().map_or(0, |index| self.routes[*index].path.len())
    }

    fn pick(&self, place: &Place, method: &str) -> Option<usize> {
        match place.routes[..] {
            [only] if self.routes[only].methods.is_all() => Some(only),
            _ => methods::pick(method, &place.routes.iter().map(|index| (*index, &self.routes[*index].methods))),
        }
    }

    fn refuse_other_readings(&self, path: &str, special: usize, of_host: impl Fn(&ByHost<usize>) -> Option<usize>) -> Result<(), NoRoute<'_>> {
        if self.cased || reading::has_another(path) {
            let other = longest(&self.folded, &other_reading(path), of_host);
            if other.is_some_and(|other| other > special) {
                return Err(NoRoute::Refused(PathError::Ambiguous));
            }
        }
        Ok(())
    }
}

/// Walks from the whole path up to the root, a segment at a time, until something is found.
fn longest<'a, T, F>(table: &'a FxHashMap<Box<str>, T>, path: &str, mut find: impl FnMut(&'a T) -> Option<F>) -> Option<F> {
    let mut prefix = path.strip_suffix('/').unwrap_or(path);
    loop {
        if let Some(found) = table.get(prefix).and_then(&mut find) {
            return Some(found);
        }
        prefix = &prefix[..prefix.rfind('/')?];
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::route::methods::Methods;
    use crate::upstream::Upstream;

    fn table(paths: &[&str]) -> RouteTable {
        let upstream = Arc::new(Upstream::for_tests("u"));
        RouteTable::new(paths.iter().map(|p| Route::new((*p).into(), AuthMode::Required, upstream.clone())).collect()).unwrap()
    }

    fn found<'a>(table: &'a RouteTable, path: &str) -> Result<&'a str, NoRoute<'a>> {
        table.find(None, "GET", path).map(|i| &*table.routes()[i].path)
    }

    /// `METHODS AUTH HOST/PATH`, as in `GET,PUT none *.a.b/x` or `- required /`.
    fn route(text: &str) -> Route {
        let [methods, auth, place] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let (host, path) = place.split_at(place.find('/').unwrap());
        let auth = match auth {
            "required" => AuthMode::Required,
            "optional" => AuthMode::Optional,
            _ => AuthMode::None,
        };
        let mut route = Route::new(path.into(), auth, Arc::new(Upstream::for_tests("u")));
        route.hosts = if host.is_empty() { HostPattern::Any } else { HostPattern::parse(host).unwrap() };
        route.methods = Methods::new(methods.split(',').filter(|method| *method != "-").map(str::to_owned).collect());
        route
    }

    fn routes(texts: &[&str]) -> RouteTable {
        RouteTable::new(texts.iter().map(|text| route(text)).collect()).unwrap()
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
            assert_eq!(found(&t, path), Ok(route), "{path}");
        }
        assert_eq!(found(&table(&["/api"]), "/other"), Err(NoRoute::Unknown));
        assert_eq!(found(&table(&["/api"]), "/"), Err(NoRoute::Unknown));
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
            assert_eq!(found(&t, path), Err(NoRoute::Refused(PathError::Ambiguous)), "{path}");
        }
        assert_eq!(found(&t, "/Files/A;v=1"), Ok("/Files"));
        assert_eq!(found(&t, "/api/x;v=1/Y"), Ok("/api"));
    }

    #[test]
    fn path_then_host_choose_and_the_method_only_after_them() {
        let t = routes(&["- none /", "GET required a.b/api", "POST none a.b/api", "- none /api", "- optional *.b/api/x", "DELETE none /only"]);
        for (host, method, path, expected) in [
            (Some("a.b"), "GET", "/api", Ok(1)),
            (Some("a.b"), "HEAD", "/api", Ok(1)),
            (Some("a.b"), "POST", "/api/y", Ok(2)),
            // Neither the route for any host nor the one above takes what these two do not serve.
            (Some("a.b"), "PUT", "/api", Err(NoRoute::OtherMethods("GET, HEAD, POST"))),
            (Some("a.b"), "OPTIONS", "/api", Err(NoRoute::OtherMethods("GET, HEAD, POST"))),
            (Some("x.b"), "PUT", "/api", Ok(3)),
            (None, "PUT", "/api", Ok(3)),
            (Some("a.b"), "PUT", "/api/x/1", Ok(4)),
            (Some("b"), "PUT", "/api/x/1", Ok(3)),
            (Some("a.b"), "GET", "/only/x", Err(NoRoute::OtherMethods("DELETE"))),
            (Some("a.b"), "GET", "/", Ok(0)),
        ] {
            assert_eq!(t.find(host, method, path), expected, "{host:?} {method} {path}");
        }
        assert!(t.chose_by_method(1) && t.chose_by_method(5) && !t.chose_by_method(3));
    }

    #[test]
    fn another_reading_is_refused_where_the_host_has_the_more_special_place() {
        let t = routes(&["- none /", "POST required a.b/api"]);
        for (host, method, path, expected) in [
            (Some("a.b"), "GET", "/API", Err(NoRoute::Refused(PathError::Ambiguous))),
            (Some("a.b"), "POST", "/api;x/y", Err(NoRoute::Refused(PathError::Ambiguous))),
            (Some("c.d"), "POST", "/api;x/y", Ok(0)),
            (None, "POST", "/API", Ok(0)),
        ] {
            assert_eq!(t.find(host, method, path), expected, "{host:?} {method} {path}");
        }
    }

    #[test]
    fn who_does_not_know_host_or_method_gets_the_strictest_rule() {
        let t = routes(&["- none /", "- required a.b/api", "GET none /api", "POST optional /api", "- none /api/pub"]);
        for (host, method, path, rule) in [
            (None, Some("GET"), "/x", Ok(AuthMode::None)),
            (None, Some("GET"), "/api", Ok(AuthMode::Required)),
            (Some("c.d"), Some("GET"), "/api", Ok(AuthMode::None)),
            (Some("c.d"), None, "/api", Ok(AuthMode::Optional)),
            (Some("c.d"), Some("PUT"), "/api", Err(NoRoute::OtherMethods("GET, HEAD, POST"))),
            (None, None, "/api/pub/1", Ok(AuthMode::None)),
            (None, None, "/API", Err(NoRoute::Refused(PathError::Ambiguous))),
        ] {
            assert_eq!(t.strictest(host, method, path), rule, "{host:?} {method:?} {path}");
        }
        assert_eq!(routes(&["- none a.b/api"]).strictest(Some("c.d"), None, "/api"), Err(NoRoute::Unknown));
    }

    #[test]
    fn two_routes_for_the_same_requests_are_a_conflict() {
        for (one, other) in [("- none /a", "- required /a"), ("GET none *.a.b/a", "PUT,GET none *.A.b./a")] {
            let conflict = RouteTable::new(vec![route(one), route(other)]).unwrap_err();
            assert_eq!(conflict.name, route(other).name());
        }
        for (one, other) in [("- none /a", "GET none /a"), ("GET none /a", "PUT none /a"), ("- none a.b/a", "- none *.b/a"), ("- none *.b/a", "- none /a")] {
            assert!(RouteTable::new(vec![route(one), route(other)]).is_ok(), "{one} {other}");
        }
    }

    #[test]
    fn a_thousand_routes_are_found_as_one_is() {
        for count in [1, 1000] {
            let texts: Vec<String> =
                (0..count).flat_map(|n| [format!("GET none h{n}.a.b/"), format!("- none *.w{n}.b/x"), format!("- none /p/{n}/q")]).collect();
            let table = RouteTable::new(texts.iter().map(|text| route(text)).collect()).unwrap();
            let started = crate::clock::monotonic_now();
            for _ in 0..1000 {
                assert_eq!(table.find(Some("h0.a.b"), "GET", "/y/z"), Ok(0));
                assert_eq!(table.find(Some("a.w0.b"), "PUT", "/x/y"), Ok(1));
                assert_eq!(table.find(Some("other"), "PUT", "/p/0/q/r"), Ok(2));
            }
            println!("{} routes: {:?} a lookup", count * 3, (crate::clock::monotonic_now() - started) / 3000);
        }
    }

    /// Matches by looking at every route.
    fn naive<'a>(all: &[&'a Route], host: Option<&str>, method: &str, path: &str) -> Result<&'a Route, bool> {
        let under = |p: &str| p == "/" || path == p || path.strip_prefix(p).is_some_and(|rest| rest.starts_with('/'));
        let special = |route: &Route| (route.path.len(), matches!(route.hosts, HostPattern::Exact(_)), route.hosts.to_string().len());
        let matching: Vec<_> = all.iter().filter(|route| under(&route.path) && route.hosts.matches(host)).collect();
        let best = matching.iter().map(|route| special(route)).max().ok_or(false)?;
        let place: Vec<_> = matching.into_iter().filter(|route| special(route) == best).collect();
        let names = |route: &Route, method: &str| route.methods.names().iter().any(|own| own == method);
        let by = |wanted: &dyn Fn(&Route) -> bool| place.iter().find(|route| wanted(route)).map(|route| **route);
        by(&|r| names(r, method)).or_else(|| by(&|r| method == "HEAD" && names(r, "GET"))).or_else(|| by(&|r| r.methods.is_all())).ok_or(true)
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(
            texts in prop::collection::vec("(-|GET|PUT|GET,PUT|HEAD) none ((\\*\\.)?[ab](\\.[ab])?)?((/[ab]{1,2}){1,3}|/)", 1..12),
            host in prop::option::of("[ab](\\.[ab]){0,2}"),
            method in "GET|PUT|HEAD|OPTIONS",
            path in "(/[ab]{0,2}){1,4}",
        ) {
            let mut kept: Vec<Route> = Vec::new();
            for candidate in texts.iter().map(|text| route(text)) {
                if !kept.iter().any(|earlier| earlier.conflicts_with(&candidate)) {
                    kept.push(candidate);
                }
            }
            if let Ok(path) = crate::route::canonical(&path) {
                let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
                let table = RouteTable::new(kept.clone()).unwrap();
                let expected = naive(&kept.iter().collect::<Vec<_>>(), host.as_deref(), &method, trimmed);
                match table.find(host.as_deref(), &method, &path) {
                    Ok(index) => prop_assert_eq!(expected.map(Route::name), Ok(kept[index].name())),
                    Err(NoRoute::OtherMethods(allow)) => {
                        prop_assert!(!allow.is_empty() && expected.is_err_and(|other_methods| other_methods));
                    }
                    Err(error) => prop_assert!(error == NoRoute::Unknown && expected.is_err_and(|other_methods| !other_methods)),
                }
            }
        }
    }
}
