//! Making a session.

use std::time::Duration;

use super::sessions::{ROUNDS, RedisStore, session_ids};
use crate::clock::millis;
use crate::limit::{CellName, Level};
use crate::redis_client::Invocation;
use crate::session::store::{Created, CreatedSession, Settlement};
use crate::session::{NewSession, StoreError, Written};

/// The script's verdict, how long the session lives, and the names of others.
type CreateAnswer = (i8, u64, Vec<Vec<u8>>);

impl RedisStore {
    /// Writes session and answer at the same time: they may lie in different slots, so no script
    /// has them both. Should the session have to evict others, its answer may be there a round trip
    /// earlier: who asks just then looks again.
    pub(super) async fn create_with_answer(
        &self,
        new: &NewSession<'_>,
    ) -> Result<Created, StoreError> {
        // Evictions are further calls.
        let created = self.in_time(self.create_session(new));
        let Some(settlement) = &new.settlement else {
            return created.await;
        };
        match tokio::join!(created, self.write_answer(settlement)) {
            // Stale is fine: the session stands, and whoever took the reservation over answers for
            // themselves.
            (Ok(made @ Created::Made(_)), Ok(_)) => Ok(made),
            (Ok(limited @ Created::Limited(_)), _) => {
                self.withdraw_answer(settlement).await;
                Ok(limited)
            }
            (Ok(Created::Made(made)), Err(error)) => {
                self.undo(new, settlement).await;
                // Those have ended all the same.
                self.announce_revocation(&made.evicted).await;
                Err(error)
            }
            (Err(error), _) => {
                self.undo(new, settlement).await;
                Err(error)
            }
        }
    }

    /// Takes both back: what failed may have been done nevertheless, and only its answer have been
    /// lost.
    async fn undo(&self, new: &NewSession<'_>, settlement: &Settlement) {
        tokio::join!(self.take_back(new), self.withdraw_answer(settlement));
    }

    async fn write_answer(&self, settlement: &Settlement) -> Result<Written, StoreError> {
        self.settle_code(
            &settlement.login,
            &settlement.ticket,
            Some((&settlement.answer, settlement.keep)),
        )
        .await
    }

    /// Nobody was given the session's token; without this it would only count against the cap until
    /// it expires.
    async fn take_back(&self, new: &NewSession<'_>) {
        if let Err(error) = self
            .in_time(self.remove_session(&new.id, &new.session.user))
            .await
        {
            log::warn!(session = new.id.to_string().as_str(); "cannot remove the session of a failed login: {error}");
        }
    }

    /// A script's keys have to be named before it runs. So a call that finds the user at the cap only
    /// returns the user's sessions, and is repeated with their names.
    async fn create_session(&self, new: &NewSession<'_>) -> Result<Created, StoreError> {
        let tag = new.id.tag;
        let without_others = self.create_script(new);
        let mut answer: CreateAnswer = self.run(&without_others).await?;
        for _ in 1..ROUNDS {
            let (0, _, names) = &answer else { break };
            let mut script = without_others.clone();
            for id in session_ids(tag, names) {
                script.key(self.keys.session(&id)).arg(&id.hash);
            }
            // What it evicts is not to come back with a failover.
            answer = self
                .revocations
                .run(
                    &self.connector,
                    &script,
                    |(state, _, evicted): &CreateAnswer| *state == 1 && !evicted.is_empty(),
                )
                .await?;
        }
        let (state, lives, names) = answer;
        match state {
            1 => Ok(Created::Made(CreatedSession {
                expires_in: Duration::from_millis(lives),
                evicted: session_ids(tag, names),
            })),
            0 => Err(StoreError::new(
                "too many logins of one user at the same time",
            )),
            -2 => Ok(Created::Limited(Level {
                admitted: false,
                backlog: Duration::from_micros(lives),
            })),
            _ => Err(StoreError::new(
                "the session would expire before it starts: the store's clock has jumped",
            )),
        }
    }

    /// The script for a session that pushes out no other.
    fn create_script(&self, new: &NewSession<'_>) -> Invocation<'_> {
        let key = self.keys.session(&new.id);
        let user_key = self.keys.user(new.id.tag, &new.session.user);
        let session_key = new.session_key.map(|session_key| {
            self.sealer
                .seal_generation(&user_key, &new.session.user, session_key)
        });
        // Without a limit the script needs a key all the same, of the same slot.
        let no_cell = CellName {
            tag: Some(new.id.tag),
            name: [0; 16],
        };
        let (cell, interval, capacity) = new.limit.map_or((no_cell, 0, 0), |limit| {
            (limit.cell, limit.quota.interval(), limit.quota.capacity())
        });
        let mut script = self.scripts.create.key(&user_key);
        script
            .key(&key)
            .key(self.keys.cell(&cell))
            .arg(&new.id.hash)
            .arg(self.sealer.seal_session(&key, new.session))
            .arg(new.session.created.0)
            .arg(new.session.absolute_deadline.0)
            .arg(millis(new.idle))
            .arg(new.max_per_user)
            .arg(session_key.unwrap_or_default())
            .arg(interval)
            .arg(capacity);
        script
    }
}
