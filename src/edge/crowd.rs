//! Connections that drag something on. When there are many of a kind, the oldest give way to
//! others, so that no client waits for another's.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// All of a kind, in all workers together.
#[derive(Debug)]
pub struct Crowd {
    many: usize,
    undisturbed: Duration,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// How many there have been.
    entered: u64,
    /// By their numbers, so the oldest comes first.
    all: BTreeMap<u64, CrowdEntry>,
}

#[derive(Debug)]
struct CrowdEntry {
    since: Instant,
    /// Dropped when it is to give way.
    _stays: oneshot::Sender<()>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct CrowdMember {
    of: Arc<Crowd>,
    number: u64,
    stays: oneshot::Receiver<()>,
}

impl Crowd {
    /// From `many` on the oldest give way, but none that has not been there for as long as
    /// `undisturbed`.
    pub fn new(many: usize, undisturbed: Duration) -> Arc<Self> {
        Arc::new(Self {
            many,
            undisturbed,
            members: Mutex::default(),
        })
    }

    /// Another one comes. Of the others, the oldest give way while there are too many and they have
    /// had their time.
    #[must_use]
    pub fn enter(self: &Arc<Self>, now: Instant) -> CrowdMember {
        let (sender, stays) = oneshot::channel();
        let mut members = self.members.lock();
        while members.all.len() >= self.many
            && let Some(oldest) = members.all.first_entry().filter(|oldest| {
                now.saturating_duration_since(oldest.get().since) >= self.undisturbed
            })
        {
            oldest.remove();
        }
        let number = members.entered;
        members.entered += 1;
        members.all.insert(
            number,
            CrowdEntry {
                since: now,
                _stays: sender,
            },
        );
        CrowdMember {
            of: self.clone(),
            number,
            stays,
        }
    }
}

impl CrowdMember {
    /// Ready when it is to give way.
    pub async fn displaced(&mut self) {
        let _ = (&mut self.stays).await;
    }

    /// The same for one that is polled, as often as one likes.
    pub fn poll_displaced(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stays.is_terminated() {
            Poll::Ready(())
        } else {
            Pin::new(&mut self.stays).poll(cx).map(drop)
        }
    }
}

impl Drop for CrowdMember {
    fn drop(&mut self) {
        self.of.members.lock().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::clock::monotonic_now;

    const MANY: usize = 256;
    const UNDISTURBED: Duration = Duration::from_secs(2);

    fn displaced(members: &mut [CrowdMember]) -> usize {
        members
            .iter_mut()
            .filter_map(|member| member.stays.try_recv().err())
            .filter(|error| *error == TryRecvError::Closed)
            .count()
    }

    #[test]
    fn the_oldest_give_way_when_there_are_many_and_they_have_had_their_time() {
        let crowd = Crowd::new(MANY, UNDISTURBED);
        let begun = monotonic_now();
        let mut old: Vec<CrowdMember> = (0..MANY).map(|_| crowd.enter(begun)).collect();
        let mut young: Vec<CrowdMember> = (0..10)
            .map(|_| crowd.enter(begun + UNDISTURBED / 2))
            .collect();
        assert_eq!(
            (displaced(&mut old), displaced(&mut young)),
            (0, 0),
            "all of them are young"
        );
        let last = crowd.enter(begun + UNDISTURBED);
        assert_eq!(
            (
                displaced(&mut old[..11]),
                displaced(&mut old[11..]),
                displaced(&mut young)
            ),
            (11, 0, 0)
        );
        let mut polled = old.remove(0);
        for _ in 0..2 {
            assert!(
                polled
                    .poll_displaced(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            );
        }
        old.insert(0, polled);
        // One that is over makes room, and one that was displaced has none to make.
        drop(last);
        old.truncate(100);
        let _last = crowd.enter(begun + 3 * UNDISTURBED);
        assert_eq!((displaced(&mut old), displaced(&mut young)), (11, 0));
        assert_eq!(crowd.members.lock().all.len(), 100 - 11 + 10 + 1);
        drop((old, young, _last));
        assert!(crowd.members.lock().all.is_empty());
    }
}
