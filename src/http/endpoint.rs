//! An endpoint as a row of a table. Routing, the answer to other methods, the counters and the tests
//! of the pages all come from the rows.

use std::future::ready;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard, web};

use crate::http::json_body::{JSON_LIMIT, json_config};
use crate::http::method::other_methods;
use crate::http::request_log::CountedRoute;
use crate::metrics::Metrics;
use crate::session::SessionId;

/// A method on a path, and who answers it. The rows of one path stand together; a path with a
/// placeholder stands behind those that it would match too.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Below the prefix of its table, such as `sessions/{session_id}`. Its requests are counted and
    /// logged under this name.
    pub path: &'static str,
    /// The methods that it takes, as `Allow` has them.
    pub methods: &'static str,
    /// `None`: it answers on the fast path, without actix-web's application.
    handler: Option<fn() -> Route>,
    /// The longest body that it takes, where it reads one.
    body_limit: usize,
}

impl Endpoint {
    /// Takes GET and HEAD, whose answer is the same without its body (RFC 9110 section 9.3.2).
    pub const fn get(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new(path, "GET, HEAD", Some(handler))
    }

    pub const fn post(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new(path, "POST", Some(handler))
    }

    pub const fn put(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new(path, "PUT", Some(handler))
    }

    pub const fn patch(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new(path, "PATCH", Some(handler))
    }

    pub const fn delete(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new(path, "DELETE", Some(handler))
    }

    /// Takes any method, and answers without the application.
    pub const fn on_fast_path(path: &'static str) -> Self {
        Self::new(path, "any", None)
    }

    const fn new(
        path: &'static str,
        methods: &'static str,
        handler: Option<fn() -> Route>,
    ) -> Self {
        Self {
            path,
            methods,
            handler,
            body_limit: JSON_LIMIT,
        }
    }

    /// The same with bodies of up to so many bytes.
    pub const fn body_limit(self, body_limit: usize) -> Self {
        Self { body_limit, ..self }
    }

    fn takes(&self, method: &Method) -> bool {
        self.methods
            .split(", ")
            .any(|taken| taken == method.as_str())
    }

    fn route(&'static self) -> Option<Route> {
        let handler = self.handler?;
        Some(handler().guard(guard::fn_guard(|ctx| self.takes(&ctx.head().method))))
    }
}

/// Registers the endpoints that the application answers. Another method on one of their paths gets
/// 405.
pub fn register(cfg: &mut web::ServiceConfig, table: &'static [Endpoint]) {
    for (at, row) in table.iter().enumerate() {
        if table[..at].iter().all(|earlier| earlier.path != row.path) {
            cfg.service(resource(table, row.path));
        }
    }
}

fn resource(table: &'static [Endpoint], path: &str) -> Resource {
    let rows = || table.iter().filter(|row| row.path == path);
    let methods: Vec<&str> = rows().map(|row| row.methods).collect();
    let methods: Arc<str> = methods.join(", ").into();
    let body_limit = rows().map(|row| row.body_limit).max();
    let resource =
        web::resource(format!("/{path}")).app_data(json_config(body_limit.unwrap_or(JSON_LIMIT)));
    rows()
        .filter_map(Endpoint::route)
        .fold(resource, Resource::route)
        .default_service(web::to(move || {
            ready(Err::<HttpResponse, _>(other_methods("endpoint", &methods)))
        }))
}

/// The session that a path names as its `{session_id}`; `None`: no session can have this name.
pub fn named_session(req: &HttpRequest) -> Option<SessionId> {
    req.match_info()
        .get("session_id")
        .and_then(SessionId::parse)
}

/// What the requests to the endpoints of a table are counted under.
pub struct EndpointCounters {
    known: Vec<(&'static str, Arc<CountedRoute>)>,
    unknown: Arc<CountedRoute>,
}

impl EndpointCounters {
    /// `group` stands before every name.
    pub fn new(table: &'static [Endpoint], group: &str, metrics: &Metrics) -> Self {
        let counted = |name: &str| Arc::new(CountedRoute::new(metrics, &format!("{group}{name}")));
        let mut known: Vec<_> = table
            .iter()
            .map(|row| (row.path, counted(row.path)))
            .collect();
        known.dedup_by_key(|(path, _)| *path);
        Self {
            known,
            unknown: counted("unknown_endpoint"),
        }
    }

    /// The counters of a path below the table's prefix. More segments than the endpoint has do not
    /// make it another one, though they are answered with 404.
    pub fn of(&self, path: &str) -> &Arc<CountedRoute> {
        let first = path.split('/').next().unwrap_or_default();
        self.find(|known| fits(known, path))
            .or_else(|| self.find(|known| covers(known, path)))
            .or_else(|| self.find(|known| known == first))
            .unwrap_or(&self.unknown)
    }

    fn find(&self, is_it: impl Fn(&str) -> bool) -> Option<&Arc<CountedRoute>> {
        let mut known = self.known.iter();
        known
            .find(|(path, _)| is_it(path))
            .map(|(_, counted)| counted)
    }
}

/// A placeholder takes one segment.
fn fits(template: &str, path: &str) -> bool {
    let is_same_length = template.split('/').count() == path.split('/').count();
    let mut pairs = template.split('/').zip(path.split('/'));
    is_same_length
        && pairs.all(|(name, segment)| {
            name == segment || (name.starts_with('{') && !segment.is_empty())
        })
}

/// A placeholder takes whatever stands in its place, and behind it.
fn covers(template: &str, path: &str) -> bool {
    match template.split_once('{') {
        Some((before, _)) => path.starts_with(before),
        None => template == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: [Endpoint; 8] = [
        Endpoint::post("logout", || web::to(HttpResponse::Ok)),
        Endpoint::post("logout/all", || web::to(HttpResponse::Ok)),
        Endpoint::get("sessions", || web::to(HttpResponse::Ok)),
        Endpoint::delete("sessions", || web::to(HttpResponse::Ok)),
        Endpoint::get("sessions/count", || web::to(HttpResponse::Ok)),
        Endpoint::delete("sessions/{session_id}", || web::to(HttpResponse::Ok)),
        Endpoint::get("apps/{app}/a", || web::to(HttpResponse::Ok)),
        Endpoint::get("apps/{app}/b/{name}", || web::to(HttpResponse::Ok)),
    ];

    #[test]
    fn a_request_counts_under_the_endpoint_that_its_path_begins_with() {
        let counters = EndpointCounters::new(&TABLE, "x/", &Metrics::new());
        for (path, name) in [
            ("logout", "x/logout"),
            ("logout/", "x/logout"),
            ("logout/all", "x/logout/all"),
            ("logout/all/x", "x/logout"),
            ("sessions", "x/sessions"),
            ("sessions/count", "x/sessions/count"),
            ("sessions/count/x", "x/sessions/{session_id}"),
            ("sessions/", "x/sessions/{session_id}"),
            ("sessions/abc", "x/sessions/{session_id}"),
            ("apps/one/a", "x/apps/{app}/a"),
            ("apps/one/b/two", "x/apps/{app}/b/{name}"),
            ("apps/one/c", "x/apps/{app}/a"),
            ("sessionsx", "x/unknown_endpoint"),
            ("log%6fut", "x/unknown_endpoint"),
            ("/logout", "x/unknown_endpoint"),
            ("", "x/unknown_endpoint"),
        ] {
            assert_eq!(&*counters.of(path).name, name, "{path}");
        }
    }
}
