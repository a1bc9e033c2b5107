//! The TLS handshakes that are under way. When there are many, those that drag on give way to others, so that no client waits for another's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// From so many on, in all workers together, those that drag on give way. Each holds some 16 KiB.
pub const MANY: usize = 256;
/// So long none is disturbed, however many there are: a phone on a bad network answers within it. Those that are younger are bounded by
/// what they cost, since each has taken a signature.
pub const UNDISTURBED: Duration = Duration::from_secs(2);

/// Those whose ClientHello has come.
#[derive(Debug, Default)]
pub struct Handshakes(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    /// How many there have been.
    entered: u64,
    /// By their numbers, so the oldest comes first.
    all: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    /// Dropped when it is to give way.
    _stays: oneshot::Sender<()>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Handshake {
    of: Arc<Handshakes>,
    number: u64,
    stays: oneshot::Receiver<()>,
}

impl Handshakes {
    /// Another one begins. Of the others, the oldest give way while there are too many and they have had their time.
    #[must_use]
    pub fn enter(self: &Arc<Self>, now: Instant) -> Handshake {
        let (sender, stays) = oneshot::channel();
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while under_way.all.len() >= MANY
            && let Some(oldest) = under_way.all.first_entry().filter(|oldest| now.saturating_duration_since(oldest.get().since) >= UNDISTURBED)
        {
            oldest.remove();
        }
        let number = under_way.entered;
        under_way.entered += 1;
        under_way.all.insert(number, Entry { since: now, _stays: sender });
        Handshake { of: self.clone(), number, stays }
    }
}

impl Handshake {
    /// Ready when it is to give way.
    pub async fn displaced(&mut self) {
        let _ = (&mut self.stays).await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(PoisonError::into_inner).all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::clock::monotonic_now;

    fn displaced(handshakes: &mut [Handshake]) -> usize {
        handshakes.iter_mut().filter_map(|handshake| handshake.stays.try_recv().err()).filter(|error| *error == TryRecvError::Closed).count()
    }

    #[test]
    fn the_oldest_give_way_when_there_are_many_and_they_have_had_their_time() {
        let (handshakes, begun) = (Arc::new(Handshakes::default()), monotonic_now());
        let mut old: Vec<Handshake> = (0..MANY).map(|_| handshakes.enter(begun)).collect();
        let mut young: Vec<Handshake> = (0..10).map(|_| handshakes.enter(begun + UNDISTURBED / 2)).collect();
        assert_eq!((displaced(&mut old), displaced(&mut young)), (0, 0), "all of them are young");
        let last = handshakes.enter(begun + UNDISTURBED);
        assert_eq!((displaced(&mut old[..11]), displaced(&mut old[11..]), displaced(&mut young)), (11, 0, 0));
        // One that is over makes room, and one that was displaced has none to make.
        drop(last);
        old.truncate(100);
        let _last = handshakes.enter(begun + 3 * UNDISTURBED);
        assert_eq!((displaced(&mut old), displaced(&mut young)), (11, 0));
        assert_eq!(handshakes.0.lock().unwrap().all.len(), 100 - 11 + 10 + 1);
        drop((old, young, _last));
        assert!(handshakes.0.lock().unwrap().all.is_empty());
    }
}
