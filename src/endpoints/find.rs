//! Which requests are for the gateway's own endpoints.

use crate::endpoints::verify;
use crate::route::{below, canonical};

/// The part of the gateway's own endpoints that answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnEndpoint {
    /// `verify`, on the fast path.
    Verify,
    /// One of the application's, or nothing under the prefix.
    Application,
}

/// `None`: the path does not lie under the prefix. Own endpoints are own endpoints in every spelling
/// of their paths, and `verify` never says yes to another spelling than its own.
pub fn find(path: &str, prefix: &str) -> Option<OwnEndpoint> {
    let has_escape = path.contains('%');
    let canonical = if has_escape || path.as_bytes().windows(2).any(|pair| pair == b"//") {
        canonical(path).ok()
    } else {
        None
    };
    let is_verify = |path: &str| verify::appended(path, prefix).is_some();
    if is_verify(path) || canonical.as_deref().is_some_and(is_verify) {
        return Some(OwnEndpoint::Verify);
    }
    let is_own = |path: &str| below(path, prefix).is_some();
    let is_own_decoded = || has_escape && canonical.as_deref().is_some_and(is_own);
    (is_own(path) || is_own_decoded()).then_some(OwnEndpoint::Application)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_endpoints_are_found_in_every_spelling() {
        use OwnEndpoint::{Application, Verify};
        for (path, found) in [
            ("/auth/verify", Some(Verify)),
            ("/auth/verify/orders/1", Some(Verify)),
            ("/auth/v%65rify", Some(Verify)),
            ("//auth//verify", Some(Verify)),
            ("/auth/verifyx", Some(Application)),
            ("/auth", Some(Application)),
            ("/auth/login", Some(Application)),
            ("/%61uth/login", Some(Application)),
            ("/auth/nothing", Some(Application)),
            ("/authx", None),
            ("/api/auth/login", None),
            ("/", None),
        ] {
            assert_eq!(find(path, "/auth"), found, "{path}");
        }
    }
}
