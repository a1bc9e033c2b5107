//! Obtains a token: from the store, where another gateway has fetched one, else from the platform,
//! by the one gateway that holds the lease.

mod ask;
mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::ask::granted;
use super::fetched::{DatedFetch, NotFetched, RefreshTokens};
use super::slot::{AppSlot, SlotKind};
use super::state::{Origin, rest, unavailable};
use super::strangers::Strangers;
use super::ticket;
use crate::backoff;
use crate::clock::{Clock, UnixMillis, monotonic_now};
use crate::identity::{
    AccessToken, App, AppTokenError, AppTokenSource, ComponentStore, NewRefreshToken, NewToken,
    PlatformTokens, StoredToken, TokenGrant, TokenLease,
};
use crate::metrics::Metrics;
use crate::session::{StoreError, Written};
use parking_lot::Mutex;

/// A lease outlasts the fetch that it is for by so much.
const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// The first and the longest wait for a token that another gateway fetches.
const FOLLOW: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

pub(super) struct Fetcher {
    pub(super) store: Arc<dyn PlatformTokens>,
    pub(super) components: Arc<dyn ComponentStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// Until when the platform is not asked to push tickets, by the id of the app.
    pub(super) started: Mutex<HashMap<Arc<str>, Instant>>,
    pub(super) strangers: Strangers,
}

/// How many calls a fetch takes at most where another app acts for this one: with the wait for that
/// one's token. The lease lasts for all of them: a second gateway that used the same refresh token
/// meanwhile would get one that the first one's answer ends.
const CALLS_FOR_AUTHORIZER: u32 = 5;

/// A lease that this process holds.
struct Lease {
    taken_at: UnixMillis,
    ticket: [u8; 16],
    until: Instant,
}

