//! The store inside the process: what Redis would hold, byte for byte, in a map. It forgets when the process ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, UnixMillis};
use crate::crypto::encoding::base64url;
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::crypto::random;
use crate::metrics::Metrics;
use crate::session::store::{CreatedSession, LoginKey, Settlement};
use crate::session::token::tag_of;
use crate::session::{LoadedSession, Lookup, NewSession, Reservation, SessionId, SessionKey, SessionStore, StoreError, UserKey, Written};
use crate::store::generation;
use crate::store::keys::Keys;
use crate::store::meter::Meter;
use crate::store::sealed::Sealer;
use crate::store::settings::KeyPrefix;

/// One key as the store holds it, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The key's name.
    pub key: String,
    /// The value, bytes that cannot be printed as `\x..`; a hash as `field → value`, a line each.
    pub content: String,
    /// When the key goes by itself.
    pub expires_in: Duration,
}

/// Sessions in this process, shared by all its workers.
pub struct MemorySessionStore {
    clock: Arc<dyn Clock>,
    keys: Keys,
    sealer: Sealer,
    naming: Arc<NamingKey>,
    meter: Meter,
    held: Mutex<Held>,
}

impl std::fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemorySessionStore")
    }
}

impl MemorySessionStore {
    /// An empty store that goes by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, prefix: KeyPrefix, keys: Arc<Keyring>, naming: Arc<NamingKey>, metrics: Arc<Metrics>) -> Self {
        let held = Mutex::new(Held::default());
        Self { clock, keys: Keys::new(prefix, naming.clone()), sealer: Sealer::new(keys, naming.clone()), naming, meter: Meter::new(metrics), held }
    }

    /// All that is stored, ordered by key: what somebody would see who looks into Redis.
    #[must_use]
    pub fn dump(&self) -> Vec<StoredEntry> {
        let (held, now) = self.at_now();
        let mut entries: Vec<_> = held.entries.iter().map(|(key, entry)| entry.shown(key, now)).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// The user's session_key generations, newest first; those that do not open are left out, with a warning.
    pub async fn session_keys(&self, user: &UserKey) -> Result<Vec<SessionKey>, StoreError> {
        self.meter.watch("session_keys", async { Ok(self.kept_session_keys(user)) }).await
    }

    fn kept_session_keys(&self, user: &UserKey) -> Vec<SessionKey> {
        let (mut held, _) = self.at_now();
        let key = self.keys.user(tag_of(&self.naming, user), user);
        let stored = held.index(&key).map(|index| index.generations.clone()).unwrap_or_default();
        self.sealer.open_generations(&key, &stored)
    }

    /// The content, without what has expired by now.
    fn at_now(&self) -> (MutexGuard<'_, Held>, UnixMillis) {
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = self.clock.unix_now();
        held.sweep(now);
        (held, now)
    }

    fn create_now(&self, new: NewSession<'_>) -> Result<CreatedSession, StoreError> {
        let (mut held, now) = self.at_now();
        let expiry = now.plus(new.idle).min(new.session.absolute_deadline);
        if expiry <= now {
            return Err(StoreError::new("the session would be over before it began: the store's clock has jumped"));
        }
        let user_key = self.keys.user(new.id.tag, &new.session.user);
        let mut index = held.index(&user_key).cloned().unwrap_or_default();
        index.drop_dead(now);
        index.sessions.remove(&new.id.hash);
        let evicted = index.evict_for_one_more(new.max_per_user);
        for hash in &evicted {
            held.remove(&self.keys.session_of(new.id.tag, hash));
        }
        index.sessions.insert(new.id.hash, Member { expiry, created: new.session.created });
        if let Some(session_key) = new.session_key {
            generation::keep(&mut index.generations, self.sealer.seal_generation(&user_key, &new.session.user, session_key));
        }
        held.put_index(&user_key, index);
        let key = self.keys.session(&new.id);
        held.put(key.clone(), expiry, Value::Bytes(self.sealer.seal_session(&key, new.session)));
        if let Some(Settlement { login, ticket, answer, keep }) = new.settlement {
            // Stale is fine: the session stands, and whoever took the reservation over answers for themselves.
            let _ = held.settle(&self.keys.login(&login), &ticket, Some((&answer, keep)), now);
        }
        let evicted = evicted.into_iter().map(|hash| SessionId { tag: new.id.tag, hash }).collect();
        Ok(CreatedSession { expires_in: expiry.since(now), evicted })
    }

    fn load_now(&self, id: &SessionId) -> Lookup {
        let (held, now) = self.at_now();
        let key = self.keys.session(id);
        let Some(Entry { expiry, value: Value::Bytes(stored) }) = held.entries.get(&key) else { return Lookup::Gone };
        match self.sealer.open_session(&key, stored) {
            Ok(session) => Lookup::Found(LoadedSession { session, expires_in: expiry.since(now), now }),
            Err(why) => Lookup::Unreadable(why.0),
        }
    }

    fn renew_now(&self, id: &SessionId, user: &UserKey, idle: Duration, absolute_deadline: UnixMillis) -> Written {
        let (mut held, now) = self.at_now();
        let expiry = now.plus(idle).min(absolute_deadline);
        let key = self.keys.session(id);
        let alive = held.entries.contains_key(&key) && expiry > now;
        if !alive {
            self.forget(&mut held, id, user, now);
            return Written::Gone;
        }
        held.expire_at(&key, expiry);
        let user_key = self.keys.user(id.tag, user);
        let mut index = held.index(&user_key).cloned().unwrap_or_default();
        index.sessions.entry(id.hash).or_insert(Member { expiry, created: now }).expiry = expiry;
        index.drop_dead(now);
        held.put_index(&user_key, index);
        Written::Done
    }

    fn remove_now(&self, id: &SessionId, user: &UserKey) -> Written {
        let (mut held, now) = self.at_now();
        if self.forget(&mut held, id, user, now) { Written::Done } else { Written::Gone }
    }

    fn forget(&self, held: &mut Held, id: &SessionId, user: &UserKey, now: UnixMillis) -> bool {
        let user_key = self.keys.user(id.tag, user);
        if let Some(mut index) = held.index(&user_key).cloned() {
            index.sessions.remove(&id.hash);
            index.drop_dead(now);
            held.put_index(&user_key, index);
        }
        held.remove(&self.keys.session(id))
    }

    fn reserve_now(&self, login: &LoginKey, lease: Duration) -> Reservation {
        let (mut held, now) = self.at_now();
        let key = self.keys.login(login);
        match held.entries.get(&key).map(|entry| &entry.value) {
            Some(Value::Pending(_)) => Reservation::Pending { now },
            Some(Value::Settled(answer)) => Reservation::Settled { now, answer: answer.clone() },
            _ => {
                let ticket = random::bytes();
                held.put(key, now.plus(lease), Value::Pending(ticket));
                Reservation::Leader { now, ticket }
            }
        }
    }
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn now(&self) -> Result<UnixMillis, StoreError> {
        self.meter.watch("now", async { Ok(self.clock.unix_now()) }).await
    }

    async fn reserve(&self, login: &LoginKey, lease: Duration) -> Result<Reservation, StoreError> {
        self.meter.watch("reserve", async { Ok(self.reserve_now(login, lease)) }).await
    }

    async fn settle(&self, login: &LoginKey, ticket: &[u8; 16], answer: Option<(&[u8], Duration)>) -> Result<Written, StoreError> {
        let settle = || {
            let (mut held, now) = self.at_now();
            held.settle(&self.keys.login(login), ticket, answer, now)
        };
        self.meter.watch("settle", async { Ok(settle()) }).await
    }

    async fn create(&self, new: NewSession<'_>) -> Result<CreatedSession, StoreError> {
        self.meter.watch("create", async { self.create_now(new) }).await
    }

    async fn load(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.meter.watch("load", async { Ok(self.load_now(id)) }).await
    }

    async fn renew(&self, id: &SessionId, user: &UserKey, idle: Duration, absolute_deadline: UnixMillis) -> Result<Written, StoreError> {
        self.meter.watch("renew", async { Ok(self.renew_now(id, user, idle, absolute_deadline)) }).await
    }

    async fn remove(&self, id: &SessionId, user: &UserKey) -> Result<Written, StoreError> {
        self.meter.watch("remove", async { Ok(self.remove_now(id, user)) }).await
    }
}

