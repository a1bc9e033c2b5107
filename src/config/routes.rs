//! `[[routes]]`: which request leads where.

use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::parsers::{choice, duration, one_of, size};
use super::problem::{Wrong, refuse};
use super::reader::Section;
use super::server::route_path;
use super::upstreams::Named;
use super::{failure, header_edits, login_hook, require, route_overlap};
use crate::assertion::ReservedNames;
use crate::http::FailureShape;
use crate::identity::LoginHookSettings;
use crate::push::PushSettings;
use crate::route::{
    AccessRule, HostPattern, Methods, PathRewrite, Requirements, Route, RouteTable, below,
};

const STRIP: &str = "true, false or a path";
const STRIP_HINT: &str = "write true, without quotes, to leave out the route's own path";

/// What the routes stand among.
pub(super) struct Surroundings<'a> {
    /// Where the gateway's own endpoints live.
    pub(super) prefix: &'a str,
    /// The names of the apps, as the file has them.
    pub(super) apps: Vec<String>,
    pub(super) upstreams: &'a [Named],
    pub(super) reserved: ReservedNames,
    pub(super) failure: &'a Arc<FailureShape>,
    pub(super) called: CalledUpstreams<'a>,
}

/// The upstreams that the gateway calls by itself: no route needs to lead to them.
pub(super) struct CalledUpstreams<'a> {
    for_pushes: Vec<&'a str>,
    for_logins: Option<&'a LoginHookSettings>,
}

impl<'a> CalledUpstreams<'a> {
    pub(super) fn new(
        pushes: &'a [Arc<PushSettings>],
        hook: Option<&'a LoginHookSettings>,
    ) -> Self {
        let backends = pushes.iter().filter_map(|push| push.backend.as_ref());
        Self {
            for_pushes: backends.map(|backend| &*backend.upstream).collect(),
            for_logins: hook,
        }
    }

    fn has(&self, name: &str) -> bool {
        let is_for_logins = self.for_logins.is_some_and(|hook| *hook.upstream == *name);
        is_for_logins || self.for_pushes.contains(&name)
    }
}

/// The route table, and the shape of errors on each route.
pub(super) fn read(
    root: &mut Section<'_>,
    around: &Surroundings<'_>,
) -> (RouteTable, Vec<Arc<FailureShape>>) {
    let mut earlier: Vec<Option<Route>> = Vec::new();
    let mut lines = Vec::new();
    let failures: Vec<_> = root.rows("routes", |section| {
        let route = read_route(section, around, &earlier, &lines);
        lines.push(section.line());
        let failure = failure::read(section);
        if failure.is_none() && !section.has("failure") {
            section.note("failure", None);
        }
        earlier.push(route);
        failure.unwrap_or_else(|| around.failure.clone())
    });
    // A gateway that only takes pushes needs no route.
    let is_for_pushes = !around.called.for_pushes.is_empty();
    if failures.is_empty() && !is_for_pushes && !root.has_problems_at("routes") {
        root.warn(
            "routes",
            "there is no route, so nothing is forwarded to a backend",
            "write [[routes]] with path and upstream",
        );
    }
    let (routes, failures): (Vec<Route>, Vec<_>) = earlier
        .into_iter()
        .zip(failures)
        .filter_map(|(route, failure)| Some((route?, failure)))
        .unzip();
    for (name, _) in around.upstreams {
        let is_used =
            routes.iter().any(|route| route.upstream.name == *name) || around.called.has(name);
        if !is_used && !root.any_problems() {
            root.warn(
                "upstreams",
                &format!("no route leads to {name}"),
                "remove it, or write [[routes]] for it",
            );
        }
    }
    let table = RouteTable::new(routes).unwrap_or_else(|conflict| {
        root.problem("routes", &conflict.to_string(), "keep one of them");
        RouteTable::default()
    });
    // With a route left out the numbers would be wrong, and nobody would see the warnings.
    if !root.any_problems() {
        route_overlap::check(root, &table, &lines);
        if let Some(hook) = around.called.for_logins {
            login_hook::warn_of_routes(root, hook, around.upstreams, &table, &lines);
        }
    }
    (table, failures)
}

fn read_route(
    section: &mut Section<'_>,
    around: &Surroundings<'_>,
    earlier: &[Option<Route>],
    lines: &[Option<usize>],
) -> Option<Route> {
    let path = section.required(
        "path",
        "write the path that it matches, as in \"/api\"",
        |text| route_path(text).map(Arc::<str>::from),
    );
    let hosts = section.optional("host", host);
    let methods = Methods(section.list("methods", method));
    let upstream = section.required("upstream", "write the name of an upstream", |text| {
        find(around.upstreams, text)
    });
    let access = read_access(section, &around.apps);
    let rewrite = read_rewrite(section, path.as_deref());
    let raw_path = section.flag("raw_path");
    let timeout = section.optional("timeout", duration(Duration::from_millis(1)));
    let body_limit = section.optional("body_limit", size);
    let request_headers = header_edits::read(section, "request_headers", &around.reserved);
    let response_headers = header_edits::read(section, "response_headers", &around.reserved);
    let path = path?;
    if below(&path, around.prefix).is_some() {
        let what = format!(
            "lies under the gateway's own prefix {}: the gateway answers there itself, so requests never reach this route",
            around.prefix
        );
        section.warn(
            "path",
            &what,
            "choose another path, or another server.prefix",
        );
    }
    if section.is_empty_list("methods") {
        section.problem("methods", "is empty", "leave it out for all methods");
    }
    let hosts = if section.has("host") {
        hosts?
    } else {
        HostPattern::Any
    };
    let route = Route {
        hosts,
        methods,
        rewrite: rewrite?,
        raw_path,
        timeout,
        body_limit,
        request_headers,
        response_headers,
        ..Route::new(path, access, upstream??)
    };
    (!conflicts(section, &route, earlier, lines)).then_some(route)
}

