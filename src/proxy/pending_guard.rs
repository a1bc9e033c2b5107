//! Ends a pending request when its session ends, its route lets it in no more or the process stops. A request is watched only
//! from its worker's next tick on. So a request that is answered at once costs no timer and no
//! allocation.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use actix_web::web::BytesMut;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::http::Drain;
use crate::proxy::head_writer::HeadWriter;
use crate::proxy::session_watch::{Admitted, NotAgain, SessionWatch};
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
    session: Option<PendingSession<'a>>,
    drain: &'a Drain,
    /// The upstream has all of a request that must not be sent twice.
    pub passed: Cell<bool>,
}

/// A session that was just let in, and the head that names it.
#[derive(Clone, Copy)]
pub struct PendingSession<'a> {
    pub admitted: Admitted<'a>,
    pub head: &'a HeadWriter<'a>,
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
    /// Watches a request; without a session only the process can end it.
    pub const fn new(session: Option<PendingSession<'a>>, drain: &'a Drain) -> Self {
        Self {
            session,
            drain,
            passed: Cell::new(false),
        }
    }

    /// Looks once more at the session of a request that had to wait. Returns the head for what the
    /// session is now; `None`: it has none, and the head stays as it was written. It is written anew
    /// also for an unchanged session, since the signed identity grows old.
    pub async fn after_wait(&self) -> Result<Option<BytesMut>, NotAgain> {
        let Some(PendingSession { admitted, head }) = self.session else {
            return Ok(None);
        };
        let live = admitted.now().await?;
        Ok(Some(head.written(Some(&live))))
    }

    /// Why the request is not to go on.
    pub async fn ended(&self, ticker: &Ticker) -> UpstreamError {
        ticker.ticks.notified().await;
        // Boxed: only few requests come here.
        Box::pin(self.watched()).await
    }

    async fn watched(&self) -> UpstreamError {
        let admitted = self.session.map(|session| session.admitted);
        let mut watch = SessionWatch::new(admitted);
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
