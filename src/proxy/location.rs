//! Redirects of an upstream to itself: its address means nothing outside, and its path may be another one there.

use crate::route::PathRewrite;

/// What a client gets for a `Location`; `None`: the same as the upstream said. `http://UPSTREAM/path` becomes the path by which clients
/// reach it; everything else, paths without a host too, is passed on.
#[must_use]
pub fn for_client(location: &str, authorities: &[String], rewrite: &PathRewrite) -> Option<String> {
    let (scheme, rest) = location.split_once("://")?;
    // Browsers leave out control characters before they look at a URL.
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) || location.bytes().any(|b| !b.is_ascii_graphic()) {
        return None;
    }
    let (authority, target) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
    let with_port = |port: &str| authorities.iter().any(|own| own.strip_suffix(port).is_some_and(|host| host.eq_ignore_ascii_case(authority)));
    if !with_port("") && !with_port(":80") {
        return None;
    }
    let (path, query) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
    // One slash: two, or a backslash, would begin another host's name.
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    Some(rewrite.reverse(&path)?.into_owned() + query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_own_address_becomes_a_path() {
        let authorities = ["10.0.0.1:9000".to_owned(), "web:80".to_owned(), "[::1]:81".to_owned()];
        let (plain, stripped, changed) = (PathRewrite::default(), PathRewrite::new("/api", "/"), PathRewrite::new("/api", "/v2"));
        for (location, rewrite, out) in [
            ("http://10.0.0.1:9000/x?y#z", &plain, Some("/x?y#z")),
            ("HTTP://10.0.0.1:9000", &plain, Some("/")),
            ("http://web/x", &plain, Some("/x")),
            ("http://WEB:80/x", &plain, Some("/x")),
            ("https://[::1]:81/x", &plain, Some("/x")),
            ("http://10.0.0.1:9000/x", &stripped, Some("/api/x")),
            ("http://10.0.0.1:9000/?x", &stripped, Some("/api/?x")),
            ("http://10.0.0.1:9000/v2/x", &changed, Some("/api/x")),
            ("http://10.0.0.1:9000/v20", &changed, None),
            ("http://10.0.0.1:9000//evil.example/x", &plain, Some("/evil.example/x")),
            ("http://10.0.0.1:9000/\\evil.example/x", &plain, Some("/evil.example/x")),
            ("http://10.0.0.1:9000\\\\evil.example/x", &plain, Some("/evil.example/x")),
            ("http://10.0.0.1:9000/\t/evil.example", &plain, None),
            ("http://10.0.0.1:9000@evil.example/", &plain, None),
            ("http://10.0.0.1:90001/", &plain, None),
            ("http://10.0.0.1/", &plain, None),
            ("ftp://10.0.0.1:9000/", &plain, None),
            ("//10.0.0.1:9000/", &plain, None),
            ("/x", &stripped, None),
            ("x/y", &stripped, None),
            ("https://login.example/?to=http://10.0.0.1:9000/", &plain, None),
        ] {
            assert_eq!(for_client(location, &authorities, rewrite).as_deref(), out, "{location}");
        }
    }
}
