//! Whether the session behind an open stream still lives, and the route's rule still lets it in: a
//! look at it about twice a second, which the near cache makes cheap.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::http::{ErrorCode, GatewayError};
use crate::route::AccessRule;
use crate::session::{LiveSession, SessionId, SessionService, StoreError};
use crate::timer::Timer;

/// Between two looks, on average.
const STEP: Duration = Duration::from_millis(450);

/// A session that was just found alive, and the rule that has let it in.
#[derive(Clone, Copy)]
pub struct Admitted<'a> {
    pub sessions: &'a Arc<SessionService>,
    pub live: &'a LiveSession,
    pub rule: &'a AccessRule,
}

/// Why what was admitted must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// The session has expired or was revoked.
    Expired,
    /// It lives, and the rule does not let it in any more: its claims were changed.
    Forbidden,
}

impl SessionEnd {
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::SessionExpired,
            Self::Forbidden => ErrorCode::Forbidden,
        }
    }
}

impl From<SessionEnd> for GatewayError {
    fn from(end: SessionEnd) -> Self {
        match end {
            SessionEnd::Expired => Self::session_expired(),
            SessionEnd::Forbidden => Self::forbidden(),
        }
    }
}

/// Why what was admitted is not admitted again.
#[derive(Debug)]
pub enum NotAgain {
    Ended(SessionEnd),
    /// Nobody can say whether the session lives.
    Unknown(StoreError),
}

impl Admitted<'_> {
    /// The session as it is now, if a new request of it would be let in.
    pub async fn now(&self) -> Result<LiveSession, NotAgain> {
        let found = self.sessions.follow(&self.live.id, false).await;
        still_admitted(found.map_err(NotAgain::Unknown)?, self.rule).map_err(NotAgain::Ended)
    }
}

fn still_admitted(
    found: Option<LiveSession>,
    rule: &AccessRule,
) -> Result<LiveSession, SessionEnd> {
    let live = found.ok_or(SessionEnd::Expired)?;
    if rule.admits(&live.session) {
        Ok(live)
    } else {
        Err(SessionEnd::Forbidden)
    }
}

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
    rule: AccessRule,
    /// As long as the store says nothing else, the session lives until then.
    until: Instant,
    look: Option<BoxFuture<'static, Result<Option<LiveSession>, StoreError>>>,
}

impl SessionWatch {
    /// Watches a session that was just let in.
    pub fn new(admitted: Option<Admitted<'_>>) -> Self {
        let now = monotonic_now();
        Self {
            session: admitted.map(|admitted| WatchedSession {
                sessions: admitted.sessions.clone(),
                id: admitted.live.id,
                rule: admitted.rule.clone(),
                until: now + admitted.live.expires_in,
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

    /// Ready once the session has ended, or the rule does not let it in any more. Until then the
    /// task is woken about twice a second.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        loop {
            if let Some(watched) = &mut self.session
                && let Some(look) = &mut watched.look
            {
                let found = ready!(look.as_mut().poll(cx));
                watched.look = None;
                if let Some(end) = watched.end_of(found) {
                    return Poll::Ready(end);
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
    fn end_of(&mut self, found: Result<Option<LiveSession>, StoreError>) -> Option<SessionEnd> {
        let Ok(found) = found else {
            // "Down" is not "ended": an outage cuts nobody off before the time that was known.
            return (monotonic_now() >= self.until).then_some(SessionEnd::Expired);
        };
        if let Some(live) = &found {
            // Rotating the token gives the session another name.
            self.id = live.id;
            self.until = monotonic_now() + live.expires_in;
        }
        still_admitted(found, &self.rule).err()
    }
}
