//! How a canonical path would be read by servers that know more spellings than the gateway.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::route::access::AccessRule;
use crate::route::definition::Route;
use crate::route::host::ByHost;
use crate::route::path::{below, upwards};

/// The places of all routes, as such servers would read their paths.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    folded: FxHashMap<Box<str>, ByHost<SameReading>>,
    /// Whether a route's own path has capitals or characters beyond ASCII, so that any path may be
    /// another spelling of it.
    cased: bool,
    /// The length of the longest path that a suffix could lead past; 0: all routes have the same
    /// rule, and so has what no route takes.
    guarded: usize,
}

/// The routes whose paths read the same, for one pattern of hosts.
#[derive(Debug, Clone, Default)]
pub struct SameReading {
    /// Their indices.
    pub routes: Vec<usize>,
    /// The length of the longest of their paths as they are written, in bytes.
    pub len: usize,
}

impl Readings {
    /// Those of these routes.
    pub fn new(routes: &[Route]) -> Self {
        let mut folded: FxHashMap<Box<str>, ByHost<SameReading>> = FxHashMap::default();
        for (index, route) in routes.iter().enumerate() {
            let same = folded
                .entry(other_reading(&route.path).into())
                .or_default()
                .entry(&route.hosts);
            same.routes.push(index);
            same.len = same.len.max(route.path.len());
        }
        let cased = routes
            .iter()
            .any(|route| route.path.bytes().any(of_another));
        let even = routes
            .iter()
            .all(|route| route.access == routes[0].access && route.methods.is_all())
            && routes
                .iter()
                .any(|route| route.takes_all() || AccessRule::SESSION.covers(&route.access));
        let guarded = if even {
            0
        } else {
            folded.keys().map(|path| path.len()).max().unwrap_or(0)
        };
        Self {
            folded,
            cased,
            guarded,
        }
    }

    /// A path as the most generous servers would read it; borrowed: all read it as it is written.
    pub fn of<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if self.cased || has_another(path) {
            Cow::Owned(other_reading(path))
        } else {
            Cow::Borrowed(path)
        }
    }

    /// The places that such servers may find for a reading, the one with the longest path first.
    /// None where all find what the path says.
    #[expect(clippy::ptr_arg, reason = "a borrowed one is no other reading")]
    pub fn places<'a>(
        &'a self,
        reading: &Cow<'_, str>,
    ) -> impl Iterator<Item = &'a ByHost<SameReading>> {
        let other = match reading {
            Cow::Borrowed(_) => None,
            Cow::Owned(other) => Some(other),
        };
        other
            .into_iter()
            .flat_map(|other| upwards(&self.folded, other))
    }

    /// The places that a reading has without a suffix of its last name, if they may have a stricter
    /// rule. Many frameworks take that for a wish for a form of the answer (`/orders.json`), or for
    /// decoration (`/orders.html`).
    pub fn without_suffix<'a>(
        &'a self,
        reading: &str,
    ) -> impl Iterator<Item = &'a ByHost<SameReading>> {
        let stems = self
            .has_suffix(reading)
            .then(|| stems(reading))
            .into_iter()
            .flatten();
        // What is longer than all paths is not even looked up, however many dots it has.
        stems
            .take_while(|stem| stem.len() <= self.guarded)
            .filter_map(|stem| self.folded.get(stem))
    }

    fn has_suffix(&self, reading: &str) -> bool {
        let from_its_end = || reading.strip_suffix('/').unwrap_or(reading).bytes().rev();
        self.guarded > 0 && from_its_end().find(|b| matches!(b, b'/' | b'.')) == Some(b'.')
    }
}

/// Whether some server may read a path as one below another, or as the same.
pub fn may_lie_below(path: &str, above: &str) -> bool {
    below(&other_reading(path), &other_reading(above)).is_some()
}

/// Characters that some server reads as something else.
const fn of_another(b: u8) -> bool {
    matches!(b, b';' | b'%' | b':') || b.is_ascii_uppercase() || !b.is_ascii()
}

/// Whether some server may read a canonical path in another way.
fn has_another(path: &str) -> bool {
    path.bytes().any(of_another)
        || path.as_bytes().windows(2).any(|pair| pair == b"./")
        || path.ends_with('.')
}

/// The path as the most generous servers together would read it: without `;` parameters and what
/// they leave empty (servlet containers), without case, dots and blanks at the end of a name, and
/// streams (Windows), decoded again and again, and cut at what would then be a query.
fn other_reading(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        text = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
    }
    // There and back: "ſ" has no other lower case, but the upper case of "s".
    let lower = text.to_uppercase().to_lowercase();
    let path = lower.split(['?', '#']).next().unwrap_or_default();
    let name = |segment: &str| {
        segment
            .split([';', ':'])
            .next()
            .unwrap_or_default()
            .trim_end_matches(['.', ' '])
            .to_owned()
    };
    let names: Vec<String> = path
        .split('/')
        .map(name)
        .filter(|name| !name.is_empty())
        .collect();
    names
        .iter()
        .fold(String::new(), |path, name| path + "/" + name)
}

/// The path up to each dot in its last name, the shortest first. Suffixes of other names are no
/// server's custom.
fn stems(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name..]
        .match_indices('.')
        .filter(|(dot, _)| *dot > 0)
        .map(move |(dot, _)| path[..name + dot].trim_end_matches(' '))
}
