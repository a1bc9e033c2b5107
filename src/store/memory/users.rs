//! What operators decide about users.

use async_trait::async_trait;

use super::entries::{Entries, StoredValue};
use super::store::MemoryStore;
use crate::clock::UnixMillis;
use crate::session::{
    Block, Blocked, ClaimsChange, ClaimsPatch, PatchLife, SessionId, StoreError, UnreadableState,
    UserKey, UserState, Users,
};
use crate::store::claims_change::{ChangedRecords, patched};

impl MemoryStore {
    /// What is kept of the user and still in force.
    pub(super) fn state_of(
        &self,
        entries: &Entries,
        user: &UserKey,
        now: UnixMillis,
    ) -> Result<UserState, UnreadableState> {
        let key = self.keys.state(self.keys.tag(user), user);
        let opened = self
            .sealer
            .open_state(user, entries.bytes(&key).unwrap_or_default());
        match opened {
            Ok(state) => Ok(state.at(now)),
            Err(why) => Err(why.of_state(&self.keys, user)),
        }
    }

    fn keep_state(
        &self,
        entries: &mut Entries,
        user: &UserKey,
        state: &UserState,
        now: UnixMillis,
    ) {
        let key = self.keys.state(self.keys.tag(user), user);
        let sealed = self.sealer.seal_state(user, state);
        if sealed.is_empty() {
            entries.remove(&key);
        } else {
            entries.put(key, state.expiry(now), StoredValue::Bytes(sealed));
        }
    }
}

#[async_trait]
impl Users for MemoryStore {
    async fn block(
        &self,
        user: &UserKey,
        until: Option<UnixMillis>,
        reason: &str,
    ) -> Result<Blocked, StoreError> {
        self.run("block", |entries, now| {
            let Some(block) = Block::new(now, until, reason) else {
                return Ok(Blocked::Over);
            };
            // A block is to work whatever stood there before.
            let before = self.state_of(entries, user, now).unwrap_or_default();
            let ended = self.end_all(entries, user);
            let state = UserState {
                blocked: Some(block.clone()),
                ..before
            };
            self.keep_state(entries, user, &state, now);
            Ok(Blocked::Done { block, ended })
        })
    }

    async fn change_claims(
        &self,
        user: &UserKey,
        patch: &ClaimsPatch,
        life: PatchLife,
    ) -> Result<ClaimsChange, StoreError> {
        self.run("change_claims", |entries, now| {
            let before = match self.state_of(entries, user, now) {
                Ok(state) => state,
                Err(unreadable) => return Ok(ClaimsChange::UnreadableState(unreadable)),
            };
            let state = match patched(before, patch, now, life) {
                Ok(state) => state,
                Err(error) => return Ok(ClaimsChange::Unfit(error)),
            };
            let tag = self.keys.tag(user);
            let mut records = ChangedRecords::new(patch);
            for hash in entries.index(&self.keys.user(tag, user)).sessions.keys() {
                let key = self.keys.session_of(tag, hash);
                let stored = entries.bytes(&key).unwrap_or_default();
                let id = SessionId { tag, hash: *hash };
                if let Some(failed) = records.add(&self.sealer, &key, id, user, stored) {
                    return Ok(failed);
                }
            }
            for record in records.records.iter_mut() {
                let changed = std::mem::take(&mut record.changed);
                if !changed.is_empty()
                    && let Some(expiry) = entries.expiry(&record.key)
                {
                    entries.put(record.key.clone(), expiry, StoredValue::Bytes(changed));
                }
            }
            self.keep_state(entries, user, &state, now);
            Ok(records.done(&state))
        })
    }

    async fn unblock(&self, user: &UserKey) -> Result<Option<Block>, StoreError> {
        self.run("unblock", |entries, now| {
            let mut state = self.state_of(entries, user, now).unwrap_or_default();
            let block = state.blocked.take();
            self.keep_state(entries, user, &state, now);
            Ok(block)
        })
    }
}
