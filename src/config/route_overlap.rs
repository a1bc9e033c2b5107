//! Routes by which clients come to what another route protects: by another host, or by a prefix
//! that is left out. That may be meant, where the backend tells hosts apart; so it is a warning. A
//! path that goes on as it came, to a backend that may read it in another way, is an error.

use super::reader::Section;
use crate::assertion::believed;
use crate::route::{AccessRule, HostPattern, PathRewrite, Route, RouteTable, below, may_lie_below};
use crate::upstream::Upstream;

/// Looks through the routes of a table, which stand in these lines.
pub(super) fn check(root: &Section<'_>, table: &RouteTable, lines: &[Option<usize>]) {
    let line = |index: usize| lines.get(index).copied().flatten();
    refuse_raw(root, table.routes(), line);
    warn(root, table, line);
    warn_of_readings(root, table.routes(), line);
}

/// Warns of every protected route that others open to those whom it would refuse, once for each rule
/// that they have, where the first one stands.
fn warn(root: &Section<'_>, table: &RouteTable, line: impl Fn(usize) -> Option<usize>) {
    let routes = table.routes();
    for (index, protected) in routes.iter().enumerate() {
        let mut warned: Vec<&AccessRule> = Vec::new();
        for (by, other) in routes.iter().enumerate() {
            let Some(path) = way_in(table, protected, other) else {
                continue;
            };
            if warned.contains(&&other.access) {
                continue;
            }
            warned.push(&other.access);
            let backend = &protected.upstream.name;
            let what = format!(
                "{}{}{path} reaches {backend}'s {}, which routes[{index}] protects with auth = {}{}",
                manner(protected, other),
                other.hosts,
                protected.rewrite.apply(&protected.path),
                protected.access,
                if protected.hosts == HostPattern::Any {
                    String::new()
                } else {
                    format!(" for {}", protected.hosts)
                },
            );
            let hint = format!(
                "give both {}, unless {backend} tells such requests apart",
                same_rule(protected, other)
            );
            root.warn_at(line(by), &format!("routes[{by}]"), &what, &hint);
        }
    }
}

/// Refuses routes with `raw_path` under which another asks for what they do not ask for, by whatever
/// reading of its path, for whatever host or method.
fn refuse_raw(root: &Section<'_>, routes: &[Route], line: impl Fn(usize) -> Option<usize>) {
    for (index, raw) in routes
        .iter()
        .enumerate()
        .filter(|(_, route)| route.raw_path)
    {
        let below = |other: &Route| {
            other.path != raw.path
                && !raw.access.covers(&other.access)
                && may_lie_below(&other.path, &raw.path)
        };
        let Some((other, stricter)) = routes.iter().enumerate().find(|(_, other)| below(other))
        else {
            continue;
        };
        let what = format!(
            "is true, and below it routes[{other}] ({}) has auth = {}: a backend that reads \"%2F\" or \"//\" in another way would serve what that protects",
            stricter.name(),
            stricter.access,
        );
        root.fault(
            line(index),
            &format!("routes[{index}].raw_path"),
            &what,
            &format!(
                "give both {}, or this one a path of its own",
                same_rule(raw, stricter)
            ),
        );
    }
}

/// Warns of every route that a backend may take for one that another protects more: where it does
/// not mind case, or where the route lets clients name the path in a header.
fn warn_of_readings(root: &Section<'_>, routes: &[Route], line: impl Fn(usize) -> Option<usize>) {
    for (by, open) in routes.iter().enumerate() {
        let stricter: Vec<_> = routes
            .iter()
            .enumerate()
            .filter(|(_, protected)| {
                !open.access.covers(&protected.access) && share_a_backend(protected, open)
            })
            .collect();
        let backend = &open.upstream.name;
        let protects = |index: usize, protected: &Route| {
            format!(
                "{backend}'s {}, which routes[{index}] protects with auth = {}",
                protected.rewrite.apply(&protected.path),
                protected.access
            )
        };
        let path = open.rewrite.apply(&open.path);
        let alike = stricter.iter().find(|(_, protected)| {
            differs_in_case(&path, &protected.rewrite.apply(&protected.path))
        });
        if let Some((index, protected)) = alike {
            let what = format!(
                "a backend that ignores case takes it for {}",
                protects(*index, protected)
            );
            let same = same_rule(open, protected);
            let hint = format!("give both {same}, unless {backend} minds case");
            root.warn_at(line(by), &format!("routes[{by}].path"), &what, &hint);
        }
        let mut allowed = open.request_headers.allow.iter();
        let mover = allowed.find(|name| believed::moves_path(name.as_bytes()));
        if let (Some(name), Some((index, protected))) = (mover, stricter.first()) {
            let what = format!(
                "lets clients send {name:?}, from which servers take the path, beside {}",
                protects(*index, protected)
            );
            let hint = format!(
                "remove it from allow, or give both {}",
                same_rule(open, protected)
            );
            root.warn_at(
                line(by),
                &format!("routes[{by}].request_headers"),
                &what,
                &hint,
            );
        }
    }
}

/// Whether a path lies below another only where case does not count.
fn differs_in_case(path: &str, above: &str) -> bool {
    below(path, above).is_none() && below(&path.to_lowercase(), &above.to_lowercase()).is_some()
}

/// What the two ways differ in.
fn manner(protected: &Route, other: &Route) -> &'static str {
    if other.rewrite.stripped().is_some() {
        "with strip_prefix, "
    } else if other.rewrite != PathRewrite::default() {
        "with rewrite_prefix, "
    } else if other.hosts == HostPattern::Any && protected.hosts != HostPattern::Any {
        "under another Host, "
    } else {
        ""
    }
}

/// One backend may stand in two upstreams, with two timeouts.
pub(super) fn share_an_endpoint(one: &Upstream, other: &Upstream) -> bool {
    one.endpoints.iter().any(|place| {
        let mut others = other.endpoints.iter();
        others.any(|other| place.is_same_place(other))
    })
}

fn share_a_backend(one: &Route, other: &Route) -> bool {
    share_an_endpoint(&one.upstream, &other.upstream)
}

/// The path by which `other`, whose rule does not cover that of `protected`, takes a request to the
/// path of the backend that `protected` leads to. Two routes that differ in their methods alone are meant to.
fn way_in(table: &RouteTable, protected: &Route, other: &Route) -> Option<String> {
    let twins = other.path == protected.path && other.hosts == protected.hosts;
    if twins || other.access.covers(&protected.access) || !share_a_backend(protected, other) {
        return None;
    }
    let inside = protected.rewrite.apply(&protected.path);
    let path = other.rewrite.reverse(&inside)?;
    let host = other.hosts.example();
    let takes = |method: &str| {
        table
            .find(host.as_deref(), method, &path)
            .is_ok_and(|index| std::ptr::eq(&raw const table.routes()[index], other))
    };
    let opens = match (&*protected.methods.0, &*other.methods.0) {
        ([], []) => takes("GET"),
        ([], names) | (names, _) => names.iter().any(|method| takes(method)),
    };
    opens.then(|| path.into_owned())
}

/// The keys in which two rules may differ.
fn same_rule(one: &Route, other: &Route) -> &'static str {
    if one.access.has_requirements() || other.access.has_requirements() {
        "the same auth and require"
    } else {
        "the same auth"
    }
}