/// The keys and their expiries. What has expired is dropped at every access, so memory holds what lives.
#[derive(Default)]
struct Held {
    entries: HashMap<String, Entry>,
    /// The same keys by expiry, earliest first.
    expiries: BTreeSet<(UnixMillis, String)>,
}

struct Entry {
    expiry: UnixMillis,
    value: Value,
}

enum Value {
    Bytes(Vec<u8>),
    Index(Index),
    Pending([u8; 16]),
    Settled(Vec<u8>),
}

/// The user's hash.
#[derive(Clone, Default)]
struct Index {
    sessions: BTreeMap<[u8; 16], Member>,
    generations: Vec<Vec<u8>>,
}

#[derive(Clone, Copy)]
struct Member {
    expiry: UnixMillis,
    created: UnixMillis,
}

impl Held {
    fn sweep(&mut self, now: UnixMillis) {
        while let Some((_, key)) = self.expiries.first().filter(|(expiry, _)| *expiry <= now).cloned() {
            self.remove(&key);
        }
    }

    fn put(&mut self, key: String, expiry: UnixMillis, value: Value) {
        self.remove(&key);
        self.expiries.insert((expiry, key.clone()));
        self.entries.insert(key, Entry { expiry, value });
    }

    fn remove(&mut self, key: &str) -> bool {
        let removed = self.entries.remove(key);
        if let Some(entry) = &removed {
            self.expiries.remove(&(entry.expiry, key.to_owned()));
        }
        removed.is_some()
    }

