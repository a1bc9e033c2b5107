//! Ends a pending request when its session ends or the process stops. A request is watched only
//! from its worker's next tick on. So a request that is answered at once costs no timer and no
//! allocation.

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

/// Between two ticks.
const STEP: Duration = Duration::from_millis(450);

/// One timer for all requests of a worker.
pub struct Ticker {
    ticks: Rc<Notify>,
    task: JoinHandle<()>,
}

/// Watches over one request until the head of its answer is there.
pub struct PendingGuard<'a> {
    session: Option<(&'a Arc<SessionService>, &'a LiveSession)>,
    drain: &'a Drain,
    /// The upstream has all of a request that must not be sent twice.
    pub passed: Cell<bool>,
}

impl Ticker {
    /// Starts the timer in this worker.
    #[must_use]
    pub fn start() -> Self {
        let ticks = Rc::new(Notify::new());
        let notifier = ticks.clone();
        let task = actix_web::rt::spawn(async move {
            loop {
                sleep(STEP).await;
                notifier.notify_waiters();
            }
        });
        Self { ticks, task }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<'a> PendingGuard<'a> {
    /// Watches a request, whose session was just found alive.
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
    pub async fn ended(&self, ticker: &Ticker) -> UpstreamError {
        ticker.ticks.notified().await;
        // Boxed: only few requests come here.
        Box::pin(self.watched()).await
    }

    async fn watched(&self) -> UpstreamError {
        let mut watch = SessionWatch::new(self.session);
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
