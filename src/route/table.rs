//! The route table: the longest path wins, by whole segments; then the more special host; then the
//! method.

mod upstream;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::route::access::AccessRule;
use crate::route::definition::Route;
use crate::route::host::ByHost;
use crate::route::methods;
use crate::route::path::{
    PathError, canonical, has_encoded_slash, lies_below, upwards, with_encoded_slashes,
};
use crate::route::reading::{Readings, SameReading};

/// Stands for every method that no route names.
const UNNAMED: &str = "";

/// Two routes that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} matches two routes")]
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

/// All routes. A lookup costs as much as the path has segments and the host labels, however many
/// routes there are.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// A quick hash will do: what is in it is the operator's choice.
    exact: FxHashMap<Box<str>, ByHost<RouteSet>>,
    /// How backends may read paths.
    readings: Readings,
    /// An example for each pattern of hosts that routes have.
    hosts: BTreeSet<String>,
    /// For each route, whether it was chosen by the method too.
    by_method: Vec<bool>,
    /// The paths of the routes behind which a path goes on as it came.
    raw: Vec<Arc<str>>,
    /// All rules together that any request has.
    all_together: Option<AccessRule>,
}

/// What there is for a path, for whatever host.
struct PathMatches<'a> {
    /// The places of the path and of those above it, the longest first.
    places: Vec<&'a ByHost<RouteSet>>,
    /// Those of its other reading.
    others: Vec<&'a ByHost<SameReading>>,
    /// Those that it has without a suffix.
    stems: Vec<&'a ByHost<SameReading>>,
    /// Whether only routes take it that take encoded slashes.
    encoded: bool,
}

/// The routes with one path and one pattern of hosts.
#[derive(Debug, Clone, Default)]
struct RouteSet {
    routes: Vec<usize>,
    allow: String,
}

