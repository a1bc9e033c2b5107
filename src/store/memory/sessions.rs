//! What the store does with sessions. Each operation does what the script of its name does in Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::entries::{Entries, StoredValue};
use super::index::Member;
use super::store::MemoryStore;
use crate::clock::UnixMillis;
use crate::session::store::{Created, CreatedSession};
use crate::session::{
    LoadedSession, Lookup, NewSession, Rotated, Rotation, SessionCount, SessionId, SessionStore,
    StoreError, UnreadableState, UserKey, UserState, Written,
};
use crate::store::claims_change::{keeps_state, obeying};
use crate::store::sealed::{Stored, stamp_of};
use crate::store::successor::{Successor, too_often};

impl MemoryStore {
    /// Gives a session its place in the user's index, with the session_key that it has brought.
    /// Returns the names of those that it evicts.
    fn add_to_index(
        &self,
        entries: &mut Entries,
        new: &NewSession<'_>,
        expiry: UnixMillis,
        now: UnixMillis,
    ) -> Vec<[u8; 16]> {
        let user = &new.session.user;
        let user_key = self.keys.user(new.id.tag, user);
        let member = Member {
            expiry,
            created: new.session.created,
        };
        entries.update_index(&user_key, now, |index| {
            index.sessions.remove(&new.id.hash);
            let evicted = index.evict_for_one_more(new.max_per_user);
            index.sessions.insert(new.id.hash, member);
            if let Some(session_key) = new.session_key {
                let fresh = self.sealer.seal_generation(&user_key, user, session_key);
                index.generations.keep(fresh);
            }
            evicted
        })
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn now(&self) -> Result<UnixMillis, StoreError> {
        self.run("now", |_, now| Ok(now))
    }

    async fn create(&self, new: NewSession<'_>) -> Result<Created, StoreError> {
        self.run("create", |entries, now| {
            let tag = new.id.tag;
            let expiry = now.plus(new.idle).min(new.session.absolute_deadline);
            if expiry <= now {
                return Err(StoreError::new(
                    "the session would expire before it starts: the store's clock has jumped",
                ));
            }
            let state = self.state_of(entries, &new.session.user, now);
            let (session, state) = match obeying(&new, state) {
                Ok(obeying) => obeying,
                Err(refused) => return Ok(refused),
            };
            if let Some(limit) = &new.limit {
                let level = self.take_one(limit, now);
                if !level.admitted {
                    return Ok(Created::Limited(level));
                }
            }
            let evicted = self.add_to_index(entries, &new, expiry, now);
            for hash in &evicted {
                entries.remove(&self.keys.session_of(tag, hash));
            }
            let key = self.keys.session(&new.id);
            let record = self.sealer.seal_session(&key, &session);
            entries.put(key, expiry, StoredValue::Bytes(record));
            if keeps_state(&new, &state) {
                let key = self.keys.state(tag, &session.user);
                entries.expire_at(&key, state.expiry(now));
            }
            if let Some(settlement) = &new.settlement {
                let code = self.keys.login(&settlement.login);
                let answer = Some((&*settlement.answer, settlement.keep));
                // Stale is fine: the session stands, and whoever took the reservation over answers
                // for themselves.
                let _ = entries.settle(&code, &settlement.ticket, answer, now);
            }
            let evicted = evicted.into_iter().map(|hash| SessionId { tag, hash });
            Ok(Created::Made(CreatedSession {
                expires_in: expiry.since(now),
                evicted: evicted.collect(),
            }))
        })
    }

    async fn load(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.run("load", |entries, now| Ok(self.look_up(entries, id, now)))
    }

    async fn renew(
        &self,
        id: &SessionId,
        user: &UserKey,
        idle: Duration,
        absolute_deadline: UnixMillis,
    ) -> Result<Written, StoreError> {
        self.run("renew", |entries, now| {
            let expiry = now.plus(idle).min(absolute_deadline);
            let key = self.keys.session(id);
            match entries.bytes(&key) {
                Some(stored) if Successor::is(stored) => return Ok(Written::Stale),
                Some(_) if expiry > now => {}
                _ => {
                    self.forget(entries, id, user, now);
                    return Ok(Written::Gone);
                }
            }
            entries.expire_at(&key, expiry);
            let lost = Member {
                expiry,
                created: now,
            };
            entries.update_index(&self.keys.user(id.tag, user), now, |index| {
                index.sessions.entry(id.hash).or_insert(lost).expiry = expiry;
            });
            Ok(Written::Done)
        })
    }

    async fn remove(&self, id: &SessionId, user: &UserKey) -> Result<Written, StoreError> {
        self.run("remove", |entries, now| {
            let names = self.names(entries, id).ok_or_else(too_often)?;
            let mut ended = false;
            for name in names {
                ended = self.forget(entries, &name, user, now);
            }
            Ok(if ended { Written::Done } else { Written::Gone })
        })
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Rotated, StoreError> {
        self.run("rotate", |entries, now| {
            let Rotation {
                from, to, session, ..
            } = rotation;
            let old = self.keys.session(&from);
            let new = self.keys.session(&to);
            let expiry = now.plus(rotation.idle).min(session.absolute_deadline);
            match entries.bytes(&old) {
                Some(stored) if Successor::is(stored) => {
                    return Ok(match self.sealer.open_stored(&old, stored) {
                        Ok(Stored::Successor(Successor { answer, .. })) => {
                            Rotated::Before { answer }
                        }
                        _ => Rotated::Gone,
                    });
                }
                Some(stored) if expiry > now => {
                    if stamp_of(stored) != rotation.read {
                        return Ok(Rotated::Changed);
                    }
                }
                _ => return Ok(Rotated::Gone),
            }
            let record = self.sealer.seal_session(&new, session);
            entries.put(new, expiry, StoredValue::Bytes(record));
            let until = rotation.until.min(expiry);
            if until > now {
                let successor = Successor {
                    to: to.hash,
                    until,
                    answer: rotation.answer.to_vec(),
                };
                let sealed = self.sealer.seal_successor(&old, &successor);
                entries.put(old, until, StoredValue::Bytes(sealed));
            } else {
                entries.remove(&old);
            }
            let member = Member {
                expiry,
                created: session.created,
            };
            entries.update_index(&self.keys.user(from.tag, &session.user), now, |index| {
                index.sessions.remove(&from.hash);
                index.sessions.insert(to.hash, member);
            });
            Ok(Rotated::Done {
                expires_in: expiry.since(now),
            })
        })
    }

    async fn list(&self, user: &UserKey) -> Result<Vec<LoadedSession>, StoreError> {
        self.run("list", |entries, now| {
            let tag = self.keys.tag(user);
            let index = entries.index(&self.keys.user(tag, user));
            let found = index.sessions.into_keys().filter_map(|hash| {
                match self.look_up(entries, &SessionId { tag, hash }, now) {
                    Lookup::Found(loaded) => Some(loaded),
                    Lookup::Gone | Lookup::Unreadable(_) => None,
                }
            });
            Ok(found.collect())
        })
    }

    async fn remove_all(&self, user: &UserKey) -> Result<u64, StoreError> {
        self.run("remove_all", |entries, _| Ok(self.end_all(entries, user)))
    }

    async fn user_state(
        &self,
        user: &UserKey,
    ) -> Result<Result<UserState, UnreadableState>, StoreError> {
        self.run("user_state", |entries, now| {
            Ok(self.state_of(entries, user, now))
        })
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        self.run("count", |entries, _| {
            let is_session = |value: &StoredValue| matches!(value, StoredValue::Bytes(stored) if !Successor::is(stored));
            let sessions = entries
                .by_key
                .iter()
                .filter(|(key, entry)| {
                    self.keys.session_in(key).is_some() && is_session(&entry.value)
                })
                .count() as u64;
            Ok(SessionCount {
                at_least: sessions,
                at_most: sessions,
            })
        })
    }
}
