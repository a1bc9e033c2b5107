//! Making a session.

use std::time::Duration;

use super::affected::{AffectedSessions, session_ids};
use super::sessions::RedisStore;
use crate::clock::{UnixMillis, millis};
use crate::limit::{CellName, Level};
use crate::redis_client::Invocation;
use crate::session::store::{Created, CreatedSession, Settlement};
use crate::session::token::Tag;
use crate::session::{NewSession, PatchLife, Session, StoreError, Written};
use crate::store::claims_change::{keeps_state, obeying};

/// The script's verdict, how long the session lives, and the names of others.
type CreateAnswer = (i8, u64, Vec<Vec<u8>>);

impl RedisStore {
    /// Writes session and answer at the same time: they may lie in different slots, so no script
    /// has them both. Should the session have to evict others, its answer may be there a round trip
    /// earlier: who asks just then looks again.
    pub(super) async fn create_with_answer(
        &self,
        new: &NewSession<'_>,
        affected: &AffectedSessions,
    ) -> Result<Created, StoreError> {
        // Evictions are further calls.
        let created = self.in_time(self.create_session(new, affected));
        let Some(settlement) = &new.settlement else {
            return created.await;
        };
        match tokio::join!(created, self.write_answer(settlement)) {
            // Stale is fine: the session stands, and whoever took the reservation over answers for
            // themselves.
            (Ok(made @ Created::Made(_)), Ok(_)) => Ok(made),
            (Ok(Created::Made(_)), Err(error)) | (Err(error), _) => {
                self.undo(new, settlement).await;
                Err(error)
            }
            (Ok(refused), _) => {
                self.reopen_code(settlement).await;
                Ok(refused)
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
        let unheard = AffectedSessions::default();
        let remove = self.remove_session(&new.id, &new.session.user, &unheard);
        if let Err(error) = self.in_time(remove).await {
            log::warn!(session = new.id.to_string().as_str(); "cannot remove the session of a failed login: {error}");
        }
    }

    /// A call that finds the user at the cap only returns the user's sessions, and is repeated with
    /// their names.
    async fn create_session(
        &self,
        new: &NewSession<'_>,
        affected: &AffectedSessions,
    ) -> Result<Created, StoreError> {
        let tag = new.id.tag;
        let mut without_others = self.create_script(new, new.session, &[], 0);
        loop {
            let mut script = without_others.clone();
            affected.add_to(&mut script, &self.keys);
            let (verdict, number, found) = self.try_to_create(tag, &script, affected).await?;
            match verdict {
                1 => {
                    return Ok(Created::Made(CreatedSession {
                        expires_in: Duration::from_millis(number),
                        evicted: session_ids(tag, found),
                    }));
                }
                0 => affected.again(tag, found)?,
                -2 => {
                    affected.none();
                    return Ok(Created::Limited(Level {
                        admitted: false,
                        backlog: Duration::from_micros(number),
                    }));
                }
                -3 => {
                    let stored = found.into_iter().next().unwrap_or_default();
                    let state = self.opened_state(&new.session.user, &stored);
                    let state = state.map(|state| state.at(UnixMillis(number)));
                    let (session, state) = match obeying(new, state) {
                        Ok(obeying) => obeying,
                        Err(refused) => {
                            affected.none();
                            return Ok(refused);
                        }
                    };
                    // For how long the state lives after this login; 0: as long as before.
                    let kept = keeps_state(new, &state).then(|| millis(PatchLife::LASTS));
                    without_others =
                        self.create_script(new, &session, &stored, kept.unwrap_or_default());
                    affected.next_round()?;
                }
                _ => {
                    return Err(StoreError::new(
                        "the session would expire before it starts: the store's clock has jumped",
                    ));
                }
            }
        }
    }

    async fn try_to_create(
        &self,
        tag: Tag,
        script: &Invocation<'_>,
        affected: &AffectedSessions,
    ) -> Result<CreateAnswer, StoreError> {
        if affected.is_empty() {
            return self.run(script).await;
        }
        // What it evicts is not to come back with a failover.
        self.run_removal(script, affected, |(verdict, _, names): &CreateAnswer| {
            let evicts = *verdict == 1 && !names.is_empty();
            // A repeated call, whose first answer was lost, has nothing left to evict. What it
            // named may have been evicted all the same.
            if evicts {
                affected.set(session_ids(tag, names));
            }
            evicts
        })
        .await
    }

    /// The script for a session that pushes out no other, of a user whose stored state is this one
    /// and then lives for so many milliseconds.
    fn create_script(
        &self,
        new: &NewSession<'_>,
        session: &Session,
        stored: &[u8],
        kept: u64,
    ) -> Invocation<'_> {
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
            .key(self.keys.state(new.id.tag, &new.session.user))
            .arg(&new.id.hash)
            .arg(self.sealer.seal_session(&key, session))
            .arg(new.session.created.0)
            .arg(new.session.absolute_deadline.0)
            .arg(millis(new.idle))
            .arg(new.max_per_user)
            .arg(session_key.unwrap_or_default())
            .arg(interval)
            .arg(capacity)
            .arg(stored)
            .arg(kept);
        script
    }
}