impl Fetcher {
    /// Obtains the app's token, within the time of two fetches: another gateway's, should that one
    /// die, and an own one. `tokens` has the token of an app that acts for this one.
    pub(super) async fn obtain(
        &self,
        slot: &AppSlot,
        tokens: &dyn AppTokenSource,
    ) -> Result<AccessToken, AppTokenError> {
        let app = slot.app();
        let calls = if app.authorizer().is_some() {
            CALLS_FOR_AUTHORIZER
        } else {
            1
        };
        let span = app.provider.total_timeout() * calls + LEASE_MARGIN;
        let deadline = monotonic_now() + 2 * span;
        for attempt in 1.. {
            let asked = monotonic_now();
            let paused = slot.state.lock().paused(asked);
            let found = self.look(slot, paused.is_some(), asked, span).await;
            match (found, paused) {
                (Ok(Some(TokenLease::Found(token))), _) => {
                    return Ok(self.take(slot, &app, token, asked));
                }
                (Ok(_), Some(why)) => return Err(why),
                (Ok(Some(TokenLease::Leader { now, ticket })), None) => {
                    let lease = Lease {
                        taken_at: now,
                        ticket,
                        until: asked + span,
                    };
                    if let Some(outcome) = self.lead(slot, &app, &lease, tokens).await {
                        return outcome;
                    }
                }
                (Ok(Some(TokenLease::Recent { wait })), None) => {
                    let why = AppTokenError::refused_twice(wait);
                    return Err(slot.state.lock().pause(why, monotonic_now()));
                }
                (Ok(_), None) => {}
                (Err(error), paused) => return self.alone(slot, &app, error, paused, tokens).await,
            }
            if monotonic_now() >= deadline {
                break;
            }
            tokio::time::sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, attempt)).await;
        }
        Err(unavailable(
            "other gateways try to fetch one, and none succeeds".to_owned(),
            LEASE_MARGIN,
        ))
    }

    /// What the store has, or the lease on the fetch. `None`: neither, since none is to be fetched
    /// now.
    async fn look(
        &self,
        slot: &AppSlot,
        is_paused: bool,
        asked: Instant,
        lease: Duration,
    ) -> Result<Option<TokenLease>, StoreError> {
        let replaced = slot.state.lock().replaced(asked).cloned();
        if !is_paused {
            let found = self.store.lease(&slot.name, replaced.as_ref(), lease);
            return found.await.map(Some);
        }
        // Another gateway may have had better luck.
        let found = self.store.find(&slot.name).await?;
        let other = found.filter(|token| Some(&token.text) != replaced.as_ref());
        Ok(other.map(TokenLease::Found))
    }

    /// Takes over what the store has.
    fn take(&self, slot: &AppSlot, app: &App, stored: StoredToken, asked: Instant) -> AccessToken {
        self.shown(slot, app, stored.age, stored.expires_in);
        let token = AccessToken {
            text: stored.text,
            until: asked + stored.expires_in,
        };
        slot.state
            .lock()
            .obtained(token, Origin::Store, stored.age, monotonic_now())
    }

    /// Fetches for all gateways. `None`: it took so long that another one has begun.
    async fn lead(
        &self,
        slot: &AppSlot,
        app: &App,
        lease: &Lease,
        tokens: &dyn AppTokenSource,
    ) -> Option<Result<AccessToken, AppTokenError>> {
        let unstored = slot.unstored.lock().take();
        let brought = match unstored {
            Some(unstored) => unstored,
            None => match self.dated_fetch(slot, app, lease, tokens).await {
                Ok(brought) => brought,
                Err(outcome) => return Some(outcome),
            },
        };
        let DatedFetch { fetched, asked } = &brought;
        let granted = &fetched.token;
        let left = granted.expires_in.saturating_sub(asked.elapsed());
        let new = NewToken {
            text: &granted.token,
            fetched_at: lease.taken_at,
            expires_in: left,
            rest: rest(left),
        };
        let kept = match &fetched.refresh {
            None => self.store.keep(&slot.name, &lease.ticket, &new).await,
            Some(refresh) => self.keep_refreshed(slot, lease, &new, refresh).await,
        };
        let origin = match kept {
            Ok(Written::Done) => Origin::Store,
            Ok(Written::Stale) => {
                log::warn!(app = &*app.name; "{} came so late that another gateway fetches one; it is thrown away", slot.kind.noun());
                self.count(slot, app, "late");
                return None;
            }
            Ok(Written::Gone) => {
                log::warn!(app = &*app.name; "{} has withdrawn or authorised anew while its access token was fetched, or the store has that already; it is thrown away", app.appid);
                self.release(slot, lease).await;
                return None;
            }
            Err(error) if fetched.refresh.is_some() => {
                log::error!(app = &*app.name; "the new refresh token of {} cannot be stored, so its access token is not used; this process keeps both and tries again: {error}", app.appid);
                *slot.unstored.lock() = Some(brought);
                return Some(Err(AppTokenError::Store(error)));
            }
            Err(error) => {
                log::warn!(app = &*app.name; "{} was fetched and cannot be stored, so only this process has it: {error}", slot.kind.noun());
                Origin::Process
            }
        };
        // It has waited for the store longer than it is good.
        if left.is_zero() {
            return None;
        }
        Some(Ok(self.fresh(slot, app, granted, origin, *asked)))
    }

    /// A fetch; what its failure means for whoever waits.
    async fn dated_fetch(
        &self,
        slot: &AppSlot,
        app: &App,
        lease: &Lease,
        tokens: &dyn AppTokenSource,
    ) -> Result<DatedFetch, Result<AccessToken, AppTokenError>> {
        let asked = monotonic_now();
        let error = match self.fetched(slot, app, tokens).await {
            Ok(fetched) => return Ok(DatedFetch { fetched, asked }),
            Err(error) => error,
        };
        // Another gateway may reach the platform, or have an address that it likes.
        self.release(slot, lease).await;
        Err(match error {
            NotFetched::Platform(error) => Err(self.failed(slot, app, &error)),
            NotFetched::Store(error) => {
                log::warn!(app = &*app.name; "no new {} of {}: {error}", slot.kind.noun(), app.appid);
                let held = slot.state.lock().store_is_down(monotonic_now());
                held.ok_or(AppTokenError::Store(error))
            }
        })
    }

    /// Tries for as long as the lease lasts: the platform may take no other refresh token any more.
    async fn keep_refreshed(
        &self,
        slot: &AppSlot,
        lease: &Lease,
        new: &NewToken<'_>,
        refresh: &RefreshTokens,
    ) -> Result<Written, StoreError> {
        let refresh_token = NewRefreshToken {
            used: &refresh.used,
            text: &refresh.fresh,
        };
        let mut attempt = 0;
        loop {
            let kept = self
                .components
                .keep_refreshed(&slot.name, &lease.ticket, new, &refresh_token)
                .await;
            if kept.is_ok() || monotonic_now() >= lease.until {
                return kept;
            }
            attempt += 1;
            tokio::time::sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, attempt)).await;
        }
    }

    async fn release(&self, slot: &AppSlot, lease: &Lease) {
        if let Err(unreleased) = self.store.release(&slot.name, &lease.ticket).await {
            log::debug!("a lease lapses by itself: {unreleased}");
        }
    }

    /// Without the store: what there is, or a token that does not disturb those of others.
    async fn alone(
        &self,
        slot: &AppSlot,
        app: &App,
        down: StoreError,
        paused: Option<AppTokenError>,
        tokens: &dyn AppTokenSource,
    ) -> Result<AccessToken, AppTokenError> {
        if let Some(token) = slot.state.lock().store_is_down(monotonic_now()) {
            return Ok(token);
        }
        if let Some(why) = paused {
            return Err(why);
        }
        if app.component_api().is_some() {
            // Tickets and refresh tokens are in the store, and new ones could not be kept.
            return Err(AppTokenError::Store(down));
        }
        log::warn!(app = &*app.name; "the store is down, so this process fetches its own {}: {down}", slot.kind.noun());
        let asked = monotonic_now();
        let fetched = match slot.kind {
            SlotKind::Access => granted(app, Some(TokenGrant::Stable))
                .await
                .map_err(NotFetched::from),
            SlotKind::Ticket(kind) => ticket::fetched(app, kind, tokens).await,
        };
        match fetched {
            Ok(granted) => Ok(self.fresh(slot, app, &granted, Origin::Process, asked)),
            Err(NotFetched::Platform(error)) => Err(self.failed(slot, app, &error)),
            Err(NotFetched::Store(error)) => Err(AppTokenError::Store(error)),
        }
    }
}
