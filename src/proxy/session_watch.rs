//! Whether the session behind an open stream still lives: a look at it about twice a second, which
//! the near cache makes cheap.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::session::{LiveSession, SessionId, SessionService, StoreError};
use crate::timer::Timer;

/// Between two looks, on average.
const STEP: Duration = Duration::from_millis(450);

/// Watches over one stream. Without a session it never ends; its timer wakes the stream all the
/// same.
pub struct SessionWatch {
    session: Option<WatchedSession>,
    timer: Timer,
    /// When to look next; `None`: nobody has waited yet, and most answers are out before.
    next: Option<Instant>,
    used: bool,
}

struct WatchedSession {
    sessions: Arc<SessionService>,
    id: SessionId,
    /// As long as the store says nothing else, the session lives until then.
    until: Instant,
    look: Option<BoxFuture<'static, Result<Option<LiveSession>, StoreError>>>,
}

impl SessionWatch {
    /// Watches a session that was just found alive.
    pub fn new(session: Option<(&Arc<SessionService>, &LiveSession)>) -> Self {
        let now = monotonic_now();
        Self {
            session: session.map(|(sessions, live)| WatchedSession {
                sessions: sessions.clone(),
                id: live.id,
                until: now + live.expires_in,
                look: None,
            }),
            timer: Timer::default(),
            next: None,
            used: false,
        }
    }

    /// The user has used the stream: the next look renews the session as a request does.
    pub const fn used(&mut self) {
        self.used = true;
    }

    /// Ready once the session has ended. Until then the task is woken about twice a second.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(watched) = &mut self.session
                && let Some(look) = &mut watched.look
            {
                let found = ready!(look.as_mut().poll(cx));
                watched.look = None;
                if watched.has_ended(found) {
                    return Poll::Ready(());
                }
            }
            let moment = *self.next.get_or_insert_with(next_look);
            ready!(self.timer.poll(moment, cx));
            self.next = Some(next_look());
            if let Some(watched) = &mut self.session {
                let sessions = watched.sessions.clone();
                let id = watched.id;
                let used = std::mem::take(&mut self.used);
                watched.look = Some(async move { sessions.follow(&id, used).await }.boxed());
            }
        }
    }
}

/// Streams that began together do not look together.
fn next_look() -> Instant {
    monotonic_now() + STEP.mul_f64(0.75 + random::fraction() / 2.0)
}

impl WatchedSession {
    fn has_ended(&mut self, found: Result<Option<LiveSession>, StoreError>) -> bool {
        match found {
            // Rotating the token gives the session another name.
            Ok(Some(live)) => {
                self.id = live.id;
                self.until = monotonic_now() + live.expires_in;
                false
            }
            Ok(None) => true,
            // "Down" is not "ended": an outage cuts nobody off before the time that was known.
            Err(_) => monotonic_now() >= self.until,
        }
    }
}
