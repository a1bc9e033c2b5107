//! Sessions of TLS 1.2 that can be resumed, kept in this process and nowhere else: they hold what
//! opens their recorded traffic.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

use crate::clock::monotonic_now;

/// How much memory they take at most, about 40 000 sessions; the oldest go first.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How long one is kept.
const LIFETIME: Duration = Duration::from_secs(3600);
/// What a session takes besides its own bytes and twice its name: its places in the map and in the
/// order, and the allocator's part.
const EACH: usize = 224;

/// The sessions, by their names.
#[derive(Default)]
pub struct TlsSessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<Vec<u8>, StoredTlsSession>,
    /// The oldest first.
    order: VecDeque<Vec<u8>>,
    bytes: usize,
}

struct StoredTlsSession {
    since: Instant,
    session: Zeroizing<Vec<u8>>,
}

impl Kept {
    fn put(&mut self, now: Instant, id: Vec<u8>, session: Vec<u8>) {
        self.bytes += cost(&id, &session);
        let entry = StoredTlsSession {
            since: now,
            session: Zeroizing::new(session),
        };
        match self.by_id.insert(id.clone(), entry) {
            // It keeps its place in the order.
            Some(before) => self.bytes -= cost(&id, &before.session),
            None => self.order.push_back(id),
        }
        while self.bytes > MAX_BYTES
            || self.order.front().is_some_and(|oldest| {
                self.by_id
                    .get(oldest)
                    .is_some_and(|entry| entry.is_over(now))
            })
        {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(entry) = self.by_id.remove(&oldest) {
                self.bytes -= cost(&oldest, &entry.session);
            }
        }
    }

    fn get(&self, now: Instant, id: &[u8]) -> Option<Vec<u8>> {
        self.by_id
            .get(id)
            .filter(|entry| !entry.is_over(now))
            .map(|entry| entry.session.to_vec())
    }
}

impl StoredTlsSession {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LIFETIME
    }
}

fn cost(id: &[u8], session: &[u8]) -> usize {
    2 * id.len() + session.len() + EACH
}

impl StoresServerSessions for TlsSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.lock().put(monotonic_now(), key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.lock().get(monotonic_now(), key)
    }

    /// rustls calls it for TLS 1.3 alone, whose sessions are in tickets.
    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSessions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> Vec<u8> {
        [&number.to_be_bytes()[..], &[0; 28]].concat()
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_and_when_they_are_old() {
        let mut kept = Kept::default();
        let begun = monotonic_now();
        let fit = u32::try_from(MAX_BYTES / cost(&id(0), &[0; 130])).unwrap();
        assert!(fit > 30_000, "{fit}");
        for number in 0..fit + 10 {
            kept.put(begun, id(number), vec![1; 130]);
        }
        assert!(
            kept.bytes <= MAX_BYTES
                && kept.by_id.len() == fit as usize
                && kept.order.len() == fit as usize
        );
        assert_eq!(
            (kept.get(begun, &id(9)), kept.get(begun, &id(10))),
            (None, Some(vec![1; 130]))
        );
        // A long name costs others their places.
        kept.put(begun, id(fit + 10), vec![2; 700]);
        assert!(kept.bytes <= MAX_BYTES && kept.get(begun, &id(11)).is_none());
        // One that is put again is there once.
        kept.put(begun, id(fit + 10), vec![3; 130]);
        assert_eq!(kept.get(begun, &id(fit + 10)), Some(vec![3; 130]));
        let later = begun + LIFETIME;
        assert_eq!(kept.get(later, &id(fit)), None);
        kept.put(later, id(0), vec![4; 130]);
        assert_eq!(
            (kept.by_id.len(), kept.order.len(), kept.bytes),
            (1, 1, cost(&id(0), &[0; 130]))
        );
    }
}
