//! What a reload replaces: everything made from the keys that can change while the gateway runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};

use super::process_state::ProcessState;
use crate::assertion::{AssertionIssuer, IdentityLines};
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::http::request_log::{CountedRoute, RequestReporter};
use crate::http::{Cors, FailureShape, TrustedProxies};
use crate::identity::{self, Apps, IdentityProvider};
use crate::metrics::Metrics;
use crate::platform_api::{ClientApp, Clients};
use crate::provider::api::PlatformApi;
use crate::provider::client::PlatformClient;
use crate::provider::registry;
use crate::provider::server_calls::ServerCalls;
use crate::provider::settings::AppSettings;
use crate::proxy::shared_upstream::SharedUpstream;
use crate::proxy::{HookPermits, RouteRules};
use crate::route::{Route, RouteTable};
use crate::upstream::Upstream;

/// What one load of the configuration made, for all workers.
pub(super) struct Reloadable {
    pub(super) settings: Arc<Settings>,
    pub(super) apps: Arc<Apps>,
    pub(super) platforms: PlatformClient,
    /// Calls that are under way keep those that they have in the former ones.
    pub(super) hook_permits: Arc<HookPermits>,
    /// The backends that may call the platform; none without a listener for them.
    pub(super) clients: Arc<Clients>,
    pub(super) trusted: Arc<TrustedProxies>,
    /// Where requests are reported, and on which paths nobody reads of them.
    pub(super) reports: Arc<RequestReporter>,
    pub(super) cors: Arc<Cors>,
    pub(super) routes: Arc<RouteTable>,
    pub(super) rules: Arc<[RouteRules]>,
    pub(super) upstreams: Vec<Arc<SharedUpstream>>,
    /// With another generation whenever a name of an identity header or an app's id has changed:
    /// sessions keep their header lines.
    pub(super) identity_lines: IdentityLines,
    /// `None`: nothing is signed.
    pub(super) assertions: Option<Arc<AssertionIssuer>>,
}

impl Reloadable {
    /// What stays the same as `before` is taken over from there, with everything that is known of
    /// it.
    pub(super) fn new(
        settings: Arc<Settings>,
        before: Option<&Self>,
        process: &ProcessState,
    ) -> Result<Self> {
        let before_it = before.filter(|before| before.settings.platforms == settings.platforms);
        let platforms = match before_it {
            Some(same) => same.platforms.clone(),
            None => PlatformClient::new(settings.platforms.clone())
                .context("cannot set up the client for the platforms")?,
        };
        let apps = Arc::new(apps(&settings, before_it, &platforms, process)?);
        Ok(Self {
            clients: Arc::new(clients(&settings, &apps, before, &platforms, process)?),
            hook_permits: Arc::new(HookPermits::new(&apps)),
            apps,
            platforms,
            trusted: Arc::new(TrustedProxies {
                networks: settings.server.trusted_proxies.clone(),
                header: settings.server.forwarding_header,
            }),
            reports: process.reports_but(&settings.log.skip),
            cors: Arc::new(Cors::new(
                &settings.cors,
                &process.carriers,
                registry::platforms().filter_map(|platform| platform.web_origin),
            )),
            routes: Arc::new(settings.routes.clone()),
            rules: route_rules(&settings, &process.metrics),
            upstreams: shared_upstreams(&settings.upstreams, before, process)?,
            identity_lines: IdentityLines::new(
                settings.identity.clone(),
                before.map_or(0, |before| {
                    let is_other = !same_identity(&before.settings, &settings);
                    before.identity_lines.generation() + u64::from(is_other)
                }),
            ),
            assertions: assertions(&settings, before, process),
            settings,
        })
    }
}

/// With the same generation as before where a session has the same assertions.
fn assertions(
    settings: &Settings,
    before: Option<&Reloadable>,
    process: &ProcessState,
) -> Option<Arc<AssertionIssuer>> {
    let assertion = settings.assertion.as_ref()?;
    if let Some(before) = before
        && let Some(issuer) = &before.assertions
        && issuer.settings == *assertion
        && app_ids(&before.settings) == app_ids(settings)
    {
        return Some(issuer.clone());
    }
    Some(Arc::new(AssertionIssuer {
        settings: assertion.clone(),
        generation: process
            .assertion_generations
            .fetch_add(1, Ordering::Relaxed),
    }))
}

