//! A user's hash: which sessions there are, and the newest session_keys.

use std::collections::BTreeMap;

use crate::clock::UnixMillis;
use crate::crypto::encoding::base64url;
use crate::store::generation::{FIELDS, Generations};

/// The user's hash.
#[derive(Clone, Default)]
pub(super) struct Index {
    pub(super) sessions: BTreeMap<[u8; 16], Member>,
    pub(super) generations: Generations,
}

#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) expiry: UnixMillis,
    pub(super) created: UnixMillis,
}

impl Index {
    /// Drops the oldest sessions until one more fits under the cap (0: no cap).
    pub(super) fn evict_for_one_more(&mut self, cap: u32) -> Vec<[u8; 16]> {
        let room = usize::try_from(cap).unwrap_or(usize::MAX);
        if cap == 0 || self.sessions.len() < room {
            return Vec::new();
        }
        let mut by_age: Vec<_> = self
            .sessions
            .iter()
            .map(|(hash, member)| (member.created, *hash))
            .collect();
        by_age.sort_unstable();
        let evicted: Vec<_> = by_age
            .into_iter()
            .take(self.sessions.len() + 1 - room)
            .map(|(_, hash)| hash)
            .collect();
        self.sessions.retain(|hash, _| !evicted.contains(hash));
        evicted
    }

    pub(super) fn shown(&self) -> String {
        let sessions = self.sessions.iter().map(|(hash, member)| {
            format!(
                "{} → {}:{}",
                base64url(hash),
                member.expiry.0,
                member.created.0
            )
        });
        let generations = FIELDS
            .iter()
            .zip(self.generations.kept())
            .map(|(field, value)| format!("{field} → {}", value.escape_ascii()));
        sessions.chain(generations).collect::<Vec<_>>().join("\n")
    }
}
