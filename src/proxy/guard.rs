//! What ends a request before it is answered: its session has ended, or the process does. Nobody
//! looks before a request has been under way for a while, so that one which is answered at once
//! costs no timer and no allocation.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::http::Drain;
use crate::proxy::session_watch::SessionWatch;
use crate::proxy::unanswered::UpstreamError;
use crate::session::{LiveSession, SessionService};

/// Between two beats.
const STEP: Duration = Duration::from_millis(450);

/// One timer for all requests of a worker: from its next beat on a request is watched.
pub struct Beat {
    heard: Rc<Notify>,
    task: JoinHandle<()>,
}

/// Watches over one request until the head of its answer is there.
pub struct Guard<'a> {
    session: Option<(&'a Arc<SessionService>, &'a LiveSession)>,
    drain: &'a Drain,
    /// The upstream has all of a request that must not be sent twice.
    pub passed: Cell<bool>,
}

impl Beat {
    /// Begins to beat, in this worker.
    #[must_use]
    pub fn start() -> Self {
        let heard = Rc::new(Notify::new());
        let beating = heard.clone();
        let task = actix_web::rt::spawn(async move {
            loop {
                sleep(STEP).await;
                beating.notify_waiters();
            }
        });
        Self { heard, task }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<'a> Guard<'a> {
    /// Watches a request, whose session was just found alive.
    #[must_use]
    pub const fn new(
        session: Option<(&'a Arc<SessionService>, &'a LiveSession)>,
        drain: &'a Drain,
    ) -> Self {
        Self {
            session,
            drain,
            passed: Cell::new(false),
        }
    }

    /// Asks once more for the session of a request that had to wait. A store that is down ends
    /// nothing.
    pub async fn is_alive(&self) -> bool {
        let Some((sessions, live)) = self.session else {
            return true;
        };
        !matches!(sessions.follow(&live.id, false).await, Ok(None))
    }

    /// Why the request is not to go on.
    pub async fn ended(&self, beat: &Beat) -> UpstreamError {
        beat.heard.notified().await;
        // Boxed: only few requests come here.
        Box::pin(self.watched()).await
    }

    async fn watched(&self) -> UpstreamError {
        let mut watch = SessionWatch::new(
            self.session
                .map(|(sessions, live)| (sessions.clone(), live)),
        );
        poll_fn(|cx| {
            if self.drain.is_cutting() {
                return Poll::Ready(UpstreamError::ShuttingDown);
            }
            if watch.poll_ended(cx).is_pending() {
                return Poll::Pending;
            }
            if !self.passed.get() {
                return Poll::Ready(UpstreamError::SessionEnded);
            }
            // The upstream acts on it; a 401 would have the client send it again.
            watch = SessionWatch::new(None);
            watch.poll_ended(cx).map(|()| UpstreamError::SessionEnded)
        })
        .await
    }
}
