//! `[login.hook]`: the team's backend that is asked about logins.

use std::sync::Arc;
use std::time::Duration;

use super::parsers::{choice, duration_to};
use super::problem::{Wrong, refuse};
use super::reader::Section;
use super::route_overlap::share_an_endpoint;
use super::upstreams::Named;
use super::{ServerSettings, backend, shared_secrets};
use crate::identity::{LoginHookSettings, OnFailure};
use crate::provider::settings::AppSettings;
use crate::route::RouteTable;

/// Any of them says that the operator wants a hook.
const KEYS: [&str; 8] = [
    "upstream",
    "path",
    "secrets",
    "secrets_file",
    "apps",
    "timeout",
    "max_concurrent",
    "on_failure",
];

const SHORTEST: Duration = Duration::from_millis(100);
/// A client waits for a minute, for the exchange too.
const LONGEST: Duration = Duration::from_secs(30);

/// The names that the hook's keys may have as values.
pub(super) struct Surroundings {
    pub(super) apps: Vec<String>,
    pub(super) upstreams: Vec<String>,
}

/// `None`: there is none, or something is wrong, which the reader has noted.
pub(super) fn read(section: &mut Section<'_>, around: &Surroundings) -> Option<LoginHookSettings> {
    let is_wanted = KEYS.iter().any(|key| section.has(key));
    let example = ("decides about logins", "/hufu-login");
    let target = backend::read(section, &around.upstreams, is_wanted, example);
    let secrets = shared_secrets::read(section, is_wanted);
    let apps = section.list("apps", |text| app(text, &around.apps));
    let times = duration_to(
        LONGEST,
        SHORTEST,
        "is longer than clients wait for a login",
        "write at most \"30s\"; one or two seconds are enough for a backend that looks something up",
    );
    if let Some(twin) = first_twin(&apps) {
        let what = format!("names {twin} twice");
        section.warn("apps", &what, "remove one of the two");
    }
    let timeout = section.value("timeout", times);
    let max_concurrent = section.positive(
        "max_concurrent",
        100_000,
        "is 0, so nobody could log in",
        "write at least 1",
    );
    let on_failure = section.value(
        "on_failure",
        choice([("refuse", OnFailure::Refuse), ("allow", OnFailure::Allow)]),
    );
    if !is_wanted {
        return None;
    }
    let (upstream, path) = target?;
    Some(LoginHookSettings {
        upstream,
        path,
        timeout,
        secrets: secrets?,
        apps,
        on_failure,
        max_concurrent,
    })
}

fn first_twin(apps: &[Arc<str>]) -> Option<&str> {
    let twin = apps
        .iter()
        .enumerate()
        .find(|(at, app)| apps[..*at].contains(app));
    twin.map(|(_, app)| &**app)
}

fn app(text: &str, apps: &[String]) -> Result<Arc<str>, Wrong> {
    if apps.iter().any(|name| name == text) {
        return Ok(text.into());
    }
    refuse("is not the name of an app", "write a NAME of [apps.NAME]")
}

/// What does not go together with settings of other sections.
pub(super) fn warn(
    root: &Section<'_>,
    hook: &LoginHookSettings,
    apps: &[AppSettings],
    upstreams: &[Named],
    server: &ServerSettings,
) {
    let of_hook = || apps.iter().filter(|app| hook.is_for(&app.name));
    // A login that a stop cuts off has used up its code.
    let slowest = of_hook().max_by_key(|app| app.timeout);
    if let Some(app) = slowest.filter(|app| app.timeout + hook.timeout > server.drain_deadline) {
        let what = format!(
            "timeout and apps.{}.timeout are together longer than server.drain_deadline, so a stop can cut off logins whose codes are used up",
            app.name
        );
        let hint = "write a shorter timeout, or a longer drain_deadline";
        root.warn_below("login", "hook", &what, hint);
    }
    let upstream = upstreams.iter().find(|(name, _)| **name == *hook.upstream);
    let shortest = upstream.and_then(|(_, upstream)| {
        let upstream = upstream.as_ref()?;
        let total = upstream.total_timeout.unwrap_or(hook.timeout);
        Some(upstream.first_byte_timeout.min(total))
    });
    if shortest.is_some_and(|shortest| shortest < hook.timeout) {
        let what = format!(
            "timeout is longer than the one of upstreams.{}, which ends the question first",
            hook.upstream
        );
        let hint = "write a shorter timeout here, or a longer one there";
        root.warn_below("login", "hook", &what, hint);
    }
    let most = upstream.and_then(|(_, upstream)| Some(upstream.as_ref()?.max_concurrent));
    if most.is_some_and(|most| (1..=hook.max_concurrent).contains(&most)) && of_hook().count() > 1 {
        let what = format!(
            "max_concurrent is not below upstreams.{}.max_concurrent, so the questions of one app can keep out those of the others",
            hook.upstream
        );
        let hint = "write a smaller max_concurrent here, or a larger one there";
        root.warn_below("login", "hook", &what, hint);
    }
}

/// Warns of a route by which clients come to the hook: they could try what it answers.
pub(super) fn warn_of_routes(
    root: &Section<'_>,
    hook: &LoginHookSettings,
    upstreams: &[Named],
    table: &RouteTable,
    lines: &[Option<usize>],
) {
    let upstream = upstreams.iter().find(|(name, _)| **name == *hook.upstream);
    let Some(upstream) = upstream.and_then(|(_, upstream)| upstream.as_deref()) else {
        return;
    };
    let path = hook.path.split('?').next().unwrap_or_default();
    for (index, route) in table.routes().iter().enumerate() {
        let Some(sent) = route.rewrite.reverse(path) else {
            continue;
        };
        let host = route.hosts.example();
        let leads = table
            .find(host.as_deref(), "POST", &sent)
            .is_ok_and(|found| found == index);
        if leads && share_an_endpoint(&route.upstream, upstream) {
            let what = format!(
                "{sent} leads clients to the login hook, {path} of {}",
                hook.upstream
            );
            let hint = "keep that path out of the routes, or let the hook have a port of its own";
            let line = lines.get(index).copied().flatten();
            root.warn_at(line, &format!("routes[{index}]"), &what, hint);
        }
    }
}
