//! The store, and what its operations share.

use std::sync::Arc;

use parking_lot::Mutex;

use super::entries::{Entries, Entry, StoredEntry, StoredValue};
use crate::clock::{Clock, UnixMillis, monotonic_now};
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::limit::{Cell, CellName, Recent};
use crate::metrics::Metrics;
use crate::session::{Lookup, SessionId, StoreError, UserKey};
use crate::store::keys::Keys;
use crate::store::meter::Meter;
use crate::store::sealed::{Sealer, Stored, stamp_of};
use crate::store::settings::KeyPrefix;
use crate::store::successor::RotationChain;

/// Cells of limits that are kept at the least; at most twice as many.
const CELLS: usize = 64 * 1024;

/// The store in this process, shared by all its workers.
pub struct MemoryStore {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keys: Keys,
    pub(super) sealer: Sealer,
    meter: Meter,
    entries: Mutex<Entries>,
    pub(super) cells: Mutex<Recent<CellName, Cell>>,
}

impl MemoryStore {
    /// An empty store that goes by `clock`.
    pub fn new(
        clock: Arc<dyn Clock>,
        prefix: KeyPrefix,
        keys: Arc<Keyring>,
        naming: Arc<NamingKey>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            clock,
            keys: Keys::new(prefix, naming.clone()),
            sealer: Sealer::new(keys, naming),
            meter: Meter::new(metrics),
            entries: Mutex::default(),
            cells: Mutex::new(Recent::new(CELLS)),
        }
    }

    /// All that is stored, ordered by key: what somebody would see who looks into Redis.
    pub fn dump(&self) -> Vec<StoredEntry> {
        self.at_now(|entries, now| {
            let mut shown: Vec<_> = entries
                .by_key
                .iter()
                .map(|(key, entry)| entry.shown(key, now))
                .collect();
            shown.sort_by(|a, b| a.key.cmp(&b.key));
            shown
        })
    }

    /// Runs an operation and counts it under its name in the metrics.
    pub(super) fn run<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Entries, UnixMillis) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let started = monotonic_now();
        self.meter.counted(operation, started, self.at_now(work))
    }

    /// Gives `work` the content, without what has expired by now.
    fn at_now<T>(&self, work: impl FnOnce(&mut Entries, UnixMillis) -> T) -> T {
        let mut entries = self.entries.lock();
        let now = self.clock.unix_now();
        entries.sweep(now);
        work(&mut entries, now)
    }

    /// The session behind a name, where it went if its token was rotated away.
    pub(super) fn look_up(&self, entries: &Entries, id: &SessionId, now: UnixMillis) -> Lookup {
        let mut chain = RotationChain::new(*id);
        loop {
            let key = self.keys.session(&chain.id);
            let Some(Entry {
                expiry,
                value: StoredValue::Bytes(stored),
            }) = entries.by_key.get(&key)
            else {
                return Lookup::Gone;
            };
            match self.sealer.open_stored(&key, stored) {
                Ok(Stored::Session(session)) => {
                    return chain.arrive(session, stamp_of(stored), expiry.since(now), now);
                }
                Ok(Stored::Successor(successor)) if chain.follow(&successor) => {}
                Ok(Stored::Successor(_)) => return Lookup::Gone,
                Err(why) => return Lookup::Unreadable(why.0),
            }
        }
    }

    /// The name and those that the session was given since; the last one is what it is called now.
    /// `None`: there are too many.
    pub(super) fn names(&self, entries: &Entries, id: &SessionId) -> Option<Vec<SessionId>> {
        let mut names = vec![*id];
        let mut chain = RotationChain::new(*id);
        loop {
            let key = self.keys.session(&chain.id);
            let stored = entries
                .bytes(&key)
                .map(|stored| self.sealer.open_stored(&key, stored));
            let Some(Ok(Stored::Successor(successor))) = stored else {
                return Some(names);
            };
            if !chain.follow(&successor) {
                return None;
            }
            names.push(chain.id);
        }
    }

    /// Drops all records of a user and the index; how many records there were.
    pub(super) fn end_all(&self, entries: &mut Entries, user: &UserKey) -> u64 {
        let tag = self.keys.tag(user);
        let user_key = self.keys.user(tag, user);
        let index = entries.index(&user_key);
        entries.remove(&user_key);
        let ended = index
            .sessions
            .keys()
            .filter(|hash| entries.remove(&self.keys.session_of(tag, hash)));
        ended.count() as u64
    }

    /// Drops a record and its place in the index; whether there was a record.
    pub(super) fn forget(
        &self,
        entries: &mut Entries,
        id: &SessionId,
        user: &UserKey,
        now: UnixMillis,
    ) -> bool {
        let user_key = self.keys.user(id.tag, user);
        entries.update_index(&user_key, now, |index| index.sessions.remove(&id.hash));
        entries.remove(&self.keys.session(id))
    }
}
