//! Which hosts a route is for, and the one form in which hosts are compared.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;

use arrayvec::ArrayString;

/// Longest host name, in bytes (RFC 1035).
const MAX_NAME: usize = 253;

/// A host in the form in which hosts are compared.
pub type HostName = ArrayString<MAX_NAME>;

/// The host of a `Host` header: in lower case, without the port, without the dot that may end a
/// name; an IPv6 address in its shortest form. `None`: no host has this name, so only routes for
/// any host can match.
pub fn host_name(host: &str) -> Option<HostName> {
    let mut name = HostName::new();
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        // An address has at most 45 characters.
        write!(name, "[{address}]").ok()?;
        return is_port(port).then_some(name);
    }
    let end = host.find(':').unwrap_or(host.len());
    let (text, port) = host.split_at(end);
    name.try_push_str(text.strip_suffix('.').unwrap_or(text))
        .ok()?;
    name.make_ascii_lowercase();
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let sound = name
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(of_name));
    (sound && is_port(port)).then_some(name)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The hosts of a route. The stricter one is the more special one: a name before `*.longer.example`
/// before `*.example` before any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host, and requests without one.
    Any,
    Exact(HostName),
    /// Every host with one or more labels before this name; not the name itself.
    Below(HostName),
}

impl HostPattern {
    /// Reads `name` or `*.name`; `None`: neither.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(name) if !name.starts_with('[') => host_name(name).map(Self::Below),
            Some(_) => None,
            None => host_name(text).map(Self::Exact),
        }
    }

    /// Whether a host is one of them.
    pub fn matches(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (_, None) => false,
            (Self::Exact(name), Some(host)) => &**name == host,
            (Self::Below(name), Some(host)) => host
                .strip_suffix(&**name)
                .is_some_and(|start| start.len() > 1 && start.ends_with('.')),
        }
    }

    /// A host that it matches and no more special pattern does, for questions about the table;
    /// `None`: none in particular. `*.a.b`, which nobody can ask for, is one of the hosts below
    /// `a.b` and the name of none.
    pub fn example(&self) -> Option<String> {
        (*self != Self::Any).then(|| self.to_string())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// Something for each of some hosts. A lookup costs as much as the host has labels.
#[derive(Debug, Clone, Default)]
pub struct ByHost<T> {
    any: Option<T>,
    exact: HashMap<HostName, T>,
    below: HashMap<HostName, T>,
}

impl<T: Default> ByHost<T> {
    /// What belongs to exactly these hosts; made if there is nothing yet.
    pub fn entry(&mut self, hosts: &HostPattern) -> &mut T {
        match hosts {
            HostPattern::Any => self.any.get_or_insert_default(),
            HostPattern::Exact(name) => self.exact.entry(*name).or_default(),
            HostPattern::Below(name) => self.below.entry(*name).or_default(),
        }
    }
}

impl<T> ByHost<T> {
    /// What the most special pattern has for a host.
    pub fn get(&self, host: Option<&str>) -> Option<&T> {
        host.and_then(|host| self.special(host))
            .or(self.any.as_ref())
    }

    fn special(&self, host: &str) -> Option<&T> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        let mut rest = host;
        self.exact.get(host).or_else(|| {
            loop {
                rest = rest.split_once('.')?.1;
                if let Some(found) = self.below.get(rest) {
                    return Some(found);
                }
            }
        })
    }

    /// Everything, for whatever host.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.any
            .iter()
            .chain(self.exact.values())
            .chain(self.below.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_one_host() {
        for (host, name) in [
            ("a.example.com", "a.example.com"),
            ("A.Example.COM:8080", "a.example.com"),
            ("a.example.com.", "a.example.com"),
            ("a.example.com.:443", "a.example.com"),
            ("a.example.com:", "a.example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ] {
            assert_eq!(host_name(host).as_deref(), Some(name), "{host}");
        }
        let long = "a".repeat(254);
        for host in [
            &*long,
            "[::1",
            "[::1]x",
            "::1",
            "",
            ".",
            ".example.com",
            "a..b",
            "a.example.com..",
            "a,b",
            "a b",
            "a:x",
            "é.com",
        ] {
            assert_eq!(host_name(host), None, "{host}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_or_more_labels() {
        let below = HostPattern::parse("*.Example.com").unwrap();
        for (host, matches) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("aexample.com", false),
            ("a.example.com.evil", false),
        ] {
            assert_eq!(below.matches(Some(host)), matches, "{host}");
        }
        assert!(!below.matches(None) && HostPattern::Any.matches(None));
        for wrong in [
            "*", "*.", "a.*", "*.*.a", "*a.b", "*.[::1]", "http://a", "a/b",
        ] {
            assert_eq!(HostPattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_most_special_pattern_has_the_host() {
        let mut hosts = ByHost::<u8>::default();
        for (value, pattern) in [(1, "a.b.c"), (2, "*.b.c"), (3, "*.c")] {
            *hosts.entry(&HostPattern::parse(pattern).unwrap()) = value;
        }
        assert_eq!(hosts.get(None), None);
        *hosts.entry(&HostPattern::Any) = 4;
        for (host, value) in [
            ("a.b.c", 1),
            ("x.b.c", 2),
            ("x.y.b.c", 2),
            ("b.c", 3),
            ("c", 4),
            ("d", 4),
        ] {
            assert_eq!(hosts.get(Some(host)), Some(&value), "{host}");
        }
        assert_eq!(hosts.all().count(), 4);
        // Also where the hosts that come to mind have their own.
        *hosts.entry(&HostPattern::parse("any.c").unwrap()) = 5;
        for (pattern, value) in [("a.b.c", 1), ("*.b.c", 2), ("*.c", 3)] {
            let example = HostPattern::parse(pattern).unwrap().example();
            assert_eq!(hosts.get(example.as_deref()), Some(&value), "{pattern}");
        }
    }
}
