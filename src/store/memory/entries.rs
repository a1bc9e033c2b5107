//! The keys, what they hold, and when they expire.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::index::Index;
use crate::clock::UnixMillis;
use crate::push::MessageId;
use crate::session::Written;

/// The expiry of what has none.
const NEVER: UnixMillis = UnixMillis(u64::MAX);

/// One key as the store holds it, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The key's name.
    pub key: String,
    /// The value, bytes that cannot be printed as `\x..`; a hash as `field → value`, a line each.
    pub content: String,
    /// When the key goes by itself; [`Duration::MAX`]: never.
    pub expires_in: Duration,
}

/// All keys. What has expired is dropped at every access, so memory holds what lives.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) by_key: HashMap<String, Entry>,
    /// The same keys by expiry, earliest first.
    expiries: BTreeSet<(UnixMillis, String)>,
}

pub(super) struct Entry {
    pub(super) expiry: UnixMillis,
    pub(super) value: StoredValue,
}

pub(super) enum StoredValue {
    Bytes(Vec<u8>),
    Index(Index),
    Hash(BTreeMap<String, Vec<u8>>),
    Pending([u8; 16]),
    Settled(Vec<u8>),
    /// An app's kept messages, and when each is due.
    Due(BTreeMap<MessageId, UnixMillis>),
}

impl Entries {
    pub(super) fn sweep(&mut self, now: UnixMillis) {
        while let Some((_, key)) = self
            .expiries
            .first()
            .filter(|(expiry, _)| *expiry <= now)
            .cloned()
        {
            self.remove(&key);
        }
    }

    pub(super) fn put(&mut self, key: String, expiry: UnixMillis, value: StoredValue) {
        self.remove(&key);
        self.expiries.insert((expiry, key.clone()));
        self.by_key.insert(key, Entry { expiry, value });
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        let removed = self.by_key.remove(key);
        if let Some(entry) = &removed {
            self.expiries.remove(&(entry.expiry, key.to_owned()));
        }
        removed.is_some()
    }

    pub(super) fn expire_at(&mut self, key: &str, expiry: UnixMillis) {
        if let Some(entry) = self.by_key.get_mut(key) {
            self.expiries.remove(&(entry.expiry, key.to_owned()));
            self.expiries.insert((expiry, key.to_owned()));
            entry.expiry = expiry;
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&StoredValue> {
        self.by_key.get(key).map(|entry| &entry.value)
    }

    pub(super) fn expiry(&self, key: &str) -> Option<UnixMillis> {
        self.by_key.get(key).map(|entry| entry.expiry)
    }

    /// How long the entry is still there.
    pub(super) fn left(&self, key: &str, now: UnixMillis) -> Duration {
        let entry = self.by_key.get(key);
        entry.map_or(Duration::ZERO, |entry| entry.expiry.since(now))
    }

    pub(super) fn bytes(&self, key: &str) -> Option<&[u8]> {
        match self.value(key)? {
            StoredValue::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn index(&self, key: &str) -> Index {
        match self.value(key) {
            Some(StoredValue::Index(index)) => index.clone(),
            _ => Index::default(),
        }
    }

    pub(super) fn hash(&self, key: &str) -> BTreeMap<String, Vec<u8>> {
        match self.value(key) {
            Some(StoredValue::Hash(hash)) => hash.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Changes a hash that never expires; an empty one is none.
    pub(super) fn update_hash(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>),
    ) {
        let mut hash = self.hash(key);
        change(&mut hash);
        if hash.is_empty() {
            self.remove(key);
        } else {
            self.put(key.to_owned(), NEVER, StoredValue::Hash(hash));
        }
    }

    /// Changes a user's index, of which expired sessions go. The hash lives as long as the last of
    /// its sessions.
    pub(super) fn update_index<T>(
        &mut self,
        key: &str,
        now: UnixMillis,
        change: impl FnOnce(&mut Index) -> T,
    ) -> T {
        let mut index = self.index(key);
        index.sessions.retain(|_, member| member.expiry > now);
        let result = change(&mut index);
        match index.sessions.values().map(|member| member.expiry).max() {
            Some(last) => self.put(key.to_owned(), last, StoredValue::Index(index)),
            None => {
                self.remove(key);
            }
        }
        result
    }

    pub(super) fn settle(
        &mut self,
        key: &str,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
        now: UnixMillis,
    ) -> Written {
        match self.value(key) {
            Some(StoredValue::Pending(holder)) if holder == ticket => {}
            _ => return Written::Stale,
        }
        match answer {
            Some((answer, keep)) if !keep.is_zero() => {
                let settled = StoredValue::Settled(answer.to_vec());
                self.put(key.to_owned(), now.plus(keep), settled);
            }
            _ => {
                self.remove(key);
            }
        }
        Written::Done
    }
}

impl Entry {
    pub(super) fn shown(&self, key: &str, now: UnixMillis) -> StoredEntry {
        let content = match &self.value {
            StoredValue::Bytes(bytes) => bytes.escape_ascii().to_string(),
            StoredValue::Index(index) => index.shown(),
            StoredValue::Hash(hash) => hash
                .iter()
                .map(|(field, value)| format!("{field} → {}", value.escape_ascii()))
                .collect::<Vec<_>>()
                .join("\n"),
            StoredValue::Pending(ticket) => format!("P{}", ticket.escape_ascii()),
            StoredValue::Settled(answer) => format!("S{}", answer.escape_ascii()),
            StoredValue::Due(messages) => messages
                .iter()
                .map(|(id, due)| format!("{} → {}\n", id.escape_ascii(), due.0))
                .collect(),
        };
        StoredEntry {
            key: key.to_owned(),
            content,
            expires_in: if self.expiry == NEVER {
                Duration::MAX
            } else {
                self.expiry.since(now)
            },
        }
    }
}
