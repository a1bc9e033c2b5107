//! The assertions of one worker: those used longest ago go when they have too many bytes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::session::{RecordStamp, SessionId};

/// What an assertion says, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssertionKey {
    pub session: SessionId,
    /// Another one whenever the session's record has changed.
    pub stamp: RecordStamp,
    pub audience: Arc<str>,
    /// Another one whenever the configuration gives the same session another assertion.
    pub generation: u64,
}

/// Beside its text, an entry takes so many bytes where map and list have just grown: its place in
/// the map, its key, its links.
pub const ENTRY_OVERHEAD: usize = 400;

/// No entry.
const NONE: usize = usize::MAX;

#[derive(Debug)]
struct Entry {
    key: AssertionKey,
    assertion: Rc<str>,
    until: Instant,
    newer: usize,
    older: usize,
}

/// Assertions that still serve. The entries form a list, from the one that was used last to the one
/// that was used longest ago.
#[derive(Debug)]
pub struct AssertionCache {
    most: usize,
    bytes: usize,
    /// A quick hash will do: no client chooses the names of sessions, which are hashes.
    places: FxHashMap<AssertionKey, usize>,
    entries: Vec<Entry>,
    newest: usize,
    oldest: usize,
}

impl AssertionCache {
    /// An empty cache of at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            bytes: 0,
            places: FxHashMap::default(),
            entries: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }

    /// What it takes, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on at most so many bytes.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
        self.evict(0);
    }

    /// The assertion under this key, if it still serves.
    pub fn get(&mut self, key: &AssertionKey, now: Instant) -> Option<Rc<str>> {
        let at = *self.places.get(key)?;
        if now >= self.entries[at].until {
            return None;
        }
        if at != self.newest {
            self.unlink(at);
            self.link(at);
        }
        Some(self.entries[at].assertion.clone())
    }

    /// Keeps an assertion until then. One that alone has too many bytes is not kept.
    pub fn keep(&mut self, key: AssertionKey, assertion: Rc<str>, until: Instant, now: Instant) {
        if let Some(at) = self.places.get(&key) {
            self.remove(*at);
        }
        let room = bytes_of(&assertion);
        if room > self.most {
            return;
        }
        self.evict(room);
        // What nobody asks for any more: the oldest entries are used least.
        while self.oldest != NONE && now >= self.entries[self.oldest].until {
            self.remove(self.oldest);
        }
        let at = self.entries.len();
        self.places.insert(key.clone(), at);
        self.entries.push(Entry {
            key,
            assertion,
            until,
            newer: NONE,
            older: NONE,
        });
        self.link(at);
        self.bytes += room;
    }

    /// Makes room for so many bytes.
    fn evict(&mut self, room: usize) {
        while self.oldest != NONE && self.bytes + room > self.most {
            self.remove(self.oldest);
        }
    }

    fn remove(&mut self, at: usize) {
        self.unlink(at);
        let gone = self.entries.swap_remove(at);
        self.places.remove(&gone.key);
        self.bytes -= bytes_of(&gone.assertion);
        // The last entry has taken the place of the removed one.
        if at < self.entries.len() {
            if let Some(place) = self.places.get_mut(&self.entries[at].key) {
                *place = at;
            }
            self.point_at(at);
        }
    }

    /// Puts an entry before all others.
    fn link(&mut self, at: usize) {
        self.entries[at].newer = NONE;
        self.entries[at].older = self.newest;
        self.point_at(at);
    }

    /// Its neighbours, or the ends of the list, point at an entry.
    fn point_at(&mut self, at: usize) {
        let Entry { newer, older, .. } = self.entries[at];
        *self.older_of(newer) = at;
        *self.newer_of(older) = at;
    }

    /// Takes an entry out of the list.
    fn unlink(&mut self, at: usize) {
        let Entry { newer, older, .. } = self.entries[at];
        *self.older_of(newer) = older;
        *self.newer_of(older) = newer;
    }

    /// What is older than an entry; of none, the newest.
    fn older_of(&mut self, at: usize) -> &mut usize {
        match self.entries.get_mut(at) {
            Some(entry) => &mut entry.older,
            None => &mut self.newest,
        }
    }

    /// What is newer than an entry; of none, the oldest.
    fn newer_of(&mut self, at: usize) -> &mut usize {
        match self.entries.get_mut(at) {
            Some(entry) => &mut entry.newer,
            None => &mut self.oldest,
        }
    }
}

