//! Reservations of login codes.

use std::time::Duration;

use async_trait::async_trait;

use super::invalidation::server_clock::store_time;
use super::sessions::RedisStore;
use crate::clock::millis;
use crate::crypto::random;
use crate::identity::{LoginCodes, Reservation};
use crate::redis_client::{Invocation, Request};
use crate::session::store::{LoginKey, Settlement};
use crate::session::{StoreError, Written};

/// How long each try to let a code go waits. A slow server may carry the reservation out after the
/// first.
const RELEASE_AFTER: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(4),
];
/// How long a reservation stands again whose answer was withdrawn: it is settled at once.
const REOPENED: Duration = Duration::from_secs(2);

impl RedisStore {
    pub(super) async fn settle_code(
        &self,
        login: &LoginKey,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
    ) -> Result<Written, StoreError> {
        let (answer, keep) = answer.unwrap_or((&[], Duration::ZERO));
        let mut script = self.scripts.settle.key(self.keys.login(login));
        script.arg(ticket).arg(answer).arg(millis(keep));
        Ok(done(self.run(&script).await?))
    }

    /// Lets a code go in the background that may have been reserved, though nobody has heard so:
    /// this ticket comes to nobody, and a phone code's reservation lives for minutes.
    fn release_unheard(&self, login: &LoginKey, ticket: [u8; 16]) {
        let Ok(permit) = self.releases.clone().try_acquire_owned() else {
            return;
        };
        let connector = self.connector.clone();
        let scripts = self.scripts.clone();
        let key = self.keys.login(login);
        tokio::spawn(async move {
            let _permit = permit;
            let mut script = scripts.settle.key(key);
            script.arg(&ticket).arg("").arg(0);
            for pause in RELEASE_AFTER {
                tokio::time::sleep(pause).await;
                if let Ok(true) = connector.call(&Request::Script(&script)).await {
                    return;
                }
            }
        });
    }

    /// Takes an answer back whose session does not exist. As far as possible: what cannot be taken
    /// back now goes by itself, and until then names a session that nobody finds.
    pub(super) async fn withdraw_answer(&self, settlement: &Settlement) {
        let mut script = self
            .scripts
            .withdraw
            .key(self.keys.login(&settlement.login));
        script.arg(&settlement.answer);
        self.withdraw(&script).await;
    }

    /// The same, and whoever holds the code's reservation may settle it otherwise.
    pub(super) async fn reopen_code(&self, settlement: &Settlement) {
        let mut script = self
            .scripts
            .withdraw
            .key(self.keys.login(&settlement.login));
        script
            .arg(&settlement.answer)
            .arg(&settlement.ticket)
            .arg(millis(REOPENED));
        self.withdraw(&script).await;
    }

    async fn withdraw(&self, script: &Invocation<'_>) {
        if let Err(error) = self.run::<bool>(script).await {
            log::warn!("cannot remove the stored answer of a failed login: {error}");
        }
    }
}

/// What a script says that writes only for the holder of a ticket.
pub(super) fn done(done: bool) -> Written {
    if done { Written::Done } else { Written::Stale }
}

#[async_trait]
impl LoginCodes for RedisStore {
    async fn reserve(&self, login: &LoginKey, lease: Duration) -> Result<Reservation, StoreError> {
        let ticket: [u8; 16] = random::bytes();
        let reserved = async {
            let mut script = self.scripts.reserve.key(self.keys.login(login));
            // Redis refuses an expiry of nothing.
            script.arg(&ticket).arg(millis(lease).max(1));
            let (seconds, micros, state, answer, left): (u64, u64, u8, Vec<u8>, u64) =
                self.run(&script).await?;
            let now = store_time((seconds, micros));
            Ok(match state {
                0 => Reservation::Leader { now, ticket },
                1 => Reservation::Pending {
                    now,
                    left: Duration::from_millis(left),
                },
                _ => Reservation::Settled { now, answer },
            })
        };
        let reserved = self.meter.watch("reserve", reserved).await;
        if reserved.as_ref().is_err_and(|error| !error.answered) {
            self.release_unheard(login, ticket);
        }
        reserved
    }

    async fn settle(
        &self,
        login: &LoginKey,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
    ) -> Result<Written, StoreError> {
        self.meter
            .watch("settle", self.settle_code(login, ticket, answer))
            .await
    }

    async fn replace_answer(
        &self,
        login: &LoginKey,
        answer: &[u8],
        by: &[u8],
    ) -> Result<Written, StoreError> {
        let replaced = async {
            let mut script = self.scripts.replace_answer.key(self.keys.login(login));
            script.arg(answer).arg(by);
            Ok(done(self.run(&script).await?))
        };
        self.meter.watch("replace_answer", replaced).await
    }
}
