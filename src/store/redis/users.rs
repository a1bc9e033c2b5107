//! What operators decide about users.

use async_trait::async_trait;

use super::affected::{AffectedSessions, ROUNDS};
use super::lookup::ReadAnswer;
use super::sessions::RedisStore;
use crate::clock::{UnixMillis, monotonic_now};
use crate::redis_client::Request;
use crate::session::{
    Block, Blocked, ClaimsChange, ClaimsPatch, PatchLife, StoreError, UnreadableState, UserKey,
    UserState, Users,
};

/// A user's state as it was read.
pub(super) struct ReadState {
    /// What is stored; empty: nothing.
    pub(super) stored: Vec<u8>,
    pub(super) now: UnixMillis,
}

/// Whether it is done, how many ended, the names of others, another state.
type BlockAnswer = (bool, u64, Vec<Vec<u8>>, Vec<u8>);

impl RedisStore {
    pub(super) async fn read_user_state(
        &self,
        user: &UserKey,
    ) -> Result<Result<UserState, UnreadableState>, StoreError> {
        let read = self.read_state(user).await?;
        let opened = self.opened_state(user, &read.stored);
        Ok(opened.map(|state| state.at(read.now)))
    }

    /// What these bytes under the user's state key say.
    pub(super) fn opened_state(
        &self,
        user: &UserKey,
        stored: &[u8],
    ) -> Result<UserState, UnreadableState> {
        let opened = self.sealer.open_state(user, stored);
        opened.map_err(|why| why.of_state(&self.keys, user))
    }

    pub(super) async fn read_state(&self, user: &UserKey) -> Result<ReadState, StoreError> {
        let key = self.keys.state(self.keys.tag(user), user);
        let read = Request::Read {
            key: &key,
            reading: None,
        };
        let ReadAnswer { stored, time, .. } = self.connector.call(&read).await?;
        Ok(ReadState {
            stored: stored.unwrap_or_default(),
            now: time.ok_or_else(|| StoreError::new("redis did not return its time"))?,
        })
    }

    async fn block_user(
        &self,
        user: &UserKey,
        until: Option<UnixMillis>,
        reason: &str,
        affected: &AffectedSessions,
    ) -> Result<Blocked, StoreError> {
        let tag = self.keys.tag(user);
        let ReadState { mut stored, now } = self.read_state(user).await?;
        let Some(block) = Block::new(now, until, reason) else {
            return Ok(Blocked::Over);
        };
        loop {
            // A block is to work whatever stood there before.
            let before = self.sealer.open_state(user, &stored).unwrap_or_default();
            let before = before.at(now);
            let state = UserState {
                blocked: Some(block.clone()),
                ..before
            };
            let mut script = self.scripts.block.key(self.keys.user(tag, user));
            script
                .key(self.keys.state(tag, user))
                .arg(&stored)
                .arg(self.sealer.seal_state(user, &state))
                .arg(state.expiry(now).0);
            affected.add_to(&mut script, &self.keys);
            let (done, ended, others, held) = self
                .run_removal(&script, affected, |(done, ..): &BlockAnswer| *done)
                .await?;
            if done {
                return Ok(Blocked::Done { block, ended });
            }
            affected.again(tag, others)?;
            stored = held;
        }
    }

    async fn unblock_user(&self, user: &UserKey) -> Result<Option<Block>, StoreError> {
        let tag = self.keys.tag(user);
        let ReadState { mut stored, now } = self.read_state(user).await?;
        for _ in 0..ROUNDS {
            // One that cannot be read is dropped, so that the user can sign in.
            let opened = self.sealer.open_state(user, &stored);
            let is_readable = opened.is_ok();
            let mut state = opened.unwrap_or_default().at(now);
            let block = state.blocked.take();
            if block.is_none() && is_readable {
                return Ok(None);
            }
            let mut script = self.scripts.unblock.key(self.keys.state(tag, user));
            script
                .arg(&stored)
                .arg(self.sealer.seal_state(user, &state))
                .arg(state.expiry(now).0);
            let (done, held) = self
                .revocations
                .run(&self.connector, &script, |(done, _): &(bool, Vec<u8>)| {
                    *done
                })
                .await?;
            if done {
                return Ok(block);
            }
            stored = held;
        }
        Err(StoreError::new(
            "too many changes of one user at the same time",
        ))
    }
}

#[async_trait]
impl Users for RedisStore {
    async fn block(
        &self,
        user: &UserKey,
        until: Option<UnixMillis>,
        reason: &str,
    ) -> Result<Blocked, StoreError> {
        let affected = AffectedSessions::default();
        let block = self.in_time(self.block_user(user, until, reason, &affected));
        self.announcing(&affected, self.meter.watch("block", block))
            .await
    }

    async fn change_claims(
        &self,
        user: &UserKey,
        patch: &ClaimsPatch,
        life: PatchLife,
    ) -> Result<ClaimsChange, StoreError> {
        let began = monotonic_now();
        let affected = AffectedSessions::default();
        // Whoever has the turn may be waiting for a Redis that says nothing.
        let write = self.in_time(async {
            let _turn = self.turns.of(user).await;
            self.change_claims_of(user, patch, life, began, &affected)
                .await
        });
        // Replicas may take long, and nobody's turn waits for them.
        let change = async {
            let (change, written) = write.await?;
            if let Some(written) = written {
                // To near caches a change is as the end of the sessions: they read them again.
                self.announce_and_wait(&affected, written).await;
            }
            Ok(change)
        };
        self.announcing(&affected, self.meter.watch("change_claims", change))
            .await
    }

    async fn unblock(&self, user: &UserKey) -> Result<Option<Block>, StoreError> {
        let unblock = self.in_time(self.unblock_user(user));
        self.meter.watch("unblock", unblock).await
    }
}
