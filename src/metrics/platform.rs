//! Calls to the platforms, the apps' access tokens, and what the platforms push.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;

use super::labels::{AppLabel, AppOutcome};
use super::registrar::{Registrar, Times};
use super::{Counter, Family, Gauge, gauged};

pub struct PlatformMetrics {
    seconds: Times<AppApi>,
    /// Calls of the platform's API by backends.
    pub api_calls: Family<PlatformApiCall, Counter>,
    pub token_fetches: Family<AppOutcome, Counter>,
    pub ticket_fetches: Family<AppOutcome, Counter>,
    pub token_refusals: Family<AppLabel, Counter>,
    token_fetched: Family<AppLabel, Gauge>,
    token_ends: Family<AppLabel, Gauge>,
    pub pushes: Family<AppOutcome, Counter>,
    /// Tries to deliver messages that were kept.
    pub push_redeliveries: Family<AppOutcome, Counter>,
    pushes_kept: Family<AppLabel, Gauge>,
}

impl PlatformMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
        Self {
            seconds: registrar.times(
                "platform_duration_seconds",
                "Calls to the platforms by app and API",
            ),
            api_calls: registrar.metric(
                "platform_api_calls_total",
                "Calls of the platform's API by backends",
            ),
            token_fetches: registrar.metric(
                "app_token_fetches_total",
                "Fetches of access tokens by app and outcome",
            ),
            ticket_fetches: registrar.metric(
                "app_ticket_fetches_total",
                "Fetches of tickets by app and outcome",
            ),
            token_refusals: registrar.metric(
                "app_token_refusals_total",
                "Access tokens that the platform refused, by app",
            ),
            token_fetched: registrar.metric(
                "app_token_fetched_timestamp_seconds",
                "When the access token was fetched",
            ),
            token_ends: registrar
                .metric("app_token_not_after_seconds", "When the access token ends"),
            pushes: registrar.metric("pushes_total", "Pushed messages by app and outcome"),
            push_redeliveries: registrar.metric(
                "push_redeliveries_total",
                "Deliveries of kept messages by app and outcome",
            ),
            pushes_kept: registrar.metric(
                "pushes_kept",
                "Messages that are kept until the backend takes them, by app",
            ),
        }
    }

    /// Counts a call; `api` is the last segment of its path, such as `jscode2session`.
    pub fn call(&self, app: &str, api: &'static str, took: Duration) {
        let app = app.to_owned();
        self.seconds
            .get_or_create(&AppApi { app, api })
            .observe(took.as_secs_f64());
    }

    /// Shows when the access token was fetched and when it ends, in Unix seconds.
    pub fn token_times(&self, app: &str, fetched: u64, ends: u64) {
        let label = AppLabel::new(app);
        self.token_fetched
            .get_or_create(&label)
            .set(gauged(fetched));
        self.token_ends.get_or_create(&label).set(gauged(ends));
    }

    /// Shows how many messages are kept until the backend takes them.
    pub fn pushes_kept(&self, app: &str, kept: u64) {
        self.pushes_kept
            .get_or_create(&AppLabel::new(app))
            .set(gauged(kept));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppApi {
    /// The app's name in the configuration.
    app: String,
    api: &'static str,
}

/// A call of the platform's API by a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PlatformApiCall {
    /// The app's name in the configuration; empty: it is not known.
    pub app: String,
    /// The client's name in the configuration; empty: it is not known.
    pub client: String,
    /// The pattern of `allow` that let it pass, or the gateway's own endpoint; empty: neither.
    pub path: String,
    /// `answered`, `client_left`, or an error code of docs/errors.md.
    pub outcome: &'static str,
}