/// Whether a session has the same header lines under both.
fn same_identity(before: &Settings, now: &Settings) -> bool {
    before.identity == now.identity && app_ids(before) == app_ids(now)
}

/// The names of the apps with their ids on their platforms.
fn app_ids(settings: &Settings) -> Vec<(Arc<str>, Arc<str>)> {
    let apps = settings.apps.iter();
    apps.map(|app| (app.name.clone(), app.appid.clone()))
        .collect()
}

fn route_rules(settings: &Settings, metrics: &Metrics) -> Arc<[RouteRules]> {
    let rules = |(route, failure): (&Route, &Arc<FailureShape>)| {
        RouteRules::new(
            route,
            Arc::new(CountedRoute::new(metrics, &route.name())),
            failure.clone(),
        )
    };
    settings
        .routes
        .routes()
        .iter()
        .zip(&settings.route_failures)
        .map(rules)
        .collect()
}

/// An app that stays as it was, on the same way, keeps its place with the platform: its breaker,
/// and the exchanges under way.
fn apps(
    settings: &Settings,
    before: Option<&Reloadable>,
    platforms: &PlatformClient,
    process: &ProcessState,
) -> Result<Apps> {
    let hook = settings.login.hook.clone().map(Arc::new);
    let app = |app: &AppSettings| {
        let hook = hook.clone().filter(|hook| hook.is_for(&app.name));
        let same = before
            .filter(|before| before.settings.apps.contains(app))
            .and_then(|before| before.apps.get(&app.name));
        match same {
            Some(same) => Ok(same.clone().with_hook(hook)),
            None => {
                let provider = provider(app, platforms, process)?;
                let app = identity::App::new(app.name.clone(), app.appid.clone(), provider)
                    .with_hook(hook);
                if app.component_api().is_some() {
                    process.broker.reseal(&app);
                    process.broker.expect_ticket(&app);
                }
                Ok(app)
            }
        }
    };
    let apps: Result<Vec<_>> = settings.apps.iter().map(app).collect();
    Ok(Apps::new(apps?))
}

fn provider(
    app: &AppSettings,
    platforms: &PlatformClient,
    process: &ProcessState,
) -> Result<Arc<dyn IdentityProvider>> {
    let api = PlatformApi::new(
        app.clone(),
        platforms.clone(),
        Arc::new(SystemClock),
        process.metrics.clone(),
    );
    Ok(Arc::new(api.with_context(|| format!("apps.{}", app.name))?))
}

/// The backends that may call the platform, with the ways there of their apps.
fn clients(
    settings: &Settings,
    apps: &Apps,
    before: Option<&Reloadable>,
    platforms: &PlatformClient,
    process: &ProcessState,
) -> Result<Clients> {
    let mut ways = Vec::new();
    let all = &settings.platform_api.clients;
    for app in settings.apps.iter().filter(|_| process.has_platform_api()) {
        let mut called = all.iter().flat_map(|client| &client.apps);
        let is_called = called.any(|callable| callable.name == app.name);
        if let Some(known) = apps.get(&app.name).filter(|_| is_called) {
            let calls = ServerCalls::new(app, platforms.clone());
            ways.push(ClientApp {
                app: known.clone(),
                calls: Arc::new(calls.with_context(|| format!("apps.{}", app.name))?),
            });
        }
    }
    let all = if process.has_platform_api() {
        all.as_slice()
    } else {
        &[]
    };
    let before = before.map(|before| &*before.clients);
    Ok(Clients::new(all, &ways, before, &process.metrics))
}

fn shared_upstreams(
    upstreams: &[Arc<Upstream>],
    before: Option<&Reloadable>,
    process: &ProcessState,
) -> Result<Vec<Arc<SharedUpstream>>> {
    let shared = |upstream: &Arc<Upstream>| {
        let before = before.and_then(|before| {
            before
                .upstreams
                .iter()
                .find(|shared| shared.upstream().name == upstream.name)
        });
        let made = match before {
            Some(same) if same.serves(upstream) => return Ok(same.clone()),
            Some(other) => other.succeeding(upstream.clone()),
            None => SharedUpstream::new(upstream.clone(), process.metrics.clone()),
        };
        made.map(Arc::new)
            .with_context(|| format!("upstreams.{}.tls", upstream.name))
    };
    upstreams.iter().map(shared).collect()
}
