//! Ends a pending request when its session ends, its route lets it in no more or the process stops. A request is watched only
//! from its worker's next tick on. So a request that is answered at once costs no timer and no
//! allocation.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::http::Drain;
use crate::proxy::session_watch::{Admitted, SessionEnd, SessionWatch};
use crate::proxy::unanswered::UpstreamError;

/// Between two ticks.
const STEP: Duration = Duration::from_millis(450);

/// One timer for all requests of a worker.
pub struct Ticker {
    ticks: Rc<Notify>,
    task: JoinHandle<()>,
}

/// Watches over one request until the head of its answer is there.
pub struct PendingGuard<'a> {
    admitted: Option<Admitted<'a>>,
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
    /// Watches a request, whose session was just let in.
    pub const fn new(admitted: Option<Admitted<'a>>, drain: &'a Drain) -> Self {
        Self {
            admitted,
            drain,
            passed: Cell::new(false),
        }
    }

    /// Asks once more for the session of a request that had to wait.
    pub async fn ended_meanwhile(&self) -> Option<SessionEnd> {
        self.admitted.as_ref()?.ended().await
    }

    /// Why the request is not to go on.
    pub async fn ended(&self, ticker: &Ticker) -> UpstreamError {
        ticker.ticks.notified().await;
        // Boxed: only few requests come here.
        Box::pin(self.watched()).await
    }

    async fn watched(&self) -> UpstreamError {
        let mut watch = SessionWatch::new(self.admitted);
        poll_fn(|cx| {
            if self.drain.is_cutting() {
                return Poll::Ready(UpstreamError::ShuttingDown);
            }
            let end = ready!(watch.poll_ended(cx));
            if !self.passed.get() {
                return Poll::Ready(UpstreamError::SessionEnded(end));
            }
            // The upstream acts on it; a 401 would have the client send it again, and after a 403
            // the client would take it for not done.
            watch = SessionWatch::new(None);
            watch.poll_ended(cx).map(UpstreamError::SessionEnded)
        })
        .await
    }
}
