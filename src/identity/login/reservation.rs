//! The reservation of a login code: who leads, who follows, and how it ends.

use std::time::Duration;

use super::{Client, LoginFlow};
use crate::identity::app::App;
use crate::identity::code::{CodeOf, Outcome, Reserved};
use crate::identity::error::LoginError;
use crate::identity::login_codes::Reservation;
use crate::identity::platform_trouble::PlatformTrouble;

/// A code that this request has reserved.
pub(super) struct HeldCode<'a> {
    pub(super) app: &'a App,
    pub(super) login: &'a CodeOf,
    pub(super) ticket: [u8; 16],
    pub(super) request_id: &'a str,
}

impl<'a> HeldCode<'a> {
    pub(super) fn new(
        app: &'a App,
        login: &'a CodeOf,
        ticket: [u8; 16],
        client: &'a Client,
    ) -> Self {
        Self {
            app,
            login,
            ticket,
            request_id: &client.request_id,
        }
    }
}

impl LoginFlow {
    /// Reserves the code and asks the quota of the address at the same time. The app's is asked
    /// last and by the leader alone: it counts exchanges, and neither a repeated code nor an
    /// address beyond its quota may use it up for all the others. Whoever is refused leaves nothing
    /// behind: the code is let go, and is as good as before.
    pub(super) async fn reserve(
        &self,
        app: &App,
        login: &CodeOf,
        client: &Client,
    ) -> Result<Reserved<Outcome>, LoginError> {
        // The configured app's: clients name authorizers as they like.
        let limited = app.component.as_ref().unwrap_or(&app.appid);
        let gate = self.limits.gate(client.limited_by, limited);
        self.limits.refuse_early(&gate)?;
        let lease = app.login_lease();
        let (reserved, admitted) = tokio::join!(
            self.codes.reserve(&login.key, lease),
            self.limits.admit_address(&gate)
        );
        if let Err(refusal) = admitted {
            if let Ok(Reservation::Leader { ticket, .. }) = reserved {
                let held = HeldCode::new(app, login, ticket, client);
                self.settle(&held, None).await;
            }
            return Err(refusal.into());
        }
        // Bounded by two leases, a dead leader's and its successor's.
        let found = login
            .follow(&*self.codes, reserved?, lease, 2 * lease, || true)
            .await?
            .ok_or(PlatformTrouble::Unavailable {
                retry_after: Duration::from_secs(1),
            })?;
        if let Reserved::Leader { ticket, .. } = &found
            && let Err(refusal) = self.limits.admit_exchange(&gate).await
        {
            let held = HeldCode::new(app, login, *ticket, client);
            self.settle(&held, None).await;
            return Err(refusal.into());
        }
        Ok(found)
    }

    /// Ends a reservation, with an outcome for those who wait or without.
    pub(super) async fn settle(&self, held: &HeldCode<'_>, outcome: Option<&Outcome>) {
        let sealed = outcome.map(|outcome| held.login.seal(outcome));
        let answer = sealed.as_deref().map(|sealed| (sealed, self.replay_window));
        let settled = self.codes.settle(&held.login.key, &held.ticket, answer);
        if let Err(error) = settled.await {
            // The verdict stands; the reservation lapses by itself.
            log::warn!(app = &*held.app.name, request_id = held.request_id; "login: cannot store the outcome for waiting requests: {error}");
        }
    }
}
