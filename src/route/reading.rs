//! How a canonical path would be read by servers that know more spellings than the gateway.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::route::definition::Route;
use crate::route::host::{AskedHost, ByHost};
use crate::route::path::{PathError, longest};

/// The places of all routes, as such servers would read their paths.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    folded: FxHashMap<Box<str>, ByHost<SameReading>>,
    /// Whether a route's own path has capitals or characters beyond ASCII, so that any path may be another spelling of it.
    cased: bool,
    /// The length of the longest path that a suffix could lead past; 0: all routes have the same rule.
    guarded: usize,
}

/// The routes whose paths read the same, for one pattern of hosts.
#[derive(Debug, Clone, Default)]
struct SameReading {
    routes: Vec<usize>,
    /// The length of the longest of their paths as they are written.
    len: usize,
}

impl Readings {
    /// Those of these routes.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut folded: FxHashMap<Box<str>, ByHost<SameReading>> = FxHashMap::default();
        for (index, route) in routes.iter().enumerate() {
            let same = folded.entry(other_reading(&route.path).into()).or_default().entry(&route.hosts);
            same.routes.push(index);
            same.len = same.len.max(route.path.len());
        }
        let cased = routes.iter().any(|route| route.path.bytes().any(of_another));
        let even = routes.iter().all(|route| route.auth == routes[0].auth && route.methods.is_all());
        let guarded = if even { 0 } else { folded.keys().map(|path| path.len()).max().unwrap_or(0) };
        Self { folded, cased, guarded }
    }

    /// A path as the most generous servers would read it, unless that belongs to a place with a longer path than `special`.
    pub fn of<'a>(&self, path: &'a str, special: usize, host: AskedHost<'_>) -> Result<Cow<'a, str>, PathError> {
        if !self.cased && !has_another(path) {
            return Ok(Cow::Borrowed(path));
        }
        let other = other_reading(path);
        let len = longest(&self.folded, &other, |hosts| hosts.asked(host).map(|same| same.len).max());
        if len.is_some_and(|len| len > special) { Err(PathError::Ambiguous) } else { Ok(Cow::Owned(other)) }
    }

    /// Whether a reading may have a stricter rule without a suffix of its last name.
    #[must_use]
    pub fn has_suffix(&self, reading: &str) -> bool {
        let from_its_end = || reading.strip_suffix('/').unwrap_or(reading).bytes().rev();
        self.guarded > 0 && from_its_end().find(|b| matches!(b, b'/' | b'.')) == Some(b'.')
    }

    /// The routes of each place with a longer path than `special` that a reading has without a suffix of its last name. Many frameworks take
    /// that for a wish for a form of the answer (`/orders.json`), or for decoration (`/orders.html`).
    pub fn without_suffix<'a>(&'a self, reading: &'a str, special: usize, host: AskedHost<'a>) -> impl Iterator<Item = &'a [usize]> {
        // What is longer than all paths is not even looked up, however many dots it has.
        let stems = stems(reading).take_while(|stem| stem.len() <= self.guarded);
        let places = stems.filter_map(|stem| self.folded.get(stem)).flat_map(move |hosts| hosts.asked(host));
        places.filter(move |same| same.len > special).map(|same| &*same.routes)
    }
}

/// Characters that some server reads as something else.
const fn of_another(b: u8) -> bool {
    matches!(b, b';' | b'%' | b':') || b.is_ascii_uppercase() || !b.is_ascii()
}

/// Whether some server may read a canonical path in another way.
fn has_another(path: &str) -> bool {
    path.bytes().any(of_another) || path.as_bytes().windows(2).any(|pair| pair == b"./") || path.ends_with('.')
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

/// The path up to each dot in its last name, the shortest first. Suffixes of other names are no server's custom.
fn stems(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name..].match_indices('.').filter(|(dot, _)| *dot > 0).map(move |(dot, _)| path[..name + dot].trim_end_matches(' '))
}
