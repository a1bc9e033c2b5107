//! To which upstream a request goes of which a part is not known.

use std::sync::Arc;

use crate::route::path::upwards;
use crate::route::table::RouteTable;

impl RouteTable {
    /// The name of the upstream of a request whose host or method may not be known (`None`). No
    /// route, or routes to several upstreams: `None`.
    pub fn upstream(
        &self,
        host: Option<&str>,
        method: Option<&str>,
        path: &str,
    ) -> Option<&Arc<str>> {
        let mut found: Option<&Arc<str>> = None;
        let unknown_hosts = self.hosts.iter().map(|host| Some(host.as_str()));
        let unknown_hosts = unknown_hosts.filter(|_| host.is_none());
        for host in std::iter::once(host).chain(unknown_hosts) {
            let place = upwards(&self.exact, path).find_map(|hosts| hosts.get(host))?;
            let one = method.and_then(|method| self.pick(&place.routes, method));
            let routes = match (method, &one) {
                (None, _) => &*place.routes,
                (Some(_), Some(one)) => std::slice::from_ref(one),
                (Some(_), None) => return None,
            };
            for route in routes {
                let name = &self.routes[*route].upstream.name;
                if found.is_some_and(|found| found != name) {
                    return None;
                }
                found = Some(name);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{AccessRule, HostPattern, Methods, Route};
    use crate::upstream::Upstream;

    fn route(host: Option<&str>, method: Option<&str>, path: &str, upstream: &str) -> Route {
        let upstream = Arc::new(Upstream::for_tests(upstream));
        let mut route = Route::new(path.into(), AccessRule::SESSION, upstream);
        if let Some(host) = host {
            route.hosts = HostPattern::parse(host).unwrap();
        }
        route.methods = Methods(method.into_iter().map(str::to_owned).collect());
        route
    }

    #[test]
    fn a_name_is_certain_or_none() {
        let table = RouteTable::new(vec![
            route(None, None, "/api", "api"),
            route(Some("h5.test"), None, "/api", "pages"),
            route(None, Some("GET"), "/orders", "reader"),
            route(None, Some("POST"), "/orders", "writer"),
            route(None, None, "/orders/old", "reader"),
        ])
        .unwrap();
        let upstream = |host, method, path| table.upstream(host, method, path).map(|name| &**name);
        let some = Some("x.test");
        assert_eq!(upstream(some, None, "/api/1"), Some("api"));
        assert_eq!(upstream(Some("h5.test"), None, "/api/1"), Some("pages"));
        assert_eq!(upstream(None, None, "/api/1"), None);
        assert_eq!(upstream(None, None, "/orders/old/1"), Some("reader"));
        assert_eq!(upstream(some, Some("POST"), "/orders"), Some("writer"));
        assert_eq!(upstream(some, None, "/orders"), None);
        assert_eq!(upstream(some, Some("PUT"), "/orders"), None);
        assert_eq!(upstream(some, None, "/"), None);
    }
}