impl RouteTable {
    /// A table of these routes. Paths are canonical and without a slash at the end, except for `/`
    /// itself.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteConflict> {
        let mut table = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let key: Box<str> = route.path.trim_end_matches('/').into();
            let place = table.exact.entry(key).or_default().entry(&route.hosts);
            if place
                .routes
                .iter()
                .any(|earlier| routes[*earlier].conflicts_with(route))
            {
                return Err(RouteConflict { name: route.name() });
            }
            place.routes.push(index);
            place.allow = methods::allow(place.routes.iter().map(|index| &routes[*index].methods));
        }
        table.readings = Readings::new(&routes);
        table.by_method = vec![false; routes.len()];
        for place in table.exact.values().flat_map(ByHost::all) {
            place.routes.iter().for_each(|index| {
                table.by_method[*index] =
                    place.routes.len() > 1 || !routes[*index].methods.is_all();
            });
        }
        table.raw = routes
            .iter()
            .filter(|route| route.raw_path)
            .map(|route| route.path.clone())
            .collect();
        table.hosts = routes
            .iter()
            .filter_map(|route| route.hosts.example())
            .collect();
        // What no route takes needs a session.
        table.all_together = together(routes.iter()).map(|rule| {
            if routes.iter().any(Route::takes_all) {
                rule
            } else {
                rule.and(AccessRule::SESSION)
            }
        });
        table.routes = routes;
        Ok(table)
    }

    /// All routes, in the order of the configuration.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The form of a path by which its route is found. Encoded slashes stay in it where the path
    /// lies, as it is written, below a route that passes them on; [`Self::find`] gives it to no
    /// other route.
    pub fn read<'a>(&self, raw: &'a str) -> Result<Cow<'a, str>, PathError> {
        match canonical(raw) {
            Err(PathError::Slash) if !self.raw.is_empty() => {
                let form = with_encoded_slashes(raw)?;
                let above = self
                    .raw
                    .iter()
                    .filter(|path| lies_below(&form, path))
                    .max_by_key(|path| path.len());
                if above.is_some_and(|above| lies_below(raw, above)) {
                    Ok(Cow::Owned(form))
                } else {
                    Err(PathError::Slash)
                }
            }
            read => read,
        }
    }

    /// Whether a path of that form has encoded slashes.
    pub fn is_encoded(&self, path: &str) -> bool {
        !self.raw.is_empty() && has_encoded_slash(path)
    }

    /// Whether the host of a request matters.
    pub fn names_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The index of the route of a request: its host as [`host_name`](crate::route::host_name)
    /// gives it, its canonical path. Path and host choose the place, and only then the method the
    /// route: what a place does not serve is no other route's. A path that another reading (without
    /// `;` parameters, or ignoring case) would give to a more special place is refused: a backend
    /// that reads so would serve what that protects. So is one that would have a stricter rule
    /// without a suffix (`.json`). For a path that no route has, stricter is what asks for more
    /// than a session, as who asks at `/auth/verify` is told that it needs one.
    pub fn find(&self, host: Option<&str>, method: &str, path: &str) -> Result<usize, NoRoute<'_>> {
        let reading = self.readings.of(path);
        let others = || self.readings.places(&reading);
        let stems = || self.readings.without_suffix(&reading);
        let place = self
            .place(host, upwards(&self.exact, path), others())
            .map_err(|none| self.refuse_unknown(none, host, others().chain(stems())))?;
        let found = self
            .pick(&place.routes, method)
            .ok_or(NoRoute::OtherMethods(&place.allow))?;
        if self.is_encoded(path) && !self.routes[found].raw_path {
            return Err(NoRoute::Refused(PathError::Slash));
        }
        self.refuse_suffix(place, host, method, &[found], stems())?;
        Ok(found)
    }

    /// Whether a request to this route would have another rule with another method.
    pub fn chose_by_method(&self, index: usize) -> bool {
        self.by_method
            .get(index)
            .is_some_and(|by_method| *by_method)
    }

    /// Whether the method of some request matters.
    pub fn names_methods(&self) -> bool {
        self.by_method.contains(&true)
    }

    /// All rules together that any request has. One that no route takes needs a session.
    pub fn strictest_of_all(&self) -> &AccessRule {
        self.all_together.as_ref().unwrap_or(&AccessRule::SESSION)
    }

    /// The strictest answer that a request may get whose host or method is not known (`None`). If
    /// some host's or method's is a refusal, it is that one; otherwise all their rules together.
    /// [`NoRoute::Unknown`] counts as a rule that requires a session. Without the host this costs as
    /// much as the table has patterns of hosts.
    pub fn strictest(
        &self,
        host: Option<&str>,
        method: Option<&str>,
        path: &str,
    ) -> Result<AccessRule, NoRoute<'_>> {
        let reading = self.readings.of(path);
        let way = PathMatches {
            places: upwards(&self.exact, path).collect(),
            others: self.readings.places(&reading).collect(),
            stems: self.readings.without_suffix(&reading).collect(),
            encoded: self.is_encoded(path),
        };
        if host.is_some() {
            return self.strictest_of(host, method, &way);
        }
        let named = self
            .hosts
            .iter()
            .map(|host| self.strictest_of(Some(host), method, &way));
        named.fold(self.strictest_of(None, method, &way), both)
    }

    /// The same for one host; `None`: one that no pattern names.
    fn strictest_of<'a>(
        &'a self,
        host: Option<&str>,
        method: Option<&str>,
        way: &PathMatches<'a>,
    ) -> Result<AccessRule, NoRoute<'a>> {
        let (others, stems) = (way.others.iter().copied(), way.stems.iter().copied());
        let place = self
            .place(host, way.places.iter().copied(), others.clone())
            .map_err(|none| self.refuse_unknown(none, host, others.chain(stems.clone())))?;
        let asked = method.unwrap_or(UNNAMED);
        let found = self
            .pick(&place.routes, asked)
            .ok_or(NoRoute::OtherMethods(&place.allow))?;
        let found = if method.is_some() {
            &[found]
        } else {
            &*place.routes
        };
        if way.encoded && !found.iter().all(|index| self.routes[*index].raw_path) {
            return Err(NoRoute::Refused(PathError::Slash));
        }
        let rule =
            together(found.iter().map(|index| &self.routes[*index])).ok_or(NoRoute::Unknown)?;
        self.refuse_suffix(place, host, asked, found, stems)?;
        Ok(rule)
    }

    /// The place of a host, unless another reading belongs to one with a longer path.
    fn place<'a>(
        &'a self,
        host: Option<&str>,
        mut places: impl Iterator<Item = &'a ByHost<RouteSet>>,
        mut others: impl Iterator<Item = &'a ByHost<SameReading>>,
    ) -> Result<&'a RouteSet, NoRoute<'a>> {
        let place = places
            .find_map(|hosts| hosts.get(host))
            .ok_or(NoRoute::Unknown)?;
        let other = others.find_map(|hosts| hosts.get(host));
        if other.is_some_and(|other| other.len > self.path_len(place)) {
            Err(NoRoute::Refused(PathError::Ambiguous))
        } else {
            Ok(place)
        }
    }

    fn path_len(&self, place: &RouteSet) -> usize {
        place
            .routes
            .first()
            .map_or(0, |index| self.routes[*index].path.len())
    }

    fn pick(&self, routes: &[usize], method: &str) -> Option<usize> {
        match routes[..] {
            [only] if self.routes[only].methods.is_all() => Some(only),
            _ => methods::pick(
                method,
                &routes
                    .iter()
                    .map(|index| (*index, &self.routes[*index].methods)),
            ),
        }
    }

    /// Refuses what belongs to another place for a backend that leaves out suffixes, unless each of
    /// the routes `found` covers every rule there, and the method is taken there. The rules of all
    /// methods count: headers and forms may name another to the backend.
    fn refuse_suffix<'a>(
        &'a self,
        place: &RouteSet,
        host: Option<&str>,
        method: &str,
        found: &[usize],
        stems: impl Iterator<Item = &'a ByHost<SameReading>>,
    ) -> Result<(), NoRoute<'a>> {
        for there in stems.filter_map(|hosts| hosts.get(host)) {
            let is_open =
                self.cover(found, &there.routes) && self.pick(&there.routes, method).is_some();
            if there.len > self.path_len(place) && !is_open {
                return Err(NoRoute::Refused(PathError::Ambiguous));
            }
        }
        Ok(())
    }

    /// For a path that no route has: a refusal if it may be read as that of a route whose rule asks
    /// for more than a session.
    fn refuse_unknown<'a>(
        &self,
        none: NoRoute<'a>,
        host: Option<&str>,
        mut readings: impl Iterator<Item = &'a ByHost<SameReading>>,
    ) -> NoRoute<'a> {
        let asks_for_more = |there: &SameReading| {
            let mut rules = there.routes.iter().map(|index| &self.routes[*index].access);
            rules.any(|rule| !AccessRule::SESSION.covers(rule))
        };
        if none == NoRoute::Unknown
            && readings.any(|hosts| hosts.get(host).is_some_and(asks_for_more))
        {
            NoRoute::Refused(PathError::Ambiguous)
        } else {
            none
        }
    }

    /// Whether each of these routes has a rule that covers those of all the others.
    fn cover(&self, routes: &[usize], others: &[usize]) -> bool {
        routes.iter().all(|route| {
            let rule = &self.routes[*route].access;
            others
                .iter()
                .all(|other| rule.covers(&self.routes[*other].access))
        })
    }
}

/// What the rules of all these routes ask together.
fn together<'a>(mut routes: impl Iterator<Item = &'a Route>) -> Option<AccessRule> {
    let first = routes.next()?.access.clone();
    Some(routes.fold(first, |rule, route| rule.and(route.access.clone())))
}

/// The answer to a request that may be either of two: a refusal wins, and rules are asked together.
fn both<'a>(
    one: Result<AccessRule, NoRoute<'a>>,
    other: Result<AccessRule, NoRoute<'a>>,
) -> Result<AccessRule, NoRoute<'a>> {
    let refused = |answer: &Result<AccessRule, NoRoute<'_>>| {
        matches!(answer, Err(NoRoute::OtherMethods(_) | NoRoute::Refused(_)))
    };
    match (one, other) {
        (one, _) if refused(&one) => one,
        (_, other) if refused(&other) => other,
        (Ok(one), Ok(other)) => Ok(one.and(other)),
        (Ok(rule), Err(_)) | (Err(_), Ok(rule)) => Ok(rule.and(AccessRule::SESSION)),
        (Err(unknown), Err(_)) => Err(unknown),
    }
}

#[cfg(test)]
mod tests;