    fn expire_at(&mut self, key: &str, expiry: UnixMillis) {
        if let Some(entry) = self.entries.get_mut(key) {
            self.expiries.remove(&(entry.expiry, key.to_owned()));
            self.expiries.insert((expiry, key.to_owned()));
            entry.expiry = expiry;
        }
    }

    fn index(&mut self, key: &str) -> Option<&Index> {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Index(index)) => Some(index),
            _ => None,
        }
    }

    /// The hash lives as long as the last of its sessions.
    fn put_index(&mut self, key: &str, index: Index) {
        match index.sessions.values().map(|member| member.expiry).max() {
            Some(last) => self.put(key.to_owned(), last, Value::Index(index)),
            None => {
                self.remove(key);
            }
        }
    }

    fn settle(&mut self, key: &str, ticket: &[u8; 16], answer: Option<(&[u8], Duration)>, now: UnixMillis) -> Written {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Pending(held)) if held == ticket => {}
            _ => return Written::Stale,
        }
        match answer {
            Some((answer, keep)) if !keep.is_zero() => self.put(key.to_owned(), now.plus(keep), Value::Settled(answer.to_vec())),
            _ => {
                self.remove(key);
            }
        }
        Written::Done
    }
}

impl Index {
    fn drop_dead(&mut self, now: UnixMillis) {
        self.sessions.retain(|_, member| member.expiry > now);
    }

    /// Drops the oldest sessions until one more fits under the cap (0: no cap).
    fn evict_for_one_more(&mut self, cap: u32) -> Vec<[u8; 16]> {
        let room = usize::try_from(cap).unwrap_or(usize::MAX);
        if cap == 0 || self.sessions.len() < room {
            return Vec::new();
        }
        let mut by_age: Vec<_> = self.sessions.iter().map(|(hash, member)| (member.created, *hash)).collect();
        by_age.sort_unstable();
        let evicted: Vec<_> = by_age.into_iter().take(self.sessions.len() + 1 - room).map(|(_, hash)| hash).collect();
        self.sessions.retain(|hash, _| !evicted.contains(hash));
        evicted
    }
}

impl Entry {
    fn shown(&self, key: &str, now: UnixMillis) -> StoredEntry {
        let content = match &self.value {
            Value::Bytes(bytes) => bytes.escape_ascii().to_string(),
            Value::Index(index) => index.shown(),
            Value::Pending(ticket) => format!("P{}", ticket.escape_ascii()),
            Value::Settled(answer) => format!("S{}", answer.escape_ascii()),
        };
        StoredEntry { key: key.to_owned(), content, expires_in: self.expiry.since(now) }
    }
}

impl Index {
    fn shown(&self) -> String {
        let sessions = self.sessions.iter().map(|(hash, member)| format!("{} → {}:{}", base64url(hash), member.expiry.0, member.created.0));
        let generations = generation::FIELDS.iter().zip(&self.generations).map(|(field, value)| format!("{field} → {}", value.escape_ascii()));
        sessions.chain(generations).collect::<Vec<_>>().join("\n")
    }
}
