//! The store and what it does with one session.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use super::cells::Cells;
use super::held::{Entry, Held, StoredEntry, Value};
use super::index::Member;
use crate::clock::{Clock, UnixMillis};
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::metrics::Metrics;
use crate::session::store::{Created, CreatedSession, Settlement};
use crate::session::token::tag_of;
use crate::session::{
    LoadedSession, Lookup, NewSession, Rotated, Rotation, SessionCount, SessionId, SessionKey,
    SessionStore, StoreError, UserKey, Written,
};
use crate::store::forward::{Forward, Trail};
use crate::store::generation;
use crate::store::keys::Keys;
use crate::store::meter::Meter;
use crate::store::sealed::{Sealer, Stored};
use crate::store::settings::KeyPrefix;

/// Sessions in this process, shared by all its workers.
pub struct MemorySessionStore {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keys: Keys,
    pub(super) sealer: Sealer,
    pub(super) naming: Arc<NamingKey>,
    pub(super) meter: Meter,
    held: Mutex<Held>,
    pub(super) cells: Mutex<Cells>,
}

impl std::fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemorySessionStore")
    }
}

impl MemorySessionStore {
    /// An empty store that goes by `clock`.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        prefix: KeyPrefix,
        keys: Arc<Keyring>,
        naming: Arc<NamingKey>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (held, cells) = (Mutex::default(), Mutex::default());
        Self {
            clock,
            keys: Keys::new(prefix, naming.clone()),
            sealer: Sealer::new(keys, naming.clone()),
            naming,
            meter: Meter::new(metrics),
            held,
            cells,
        }
    }

    /// All that is stored, ordered by key: what somebody would see who looks into Redis.
    #[must_use]
    pub fn dump(&self) -> Vec<StoredEntry> {
        let (held, now) = self.at_now();
        let mut entries: Vec<_> = held
            .entries
            .iter()
            .map(|(key, entry)| entry.shown(key, now))
            .collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// The user's session_key generations, newest first; those that do not open are left out, with
    /// a warning.
    pub async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError> {
        self.meter
            .watch("session_keys", async { Ok(self.kept_session_keys(user)) })
            .await
    }

    fn kept_session_keys(&self, user: &UserKey) -> Vec<SessionKey> {
        let (held, _) = self.at_now();
        let key = self.keys.user(tag_of(&self.naming, user), user);
        let stored = held
            .index(&key)
            .map(|index| index.generations.clone())
            .unwrap_or_default();
        self.sealer.open_generations(&key, &stored)
    }

    /// The content, without what has expired by now.
    pub(super) fn at_now(&self) -> (MutexGuard<'_, Held>, UnixMillis) {
        let mut held = self.held.lock();
        let now = self.clock.unix_now();
        held.sweep(now);
        (held, now)
    }

    fn create_now(&self, new: NewSession<'_>) -> Result<Created, StoreError> {
        let (mut held, now) = self.at_now();
        let expiry = now.plus(new.idle).min(new.session.absolute_deadline);
        if expiry <= now {
            return Err(StoreError::new(
                "the session would expire before it starts: the store's clock has jumped",
            ));
        }
        if let Some(limit) = &new.limit {
            let level = self.cells.lock().take(limit, now);
            if !level.admitted {
                return Ok(Created::Limited(level));
            }
        }
        let user_key = self.keys.user(new.id.tag, &new.session.user);
        let mut index = held.index(&user_key).cloned().unwrap_or_default();
        index.drop_dead(now);
        index.sessions.remove(&new.id.hash);
        let evicted = index.evict_for_one_more(new.max_per_user);
        for hash in &evicted {
            held.remove(&self.keys.session_of(new.id.tag, hash));
        }
        index.sessions.insert(
            new.id.hash,
            Member {
                expiry,
                created: new.session.created,
            },
        );
        if let Some(session_key) = new.session_key {
            generation::keep(
                &mut index.generations,
                self.sealer
                    .seal_generation(&user_key, &new.session.user, session_key),
            );
        }
        held.put_index(&user_key, index);
        let key = self.keys.session(&new.id);
        held.put(
            key.clone(),
            expiry,
            Value::Bytes(self.sealer.seal_session(&key, new.session)),
        );
        if let Some(Settlement {
            login,
            ticket,
            answer,
            keep,
        }) = new.settlement
        {
            // Stale is fine: the session stands, and whoever took the reservation over answers for
            // themselves.
            let _ = held.settle(
                &self.keys.login(&login),
                &ticket,
                Some((&answer, keep)),
                now,
            );
        }
        let evicted = evicted
            .into_iter()
            .map(|hash| SessionId {
                tag: new.id.tag,
                hash,
            })
            .collect();
        Ok(Created::Made(CreatedSession {
            expires_in: expiry.since(now),
            evicted,
        }))
    }

    fn load_now(&self, id: &SessionId) -> Lookup {
        let (held, now) = self.at_now();
        self.look_up(&held, id, now)
    }

    /// The session behind a name, where it went if its token was rotated away.
    pub(super) fn look_up(&self, held: &Held, id: &SessionId, now: UnixMillis) -> Lookup {
        let mut trail = Trail::new(*id);
        loop {
            let key = self.keys.session(&trail.id);
            let Some(Entry {
                expiry,
                value: Value::Bytes(stored),
            }) = held.entries.get(&key)
            else {
                return Lookup::Gone;
            };
            match self.sealer.open_stored(&key, stored) {
                Ok(Stored::Session(session)) => {
                    return trail.arrive(session, expiry.since(now), now);
                }
                Ok(Stored::Forward(forward)) if trail.follow(&forward) => {}
                Ok(Stored::Forward(_)) => return Lookup::Gone,
                Err(why) => return Lookup::Unreadable(why.0),
            }
        }
    }

    fn renew_now(
        &self,
        id: &SessionId,
        user: &UserKey,
        idle: Duration,
        absolute_deadline: UnixMillis,
    ) -> Written {
        let (mut held, now) = self.at_now();
        let expiry = now.plus(idle).min(absolute_deadline);
        let key = self.keys.session(id);
        match held.bytes(&key) {
            Some(stored) if Forward::is(stored) => return Written::Stale,
            Some(_) if expiry > now => {}
            _ => {
                self.forget(&mut held, id, user, now);
                return Written::Gone;
            }
        }
        held.expire_at(&key, expiry);
        let user_key = self.keys.user(id.tag, user);
        let mut index = held.index(&user_key).cloned().unwrap_or_default();
        index
            .sessions
            .entry(id.hash)
            .or_insert(Member {
                expiry,
                created: now,
            })
            .expiry = expiry;
        index.drop_dead(now);
        held.put_index(&user_key, index);
        Written::Done
    }

    pub(super) fn forget(
        &self,
        held: &mut Held,
        id: &SessionId,
        user: &UserKey,
        now: UnixMillis,
    ) -> bool {
        let user_key = self.keys.user(id.tag, user);
        if let Some(mut index) = held.index(&user_key).cloned() {
            index.sessions.remove(&id.hash);
            index.drop_dead(now);
            held.put_index(&user_key, index);
        }
        held.remove(&self.keys.session(id))
    }
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn now(&self) -> Result<UnixMillis, StoreError> {
        self.meter
            .watch("now", async { Ok(self.clock.unix_now()) })
            .await
    }

    async fn create(&self, new: NewSession<'_>) -> Result<Created, StoreError> {
        self.meter
            .watch("create", async { self.create_now(new) })
            .await
    }

    async fn load(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.meter
            .watch("load", async { Ok(self.load_now(id)) })
            .await
    }

    async fn renew(
        &self,
        id: &SessionId,
        user: &UserKey,
        idle: Duration,
        absolute_deadline: UnixMillis,
    ) -> Result<Written, StoreError> {
        self.meter
            .watch("renew", async {
                Ok(self.renew_now(id, user, idle, absolute_deadline))
            })
            .await
    }

    async fn remove(&self, id: &SessionId, user: &UserKey) -> Result<Written, StoreError> {
        self.meter
            .watch("remove", async { self.remove_now(id, user) })
            .await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Rotated, StoreError> {
        self.meter
            .watch("rotate", async { Ok(self.rotate_now(&rotation)) })
            .await
    }

    async fn list(&self, user: &UserKey) -> Result<Vec<LoadedSession>, StoreError> {
        self.meter
            .watch("list", async { Ok(self.list_now(user)) })
            .await
    }

    async fn remove_all(&self, user: &UserKey) -> Result<u64, StoreError> {
        self.meter
            .watch("remove_all", async { Ok(self.remove_all_now(user)) })
            .await
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        self.meter
            .watch("count", async { Ok(self.count_now()) })
            .await
    }
}
