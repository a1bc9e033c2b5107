//! Changing the claims of all sessions of a user.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::affected::{AffectedSessions, ROUNDS};
use super::devices::AT_ONCE;
use super::lookup::ReadAnswer;
use super::sessions::RedisStore;
use crate::backoff;
use crate::clock::{UnixMillis, monotonic_now};
use crate::redis_client::{Invocation, Request, WritePlace};
use crate::session::{
    ClaimsChange, ClaimsPatch, PatchLife, SessionId, StoreError, UserKey, UserState,
};
use crate::store::claims_change::{ChangedRecords, patched};

/// How long the script may take to arrive, in the first round. A login that begins within this time
/// takes the change for newer than what it brings itself.
const SLACK: Duration = Duration::from_millis(50);

/// What the script answers: it has written; it came too late.
const DONE: u8 = 1;
const LATE: u8 = 2;

/// How long a round waits after one in which others were first, from the first of them on, at most.
const BETWEEN_ROUNDS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

impl RedisStore {
    /// Reads the user's state and sessions, and writes them changed if nothing has happened to any of
    /// them meanwhile; otherwise once more, as long as there is time since `first`. Where it was written
    /// comes with it: the caller waits for replicas.
    pub(super) async fn change_claims_of(
        &self,
        user: &UserKey,
        patch: &ClaimsPatch,
        life: PatchLife,
        first: Instant,
        affected: &AffectedSessions,
    ) -> Result<(ClaimsChange, Option<WritePlace>), StoreError> {
        let mut slack = SLACK;
        let mut was_late = false;
        for round in 1..=ROUNDS {
            let began = monotonic_now();
            let (read, ids) = tokio::try_join!(self.read_state(user), self.index_of(user))?;
            let before = match self.opened_state(user, &read.stored) {
                Ok(state) => state.at(read.now),
                Err(unreadable) => return Ok((ClaimsChange::UnreadableState(unreadable), None)),
            };
            let mut records = ChangedRecords::new(patch);
            for some in ids.chunks(AT_ONCE) {
                for (id, stored) in some.iter().zip(self.read_stored(some).await?) {
                    let key = self.keys.session(id);
                    let stored = stored.unwrap_or_default();
                    if let Some(failed) = records.add(&self.sealer, &key, *id, user, &stored) {
                        return Ok((failed, None));
                    }
                }
            }
            // The script refuses what comes later, and the next round has more time.
            let at = read.now.plus(began.elapsed() + slack);
            slack = (slack * 2)
                .max(began.elapsed())
                .min(self.connector.operation_timeout());
            let state = match patched(before, patch, at, life) {
                Ok(state) => state,
                Err(error) => return Ok((ClaimsChange::Unfit(error), None)),
            };
            let script = self.update_script(user, &read.stored, &state, at, &records);
            affected.set(ids);
            let (answer, written): (u8, _) =
                self.revocations.start(&self.connector, &script).await?;
            if answer == DONE {
                return Ok((records.done(&state), Some(written)));
            }
            affected.none();
            was_late = answer == LATE;
            // Who gives up between two rounds can say that nothing was changed.
            let time_of_one = began.elapsed();
            if first.elapsed() + time_of_one > self.connector.operation_timeout() {
                break;
            }
            tokio::time::sleep(backoff::jittered(BETWEEN_ROUNDS.0, BETWEEN_ROUNDS.1, round)).await;
        }
        if was_late {
            // An answer: it is known that nothing was written.
            return Err(StoreError {
                reason: "it answers too slowly for a change of claims; nothing was changed"
                    .to_owned(),
                answered: true,
            });
        }
        Ok((ClaimsChange::Busy, None))
    }

    fn update_script(
        &self,
        user: &UserKey,
        stored: &[u8],
        state: &UserState,
        at: UnixMillis,
        records: &ChangedRecords<'_>,
    ) -> Invocation<'_> {
        let tag = self.keys.tag(user);
        let mut script = self.scripts.update_all.key(self.keys.user(tag, user));
        script
            .key(self.keys.state(tag, user))
            .arg(stored)
            .arg(self.sealer.seal_state(user, state))
            .arg(state.expiry(at).0)
            .arg(at.0);
        for record in &records.records {
            script
                .key(&record.key)
                .arg(&record.id.hash)
                .arg(&record.stamp)
                .arg(&record.changed);
        }
        script
    }

    async fn read_stored(&self, ids: &[SessionId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let reads = ids.iter().map(|id| async move {
            let key = self.keys.session(id);
            let read = Request::Read {
                key: &key,
                reading: None,
            };
            let answer: ReadAnswer = self.connector.call(&read).await?;
            Ok::<_, StoreError>(answer.stored)
        });
        try_join_all(reads).await
    }
}
