//! Redirects of an upstream to itself: its address means nothing outside, and its path may be
//! another one there.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::route::PathRewrite;

/// What browsers escape too, beside everything beyond ASCII.
const UNWRITTEN: AsciiSet = CONTROLS.add(b' ');

/// What a client gets for a `Location`; `None`: the same as the upstream said.
/// `http://UPSTREAM/path` becomes the path by which clients reach it; everything else, paths
/// without a host too, is passed on.
pub fn for_client(location: &str, authorities: &[String], rewrite: &PathRewrite) -> Option<String> {
    let location = as_read(location);
    let (usual_ports, rest) = behind_scheme(&location)?;
    let (authority, target) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
    if !is_own(authority, usual_ports, authorities) {
        return None;
    }
    let (path, query) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
    let path = rewrite.reverse(&resolved(path))?.into_owned();
    Some(utf8_percent_encode(&(path + query), &UNWRITTEN).to_string())
}

/// Browsers leave out spaces around a URL, and tabs and line ends anywhere, before they look at it.
fn as_read(location: &str) -> Cow<'_, str> {
    let trimmed = location.trim_matches(|c: char| c <= ' ');
    if trimmed.contains(['\t', '\r', '\n']) {
        trimmed.replace(['\t', '\r', '\n'], "").into()
    } else {
        trimmed.into()
    }
}

/// The ports that an authority without one may mean, and what stands behind `//`.
fn behind_scheme(location: &str) -> Option<(&'static [&'static str], &str)> {
    let (scheme, rest) = location.split_once("//")?;
    match scheme {
        // The scheme of the request that is answered, whichever that was.
        "" => Some((&[":80", ":443"], rest)),
        _ if scheme.eq_ignore_ascii_case("http:") => Some((&[":80"], rest)),
        _ if scheme.eq_ignore_ascii_case("https:") => Some((&[":443"], rest)),
        _ => None,
    }
}

/// Whether an authority is one of the upstream's, each of which has its port. Two servers cannot
/// listen on one port, so where a port is named the scheme does not count: backends behind TLS that
/// ends before them often write the wrong one.
fn is_own(authority: &str, usual_ports: &[&str], authorities: &[String]) -> bool {
    let is_same = |own: &str| own.eq_ignore_ascii_case(authority);
    let without = |own: &str, port: &&str| own.strip_suffix(*port).is_some_and(is_same);
    authorities
        .iter()
        .any(|own| is_same(own) || usual_ports.iter().any(|port| without(own, port)))
}

/// The path without dot segments and empty ones, as the client would ask for it. It has to happen
/// here: before the prefixes are exchanged `..` has another meaning than behind it, and two slashes
/// at the front, or a backslash, would begin another host's name.
fn resolved(path: &str) -> String {
    let mut kept = Vec::new();
    let mut ends_in_slash = true;
    for segment in path.split(['/', '\\']) {
        let name = segment.to_ascii_lowercase().replace("%2e", ".");
        ends_in_slash = matches!(&*name, "" | "." | "..");
        match &*name {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let end = if ends_in_slash && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_own_address_becomes_a_path() {
        let authorities = [
            "10.0.0.1:9000".to_owned(),
            "web:80".to_owned(),
            "[::1]:81".to_owned(),
            "safe:443".to_owned(),
        ];
        let plain = PathRewrite::default();
        let stripped = PathRewrite::new("/api", "/");
        let changed = PathRewrite::new("/api", "/v2");
        let below = PathRewrite::new("/", "/v2");
        for (rewrite, rows) in [
            (
                &plain,
                &[
                    ("http://10.0.0.1:9000/x?y#z", Some("/x?y#z")),
                    ("HTTP://10.0.0.1:9000", Some("/")),
                    ("http://web/x", Some("/x")),
                    ("http://WEB:80/x", Some("/x")),
                    ("https://[::1]:81/x", Some("/x")),
                    (
                        "http://10.0.0.1:9000//evil.example/x",
                        Some("/evil.example/x"),
                    ),
                    (
                        "http://10.0.0.1:9000/\\evil.example/x",
                        Some("/evil.example/x"),
                    ),
                    (
                        "http://10.0.0.1:9000\\\\evil.example/x",
                        Some("/evil.example/x"),
                    ),
                    (
                        "http://10.0.0.1:9000/\t/evil.example",
                        Some("/evil.example"),
                    ),
                    (" http://10.0.0.1:90\t00/x ", Some("/x")),
                    ("http://10.0.0.1:9000/a//b/", Some("/a/b/")),
                    ("http://10.0.0.1:9000/x?to=/../y", Some("/x?to=/../y")),
                    // What must be escaped.
                    (
                        "http://10.0.0.1:9000/a b?c d#e f",
                        Some("/a%20b?c%20d#e%20f"),
                    ),
                    ("http://10.0.0.1:9000/登录", Some("/%E7%99%BB%E5%BD%95")),
                    ("http://10.0.0.1:9000/a%20b%2Fc", Some("/a%20b%2Fc")),
                    // The scheme says which port is meant where none is named, and nothing else.
                    ("https://10.0.0.1:9000/x", Some("/x")),
                    ("https://safe/x", Some("/x")),
                    ("http://safe:443/x", Some("/x")),
                    ("http://safe/x", None),
                    ("https://web/x", None),
                    ("//web/x", Some("/x")),
                    ("//safe", Some("/")),
                    ("//evil.example/x", None),
                    ("///10.0.0.1:9000/x", None),
                    ("http://10.0.0.1:9000@evil.example/", None),
                    ("http://10.0.0.1:90001/", None),
                    ("http://10.0.0.1/", None),
                    ("ftp://10.0.0.1:9000/", None),
                    ("x//10.0.0.1:9000/", None),
                    ("http:/10.0.0.1:9000/x", None),
                    ("", None),
                    ("https://login.example/?to=http://10.0.0.1:9000/", None),
                ][..],
            ),
            (
                &stripped,
                &[
                    ("http://10.0.0.1:9000/x", Some("/api/x")),
                    ("http://10.0.0.1:9000/?x", Some("/api/?x")),
                    // Dot segments, before the prefixes are exchanged.
                    ("http://10.0.0.1:9000/a/../x/.", Some("/api/x/")),
                    ("http://10.0.0.1:9000/../../x", Some("/api/x")),
                    ("http://10.0.0.1:9000/%2E./x", Some("/api/x")),
                    ("//10.0.0.1:9000/x", Some("/api/x")),
                    ("/x", None),
                    ("/a/../x", None),
                    ("x/y", None),
                ],
            ),
            (
                &changed,
                &[
                    ("http://10.0.0.1:9000/v2/x", Some("/api/x")),
                    ("http://10.0.0.1:9000/v20", None),
                    ("http://10.0.0.1:9000/v2/../x", None),
                    ("http://10.0.0.1:9000/v1/../v2/x", Some("/api/x")),
                ],
            ),
            (
                &below,
                &[
                    (
                        "http://10.0.0.1:9000/v2//evil.example",
                        Some("/evil.example"),
                    ),
                    ("http://10.0.0.1:9000/v2/..//evil.example", None),
                ],
            ),
        ] {
            for (location, out) in rows {
                let changed = for_client(location, &authorities, rewrite);
                assert_eq!(changed.as_deref(), *out, "{location}");
            }
        }
    }
}
