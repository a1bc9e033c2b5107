//! What came of a fetch: in the app's state, in the log and in the metrics.

use std::time::{Duration, Instant};

use super::Fetcher;
use crate::broker::slot::{AppSlot, SlotKind};
use crate::broker::state::Origin;
use crate::clock::{millis, monotonic_now};
use crate::identity::{
    AccessToken, App, AppTokenError, ExchangeError, GrantedToken, REFUSED_TWICE,
};
use crate::metrics::{AppLabel, AppOutcome};

impl Fetcher {
    pub(super) fn fresh(
        &self,
        slot: &AppSlot,
        app: &App,
        granted: &GrantedToken,
        origin: Origin,
        asked: Instant,
    ) -> AccessToken {
        let expires_in = granted.expires_in;
        let token = AccessToken {
            text: granted.token.clone(),
            until: asked + expires_in,
        };
        self.shown(slot, app, Duration::ZERO, expires_in);
        let mut state = slot.state.lock();
        if state.is_refused(&token.text) {
            log::warn!(app = &*app.name; "the platform refused the {} of {} and gives the same one again, so it is used; no other fetch for {} s", slot.kind.noun(), app.appid, REFUSED_TWICE.as_secs());
            self.count(slot, app, "same");
        } else {
            log::info!(app = &*app.name; "{} of {} fetched, good for {} s", slot.kind.noun(), app.appid, expires_in.as_secs());
            self.count(slot, app, "ok");
        }
        state.obtained(token, origin, Duration::ZERO, monotonic_now())
    }

    pub(super) fn failed(&self, slot: &AppSlot, app: &App, error: &ExchangeError) -> AppTokenError {
        let now = monotonic_now();
        let why = slot.state.lock().failed(error, now);
        let left = slot.state.lock().left(now);
        let present = match left.as_secs() {
            0 => "there is none now".to_owned(),
            left => format!("the present one is good for another {left} s"),
        };
        let (outcome, level) = match error {
            ExchangeError::Misconfigured { .. } => ("misconfigured", log::Level::Error),
            ExchangeError::NotAuthorized { .. } => ("app_not_authorized", log::Level::Warn),
            ExchangeError::Throttled { .. } => ("throttled", log::Level::Warn),
            ExchangeError::Unavailable { .. } => ("unavailable", log::Level::Warn),
            _ => ("platform_error", log::Level::Error),
        };
        log::log!(level, app = &*app.name; "no new {} of {}, {present}: {error}", slot.kind.noun(), app.appid);
        self.count(slot, app, outcome);
        why
    }

    pub(in crate::broker) fn count_refusal(&self, app: &App) {
        self.metrics
            .platform
            .token_refusals
            .get_or_create(&AppLabel::new(&app.name))
            .inc();
    }

    pub(super) fn count(&self, slot: &AppSlot, app: &App, outcome: &'static str) {
        let fetches = match slot.kind {
            SlotKind::Access => &self.metrics.platform.token_fetches,
            SlotKind::Ticket(_) => &self.metrics.platform.ticket_fetches,
        };
        fetches
            .get_or_create(&AppOutcome::new(&app.name, outcome))
            .inc();
    }

    /// Shows when the access token was fetched and when it ends.
    pub(super) fn shown(&self, slot: &AppSlot, app: &App, age: Duration, expires_in: Duration) {
        // There may be thousands of authorizers.
        if slot.kind != SlotKind::Access || app.authorizer().is_some() {
            return;
        }
        let now = self.clock.unix_now();
        let fetched = now.0.saturating_sub(millis(age)) / 1000;
        let ends = now.plus(expires_in).0 / 1000;
        self.metrics.platform.token_times(&app.name, fetched, ends);
    }
}
