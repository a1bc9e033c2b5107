//! A redirect that is changed leads to a path of the gateway, never to another host, and nothing of
//! the upstream's address is in its front.

use hufu::proxy::location::for_client;
use hufu::route::PathRewrite;

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(location) = std::str::from_utf8(data) else {
        return;
    };
    let authorities = [
        "10.0.0.1:9000".to_owned(),
        "web:80".to_owned(),
        "[::1]:81".to_owned(),
    ];
    for (from, to) in [("/", "/"), ("/api", "/"), ("/api", "/v2"), ("/", "/v2")] {
        if let Some(changed) = for_client(location, &authorities, &PathRewrite::new(from, to)) {
            is_a_path(&changed);
            assert!(
                from == "/" || changed.starts_with("/api"),
                "{changed:?} leads out of the route"
            );
        }
    }
}

/// As browsers see it: without tabs and line ends, and a backslash is a slash.
fn is_a_path(changed: &str) {
    let seen: String = changed
        .chars()
        .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    assert!(
        changed.bytes().all(|b| b.is_ascii_graphic()),
        "{changed:?} holds a space or a control character"
    );
    let path = seen
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .replace("%2e", ".");
    assert!(
        !path
            .split('/')
            .any(|segment| segment == "." || segment == ".."),
        "{changed:?} has a dot segment"
    );
    assert!(
        seen.starts_with('/') && !seen.starts_with("//"),
        "{changed:?} leads to another host"
    );
}