const fn bytes_of(assertion: &str) -> usize {
    assertion.len() + ENTRY_OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::monotonic_now;

    fn key(number: u8) -> AssertionKey {
        AssertionKey {
            session: SessionId {
                tag: [0; 2],
                hash: [number; 16],
            },
            stamp: RecordStamp([0; 15]),
            audience: "orders".into(),
            generation: 0,
        }
    }

    #[test]
    fn each_part_of_the_key_counts() {
        let now = monotonic_now();
        let until = now + Duration::from_secs(30);
        let mut cache = AssertionCache::new(10_000);
        cache.keep(key(1), "one".into(), until, now);
        let stamp = RecordStamp([1; 15]);
        let audience = "users".into();
        let others = [
            key(2),
            AssertionKey { stamp, ..key(1) },
            AssertionKey { audience, ..key(1) },
            AssertionKey {
                generation: 1,
                ..key(1)
            },
        ];
        for other in others {
            assert_eq!(cache.get(&other, now), None, "{other:?}");
        }
        assert_eq!(cache.get(&key(1), now).as_deref(), Some("one"));
        assert_eq!(cache.get(&key(1), until), None);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Get(u8),
        Keep(u8, usize, u64),
        Wait(u64),
        Limit(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..12_u8).prop_map(Step::Get),
            (0..12_u8, 0..900_usize, 1..90_u64)
                .prop_map(|(key, len, life)| Step::Keep(key, len, life)),
            (1..40_u64).prop_map(Step::Wait),
            (300..4000_usize).prop_map(Step::Limit),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        /// Compared with a list that is looked through.
        #[test]
        fn it_keeps_what_was_used_last_and_stays_within_its_bytes(steps in steps()) {
            let mut now = monotonic_now();
            let mut most = 2000;
            let mut cache = AssertionCache::new(most);
            // The oldest first.
            let mut model: Vec<(u8, usize, Instant)> = Vec::new();
            let bytes = |model: &[(u8, usize, Instant)]| model.iter().map(|(_, len, _)| len + ENTRY_OVERHEAD).sum::<usize>();
            for step in steps {
                match step {
                    Step::Wait(secs) => now += Duration::from_secs(secs),
                    Step::Limit(limit) => {
                        most = limit;
                        cache.limit(limit);
                        while bytes(&model) > most { model.remove(0); }
                    }
                    Step::Get(number) => {
                        let at = model.iter().position(|(key, ..)| *key == number);
                        let known = at.filter(|at| now < model[*at].2).map(|at| model.remove(at));
                        model.extend(known);
                        prop_assert_eq!(cache.get(&key(number), now).map(|text| text.len()), known.map(|(_, len, _)| len));
                    }
                    Step::Keep(number, len, life) => {
                        let until = now + Duration::from_secs(life);
                        cache.keep(key(number), "x".repeat(len).into(), until, now);
                        model.retain(|(key, ..)| *key != number);
                        if len + ENTRY_OVERHEAD <= most {
                            while bytes(&model) + len + ENTRY_OVERHEAD > most { model.remove(0); }
                            while model.first().is_some_and(|(.., until)| now >= *until) { model.remove(0); }
                            model.push((number, len, until));
                        }
                    }
                }
                prop_assert_eq!(cache.bytes(), bytes(&model));
                prop_assert!(cache.bytes() <= most);
                prop_assert_eq!(cache.places.len(), model.len());
            }
        }
    }
}