fn read_access(section: &mut Section<'_>, apps: &[String]) -> AccessRule {
    let access = section.value(
        "auth",
        choice([
            ("required", AccessRule::SESSION),
            ("optional", AccessRule::Optional),
            ("none", AccessRule::None),
        ]),
    );
    let requirements: Requirements = require::read(section, apps);
    if access == AccessRule::SESSION {
        return AccessRule::Required(requirements);
    }
    if section.has("require") {
        section.problem(
            "require",
            &format!("is set, and auth is {access}, which lets in requests without a session"),
            "remove auth, or remove require",
        );
    }
    access
}

/// Whether an earlier route takes the same requests.
fn conflicts(
    section: &Section<'_>,
    route: &Route,
    earlier: &[Option<Route>],
    lines: &[Option<usize>],
) -> bool {
    let same = earlier.iter().enumerate().find_map(|(index, other)| {
        let other = other.as_ref()?;
        other.conflicts_with(route).then_some((index, other))
    });
    let Some((index, other)) = same else {
        return false;
    };
    let line = lines
        .get(index)
        .copied()
        .flatten()
        .map(|line| format!(" in line {line}"))
        .unwrap_or_default();
    let what = format!(
        "\"{}\" takes the same requests as \"{}\", routes[{index}]{line}, and neither is the more special one",
        route.name(),
        other.name()
    );
    section.problem(
        "path",
        &what,
        "keep one of them, or give them different hosts or methods",
    );
    true
}

fn host(text: &str) -> Result<HostPattern, Wrong> {
    let form = "write \"api.example.com\", or \"*.example.com\" for every name below it";
    if !text.is_ascii() {
        return refuse(
            "is not ASCII",
            "write it as browsers send it, with \"xn--\"",
        );
    }
    let (_, end) = text.rsplit_once(']').unwrap_or(("", text));
    if end.contains(':') {
        return refuse("has a port or a scheme, which routes do not match", form);
    }
    match HostPattern::parse(text) {
        Some(hosts) if hosts.to_string() == text => Ok(hosts),
        Some(hosts) => refuse(
            "is not in its canonical form",
            format!("write {:?}", hosts.to_string()),
        ),
        None if text == "*" => refuse("stands for every host", "leave it out"),
        None => refuse("is no host", form),
    }
}

fn method(text: &str) -> Result<String, Wrong> {
    /// Longer ones are refused anyway.
    const LONGEST: usize = 20;
    let form = "write methods in capitals, as in [\"GET\", \"POST\"]";
    if matches!(text, "CONNECT" | "TRACE") {
        return refuse("is a method that is never forwarded", "remove it");
    }
    if text.is_empty()
        || text.len() > LONGEST
        || !text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
    {
        return refuse("is not a method", form);
    }
    Ok(text.to_owned())
}

/// What the path becomes; `None`: something is wrong with it.
fn read_rewrite(section: &mut Section<'_>, path: Option<&str>) -> Option<PathRewrite> {
    let strip = read_strip(section, path);
    let to = section.optional("rewrite_prefix", route_path);
    let wrong = section.has("rewrite_prefix") && to.is_none();
    match (strip?, to) {
        _ if wrong => None,
        (None, None) => Some(PathRewrite::default()),
        (None, Some(to)) => Some(PathRewrite::new(path?, &to)),
        (Some(from), to) if from == "/" && to.is_none() => {
            section.problem(
                "strip_prefix",
                "has no effect: the route's path is \"/\"",
                "remove it",
            );
            None
        }
        (Some(from), to) => Some(PathRewrite::new(&from, to.as_deref().unwrap_or("/"))),
    }
}

/// The prefix that is left out; `Some(None)`: none is named.
fn read_strip(section: &mut Section<'_>, path: Option<&str>) -> Option<Option<String>> {
    let given = section.take("strip_prefix");
    section.note(
        "strip_prefix",
        Some(
            given
                .as_ref()
                .map_or(false.into(), |given| super::effective::written(given.value)),
        ),
    );
    match (&given, given.as_ref().map(|given| given.value)) {
        (_, None | Some(DeValue::Boolean(false))) => Some(None),
        (_, Some(DeValue::Boolean(true))) => Some(Some(path?.to_owned())),
        (Some(given), Some(DeValue::String(_))) => section
            .entry(given, |text| prefix_of(path.unwrap_or(text), text))
            .map(Some),
        _ => {
            section.problem("strip_prefix", &format!("must be {STRIP}"), STRIP_HINT);
            None
        }
    }
}

/// A prefix that every path of the route has.
fn prefix_of(path: &str, text: &str) -> Result<String, Wrong> {
    if !text.starts_with('/') {
        return refuse(format!("is not {STRIP}"), STRIP_HINT);
    }
    let prefix = route_path(text)?;
    match below(path, &prefix) {
        Some(_) => Ok(prefix),
        None => refuse(
            "is not a prefix of the route's path in whole segments",
            format!("write true for {path:?}"),
        ),
    }
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
    refuse("is not the name of an upstream", hint)
}
