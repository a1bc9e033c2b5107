//! Routes by which clients come to what another route protects: by another host, or by a prefix that is left out. That may be meant, where
//! the backend tells hosts apart; so it is a warning.

use super::reader::Section;
use crate::route::{Route, RouteTable};

/// Warns of every protected route that a weaker one opens, once.
pub(super) fn warn(root: &Section<'_>, table: &RouteTable) {
    let routes = table.routes();
    for protected in routes {
        if let Some(by) = routes.iter().find(|other| opens(table, protected, other)) {
            let what = format!(
                "\"{}\" leads to the same backend and path as \"{}\", which has auth = {}: {}",
                by.name(),
                protected.name(),
                word(protected),
                "clients choose between the two by Host or path"
            );
            root.warn("routes", &what, &format!("give both the same auth, unless {} tells such requests apart", protected.upstream.name));
        }
    }
}

/// One backend may stand in two upstreams, with two timeouts.
fn share_a_backend(one: &Route, other: &Route) -> bool {
    let places = |route: &Route| route.upstream.endpoints.iter().map(|endpoint| (endpoint.host.clone(), endpoint.port)).collect::<Vec<_>>();
    let others = places(other);
    places(one).iter().any(|place| others.contains(place))
}

/// Whether `other`, which asks for less, takes a request to the path of the backend that `protected` leads to. Two routes that differ in
/// their methods alone are meant to.
fn opens(table: &RouteTable, protected: &Route, other: &Route) -> bool {
    let twins = other.path == protected.path && other.hosts == protected.hosts;
    if twins || other.auth <= protected.auth || !share_a_backend(protected, other) {
        return false;
    }
    let inside = protected.rewrite.apply(&protected.path);
    let Some(path) = other.rewrite.reverse(&inside) else { return false };
    let host = other.hosts.example();
    let takes = |method: &str| table.find(host.as_deref(), method, &path).is_ok_and(|index| std::ptr::eq(&raw const table.routes()[index], other));
    match (protected.methods.names(), other.methods.names()) {
        ([], []) => takes("GET"),
        ([], names) | (names, _) => names.iter().any(|method| takes(method)),
    }
}

fn word(route: &Route) -> &'static str {
    use crate::route::AuthMode as M;
    match route.auth {
        M::Required => "\"required\"",
        M::Optional => "\"optional\"",
        M::None => "\"none\"",
    }
}
