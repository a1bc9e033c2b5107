//! The keys and their expiries.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::index::Index;
use crate::clock::UnixMillis;
use crate::session::Written;

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

/// The keys and their expiries. What has expired is dropped at every access, so memory holds what
/// lives.
#[derive(Default)]
pub(super) struct Held {
    pub(super) entries: HashMap<String, Entry>,
    /// The same keys by expiry, earliest first.
    expiries: BTreeSet<(UnixMillis, String)>,
}

pub(super) struct Entry {
    pub(super) expiry: UnixMillis,
    pub(super) value: Value,
}

pub(super) enum Value {
    Bytes(Vec<u8>),
    Index(Index),
    Pending([u8; 16]),
    Settled(Vec<u8>),
}

impl Held {
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

    pub(super) fn put(&mut self, key: String, expiry: UnixMillis, value: Value) {
        self.remove(&key);
        self.expiries.insert((expiry, key.clone()));
        self.entries.insert(key, Entry { expiry, value });
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        let removed = self.entries.remove(key);
        if let Some(entry) = &removed {
            self.expiries.remove(&(entry.expiry, key.to_owned()));
        }
        removed.is_some()
    }

    pub(super) fn expire_at(&mut self, key: &str, expiry: UnixMillis) {
        if let Some(entry) = self.entries.get_mut(key) {
            self.expiries.remove(&(entry.expiry, key.to_owned()));
            self.expiries.insert((expiry, key.to_owned()));
            entry.expiry = expiry;
        }
    }

    pub(super) fn bytes(&self, key: &str) -> Option<&[u8]> {
        match &self.entries.get(key)?.value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn index(&self, key: &str) -> Option<&Index> {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Index(index)) => Some(index),
            _ => None,
        }
    }

    /// The hash lives as long as the last of its sessions.
    pub(super) fn put_index(&mut self, key: &str, index: Index) {
        match index.sessions.values().map(|member| member.expiry).max() {
            Some(last) => self.put(key.to_owned(), last, Value::Index(index)),
            None => {
                self.remove(key);
            }
        }
    }

    pub(super) fn settle(
        &mut self,
        key: &str,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
        now: UnixMillis,
    ) -> Written {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Pending(held)) if held == ticket => {}
            _ => return Written::Stale,
        }
        match answer {
            Some((answer, keep)) if !keep.is_zero() => self.put(
                key.to_owned(),
                now.plus(keep),
                Value::Settled(answer.to_vec()),
            ),
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
            Value::Bytes(bytes) => bytes.escape_ascii().to_string(),
            Value::Index(index) => index.shown(),
            Value::Pending(ticket) => format!("P{}", ticket.escape_ascii()),
            Value::Settled(answer) => format!("S{}", answer.escape_ascii()),
        };
        StoredEntry {
            key: key.to_owned(),
            content,
            expires_in: self.expiry.since(now),
        }
    }
}
