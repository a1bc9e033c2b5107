//! Logins, the login hook, open data, and the limits of all that.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;

use super::labels::{AppLabel, AppOperation, AppOutcome};
use super::registrar::{Registrar, Times};
use super::{Counter, Family};

pub struct LoginMetrics {
    logins: Family<AppOutcome, Counter>,
    hooks: Family<AppOutcome, Counter>,
    hook_seconds: Times<AppLabel>,
    /// Also phone numbers and session_keys.
    pub open_data: Family<AppOperation, Counter>,
    limits: Family<PolicyOutcome, Counter>,
    /// Invalid tokens from addresses that send many of them.
    pub guessed_tokens: Counter,
}

impl LoginMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
        Self {
            logins: registrar.metric("logins_total", "Logins by app and outcome"),
            hooks: registrar.metric(
                "login_hooks_total",
                "Questions to the login hook, by app and outcome",
            ),
            hook_seconds: registrar.times(
                "login_hook_duration_seconds",
                "From the question to the login hook to its answer, by app",
            ),
            open_data: registrar.metric(
                "open_data_total",
                "Open data, phone numbers and session_keys, by app, operation and outcome",
            ),
            limits: registrar.metric("limits_total", "Questions to quotas, by policy and outcome"),
            guessed_tokens: registrar.metric(
                "guessed_tokens_total",
                "Invalid tokens from addresses that send many",
            ),
        }
    }

    /// Counts a login; `outcome` is `ok`, `replayed`, or an error code of docs/errors.md.
    pub fn login(&self, app: &str, outcome: &'static str) {
        self.logins
            .get_or_create(&AppOutcome::new(app, outcome))
            .inc();
    }

    /// Counts a question to the login hook.
    pub fn hook(&self, app: &str, outcome: &'static str, took: Duration) {
        self.hook_seconds
            .get_or_create(&AppLabel::new(app))
            .observe(took.as_secs_f64());
        self.hooks
            .get_or_create(&AppOutcome::new(app, outcome))
            .inc();
    }

    /// Counts a question to a quota.
    pub fn limit(&self, policy: &'static str, outcome: &'static str) {
        self.limits
            .get_or_create(&PolicyOutcome { policy, outcome })
            .inc();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyOutcome {
    /// `per_ip`, `per_user`, `per_app`, `open_data` or `phone_limit`.
    policy: &'static str,
    /// `admitted`, `refused`, `refused_early`, `admitted_alone` or `refused_alone`.
    outcome: &'static str,
}
