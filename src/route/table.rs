//! The route table: the longest path wins, by whole segments; then the more special host; then the method.

use rustc_hash::FxHashMap;

use crate::route::definition::{AuthMode, Route};
use crate::route::host::{AskedHost, ByHost, HostPattern};
use crate::route::methods;
use crate::route::path::{PathError, longest};
use crate::route::reading::Readings;

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
    /// How backends may read paths.
    readings: Readings,
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
            let place = table.exact.entry(key).or_default().entry(&route.hosts);
            if place.routes.iter().any(|earlier| routes[*earlier].conflicts_with(route)) {
                return Err(RouteConflict { name: route.name() });
            }
            place.routes.push(index);
            place.allow = methods::allow(place.routes.iter().map(|index| &routes[*index].methods));
        }
        table.readings = Readings::new(&routes);
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
    /// that protects. So is one that would have a stricter rule without a suffix (`.json`).
    pub fn find(&self, host: Option<&str>, method: &str, path: &str) -> Result<usize, NoRoute<'_>> {
        let place = longest(&self.exact, path, |hosts| hosts.get(host)).ok_or(NoRoute::Unknown)?;
        let (special, host) = (self.path_len(place), AskedHost::Known(host));
        let reading = self.readings.of(path, special, host).map_err(NoRoute::Refused)?;
        let found = self.pick(&place.routes, method).ok_or(NoRoute::OtherMethods(&place.allow))?;
        self.refuse_suffix(&reading, special, host, Some(method), self.routes[found].auth)?;
        Ok(found)
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
        let lengths = || places.iter().map(|place| self.path_len(place));
        let (Some(least), Some(special)) = (lengths().min(), lengths().max()) else { return Err(NoRoute::Unknown) };
        let host = host.map_or(AskedHost::Any, |host| AskedHost::Known(Some(host)));
        let reading = self.readings.of(path, special, host).map_err(NoRoute::Refused)?;
        let rules =
            |place: &&Place| -> Vec<usize> { method.map_or_else(|| place.routes.clone(), |method| self.pick(&place.routes, method).into_iter().collect()) };
        let found = places.iter().flat_map(rules).map(|index| self.routes[index].auth).min();
        let found = found.ok_or_else(|| places.first().map_or(NoRoute::Unknown, |place| NoRoute::OtherMethods(&place.allow)))?;
        // A host that has no route for the file itself may be meant.
        self.refuse_suffix(&reading, least, host, method, found)?;
        Ok(found)
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

    fn pick(&self, routes: &[usize], method: &str) -> Option<usize> {
        match routes[..] {
            [only] if self.routes[only].methods.is_all() => Some(only),
            _ => methods::pick(method, &routes.iter().map(|index| (*index, &self.routes[*index].methods))),
        }
    }

    /// Refuses what belongs to another place for a backend that leaves out suffixes, if that has a stricter rule or does not take the method.
    /// The strictest of all methods counts: headers and forms may name another to the backend.
    fn refuse_suffix(&self, reading: &str, special: usize, host: AskedHost<'_>, method: Option<&str>, than: AuthMode) -> Result<(), NoRoute<'_>> {
        if !self.readings.has_suffix(reading) {
            return Ok(());
        }
        let is_stricter =
            |routes: &[usize]| routes.iter().any(|index| self.routes[*index].auth < than) || method.is_some_and(|method| self.pick(routes, method).is_none());
        if self.readings.without_suffix(reading, special, host).any(is_stricter) { Err(NoRoute::Refused(PathError::Ambiguous)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
