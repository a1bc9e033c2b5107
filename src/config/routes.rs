//! `[[routes]]`: which path leads where.

use std::sync::Arc;

use super::problem::Wrong;
use super::reader::Section;
use super::server::route_path;
use super::upstreams::Named;
use super::values::{choice, one_of};
use crate::route::{AuthMode, Route, RouteTable};

/// The route table. `prefix` is where the gateway's own endpoints live.
pub(super) fn read(root: &mut Section<'_>, prefix: &str, upstreams: &[Named]) -> RouteTable {
    let mut paths: Vec<Arc<str>> = Vec::new();
    let routes: Vec<_> = root.rows("routes", |section| read_route(section, prefix, upstreams, &mut paths));
    if routes.is_empty() && !root.has_problems_at("routes") {
        root.warn("routes", "there is no route, so nothing is passed on to a backend", "write [[routes]] with path and upstream");
    }
    let routes: Vec<Route> = routes.into_iter().flatten().collect();
    for (name, _) in upstreams {
        if !routes.iter().any(|route| route.upstream.name == *name) && !root.any_problems() {
            root.warn("upstreams", &format!("no route leads to {name}"), "remove it, or write [[routes]] for it");
        }
    }
    RouteTable::new(routes).unwrap_or_else(|conflict| {
        root.problem("routes", &conflict.to_string(), "keep one of them");
        RouteTable::default()
    })
}

fn read_route(section: &mut Section<'_>, prefix: &str, upstreams: &[Named], paths: &mut Vec<Arc<str>>) -> Option<Route> {
    let path = section.required("path", "write the path that it matches, as in \"/api\"", |text| route_path(text).map(Arc::<str>::from));
    let upstream = section.required("upstream", "write the name of an upstream", |text| find(upstreams, text));
    let auth = section.value("auth", choice([("required", AuthMode::Required), ("optional", AuthMode::Optional), ("none", AuthMode::None)]));
    let path = path?;
    if path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        let what = format!("lies under the gateway's own prefix {prefix}: what the gateway answers there itself never reaches this route");
        section.warn("path", &what, "choose another path, or another server.prefix");
    }
    if paths.contains(&path) {
        section.problem("path", &format!("{path:?} belongs to another route too"), "keep one of them");
        return None;
    }
    paths.push(path.clone());
    Some(Route { path, auth, upstream: upstream?? })
}

/// The upstream of this name; `Ok(None)`: it is there and has problems of its own.
fn find(upstreams: &[Named], name: &str) -> Result<Option<Arc<crate::upstream::Upstream>>, Wrong> {
    if let Some((_, upstream)) = upstreams.iter().find(|(known, _)| **known == *name) {
        return Ok(upstream.clone());
    }
    let hint = match upstreams {
        [] => format!("write [upstreams.{name}] with endpoints = [\"http://HOST:PORT\"]"),
        _ => one_of(upstreams.iter().map(|(known, _)| &**known)),
    };
    Err(Wrong::new("is not the name of an upstream", hint))
}
