//! Reservations of login codes.

use std::time::Duration;

use async_trait::async_trait;

use super::invalidation::server_clock::store_time;
use super::sessions::RedisStore;
use crate::clock::millis;
use crate::crypto::random;
use crate::identity::{LoginCodes, Reservation};
use crate::redis_client::Invocation;
use crate::session::store::{LoginKey, Settlement};
use crate::session::{StoreError, Written};

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
        let reserved = async {
            let ticket: [u8; 16] = random::bytes();
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
        self.meter.watch("reserve", reserved).await
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
}
