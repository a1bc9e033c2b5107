//! The reservation of a login code: who leads, who follows, and how it ends.

use std::time::Duration;

use super::{Client, FOLLOW, LoginFlow};
use crate::backoff;
use crate::clock::UnixMillis;
use crate::identity::app::App;
use crate::identity::code::{CodeOf, Outcome};
use crate::identity::error::LoginError;
use crate::identity::login_codes::Reservation;

/// What the store may take beside the exchange, within a reservation.
const STORE_SHARE: Duration = Duration::from_secs(2);
/// What came of a reservation, once nobody else is exchanging the code.
pub(super) enum Reserved {
    Leader { now: UnixMillis, ticket: [u8; 16] },
    Settled { outcome: Outcome },
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
    ) -> Result<Reserved, LoginError> {
        let gate = self.limits.gate(client.limited_by, &app.appid);
        self.limits.refuse_early(&gate)?;
        let lease = app.provider.total_timeout() + STORE_SHARE;
        let (reserved, admitted) = tokio::join!(
            self.codes.reserve(&login.key, lease),
            self.limits.admit_address(&gate)
        );
        if let Err(refusal) = admitted {
            if let Ok(Reservation::Leader { ticket, .. }) = reserved {
                self.settle(app, login, &ticket, None, &client.request_id)
                    .await;
            }
            return Err(refusal.into());
        }
        let found = self.follow(login, reserved?, lease).await?;
        if let Reserved::Leader { ticket, .. } = &found
            && let Err(refusal) = self.limits.admit_exchange(&gate).await
        {
            self.settle(app, login, ticket, None, &client.request_id)
                .await;
            return Err(refusal.into());
        }
        Ok(found)
    }

    /// Waits while somebody else exchanges the code. A leader that dies leaves a reservation that
    /// lapses, and the next one to look becomes the leader; so the wait is bounded by two leases,
    /// the dead leader's and its successor's.
    async fn follow(
        &self,
        login: &CodeOf,
        first: Reservation,
        lease: Duration,
    ) -> Result<Reserved, LoginError> {
        let mut seen = first;
        let mut first_seen = None;
        for attempt in 1.. {
            let now = match seen {
                Reservation::Leader { now, ticket } => return Ok(Reserved::Leader { now, ticket }),
                Reservation::Settled { now, answer } => match login.open(&answer) {
                    Some(outcome) => return Ok(Reserved::Settled { outcome }),
                    // Sealed by a release that writes another form: wait until it lapses.
                    None => now,
                },
                Reservation::Pending { now } => now,
            };
            if now.since(*first_seen.get_or_insert(now)) > 2 * lease {
                break;
            }
            tokio::time::sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, attempt)).await;
            seen = self.codes.reserve(&login.key, lease).await?;
        }
        Err(LoginError::PlatformUnavailable {
            retry_after: Duration::from_secs(1),
        })
    }

    /// Ends a reservation, with an outcome for those who wait or without.
    pub(super) async fn settle(
        &self,
        app: &App,
        login: &CodeOf,
        ticket: &[u8; 16],
        answer: Option<&[u8]>,
        request_id: &str,
    ) {
        let answer = answer.map(|sealed| (sealed, self.replay_window));
        if let Err(error) = self.codes.settle(&login.key, ticket, answer).await {
            // The verdict stands; the reservation lapses by itself.
            log::warn!(app = &*app.name, request_id; "login: cannot store the outcome for waiting requests: {error}");
        }
    }
}
