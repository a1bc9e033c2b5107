//! One upstream as one worker has it: a place in the queue, an endpoint, a connection, and where it
//! can do no harm another endpoint.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayVec;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::clock::monotonic_now;
use crate::http::request_log::UpstreamCall;
use crate::proxy::pending_guard::PendingGuard;
use crate::proxy::shared_upstream::SharedUpstream;
use crate::proxy::unanswered::UpstreamError;
use crate::upstream::resolved::UnderWay;
use crate::upstream::retry::RetryBudget;
use crate::upstream::{EndpointSet, HostHeader, Pick, PickHint, ResolvedEndpoint};
use crate::upstream_client::connection::Connection;
use crate::upstream_client::connector::ConnectError;
use crate::upstream_client::download::{BrokenBody, Download, RequestPermits};
use crate::upstream_client::exchange::{
    ExchangeFailure, ExchangeResponse, Failed, Terms, exchange,
};
use crate::upstream_client::pool::{Pool, PoolView};
use crate::upstream_client::response_head::{BadAnswer, ResponseHead};
use crate::upstream_client::upload::Upload;

/// Most endpoints that one request is tried at: the first, and `retries.attempts` at its highest.
const MAX_TRIED: usize = 11;

/// The endpoints that a request was sent to, by their places in the set.
type TriedEndpoints = ArrayVec<usize, MAX_TRIED>;

/// An answer: its head, and its body still to come.
pub struct UpstreamResponse {
    pub head: ResponseHead,
    /// When the head came.
    pub at: Instant,
    /// The body; it also carries on with the request's body.
    pub body: Download,
}

pub struct WorkerUpstream {
    pub shared: Arc<SharedUpstream>,
    news: RefCell<watch::Receiver<Arc<EndpointSet>>>,
    view: RefCell<Rc<PoolView>>,
    budget: RefCell<RetryBudget>,
}

/// Why an endpoint gave no answer.
struct FailedAttempt {
    error: UpstreamError,
    /// The request, where it may go to another endpoint.
    again: Option<Box<Upload>>,
}

impl WorkerUpstream {
    /// The upstream with the idle connections of the one `before`, where they lead to the same
    /// place.
    pub fn succeeding(shared: &Arc<SharedUpstream>, before: Option<&Rc<Self>>) -> Rc<Self> {
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.shared, shared)) {
            return before.clone();
        }
        let upstream = shared.upstream();
        // A connection with TLS belongs to the certificates that it was made with.
        let plain = before.filter(|worker| {
            upstream.tls.is_none()
                && worker.shared.upstream().tls.is_none()
                && worker.shared.upstream().idle == upstream.idle
        });
        let before = plain.map(|worker| worker.view.borrow().clone());
        let news = shared.state.subscribe();
        let set = news.borrow().clone();
        let view = PoolView::new(set, upstream.idle, before.as_deref());
        Rc::new(Self {
            shared: shared.clone(),
            news: RefCell::new(news),
            view: RefCell::new(Rc::new(view)),
            budget: RefCell::new(RetryBudget::new(upstream.retries, monotonic_now())),
        })
    }

    /// Sends a request to one endpoint after the other, as long as it may and must.
    pub async fn send(
        &self,
        mut upload: Box<Upload>,
        terms: Terms<'_>,
        hint: PickHint,
        guard: &PendingGuard<'_>,
        started: Instant,
        call: &mut UpstreamCall,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let place = match self.shared.queue {
            Some(_) => Some(Box::pin(self.place(guard, &mut upload)).await?),
            None => None,
        };
        let view = self.view().await?;
        let state = &self.shared.state;
        self.budget.borrow_mut().request(started);
        let mut pick = state
            .pick(&view.set, &[], hint, started)
            .ok_or(UpstreamError::AllUnhealthy)?;
        // A request that waited in the queue began later.
        let mut now = if place.is_some() {
            monotonic_now()
        } else {
            started
        };
        let mut tried = TriedEndpoints::new();
        loop {
            let target = &view.set.targets[pick.index];
            tried.push(pick.index);
            call.endpoint = Some(target.name.clone());
            call.attempts = tried.len();
            // With one address there is nothing to compare.
            let under_way = (view.set.targets.len() > 1).then(|| UnderWay::to(target));
            let failed = match self.attempt(&view, pick.index, upload, now, terms).await {
                Ok(answer) => {
                    self.shared.succeeded(target, &pick);
                    let permits = RequestPermits { place, under_way };
                    return response(answer, &view.pools[pick.index], permits, terms).await;
                }
                Err(failed) => failed,
            };
            now = monotonic_now();
            let gave_up =
                terms.is_impatient && matches!(failed.error, UpstreamError::Timeout { .. });
            if !gave_up && failed.error.is_the_endpoints() {
                self.shared.failed(target, &pick, now);
            }
            let Some(again) = failed.again else {
                return Err(failed.error);
            };
            let Some(next) = self.next(&view, &tried, hint, now, terms.limit) else {
                return Err(failed.error);
            };
            upload = again;
            pick = next;
        }
    }

    /// A place among the requests that are under way. Whoever had to wait for it may have been
    /// signed out meanwhile, may have lost what the route requires, or may have other claims.
    async fn place(
        &self,
        guard: &PendingGuard<'_>,
        upload: &mut Upload,
    ) -> Result<OwnedSemaphorePermit, UpstreamError> {
        let queue = self.shared.queue.as_ref().ok_or(UpstreamError::Full)?;
        if let Some(place) = queue.free() {
            return Ok(place);
        }
        let place = queue.enter().await.ok_or(UpstreamError::Full)?;
        if let Some(head) = guard.after_wait().await? {
            upload.replace_head(head);
        }
        Ok(place)
    }

    /// Where a request may go that failed elsewhere.
    fn next(
        &self,
        view: &PoolView,
        tried: &TriedEndpoints,
        hint: PickHint,
        now: Instant,
        limit: Option<Instant>,
    ) -> Option<Pick> {
        if tried.len() > self.shared.upstream().retries.attempts as usize
            || tried.is_full()
            || limit.is_some_and(|limit| now >= limit)
        {
            return None;
        }
        let next = self.shared.state.pick(&view.set, tried, hint, now)?;
        let granted = self.budget.borrow_mut().withdraw(now);
        self.shared.retried(if granted {
            "another_endpoint"
        } else {
            "refused"
        });
        granted.then_some(next)
    }

    /// One endpoint: a kept connection, and where that turns out to be dead, a fresh one.
    async fn attempt(
        &self,
        view: &PoolView,
        index: usize,
        mut upload: Box<Upload>,
        now: Instant,
        terms: Terms<'_>,
    ) -> Result<ExchangeResponse, FailedAttempt> {
        let target = &view.set.targets[index];
        let upstream = self.shared.upstream();
        if upstream.host == HostHeader::Endpoint {
            upload.set_host(&upstream.endpoints[target.endpoint].authority());
        }
        let pool = &view.pools[index];
        // A handshake keeps its connection, so it brings its own.
        let kept = if terms.upgrade.is_none() {
            pool.take(now, terms.may_repeat())
        } else {
            None
        };
        if let Some((connection, bodiless)) = kept {
            let failed = match exchange(connection, upload, now, terms).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            match failed.failure {
                ExchangeFailure::Answer(BadAnswer::Leftover) => pool.note_untidy(),
                ExchangeFailure::Answer(BadAnswer::Cut) if bodiless => pool.note_untidy(),
                _ => {}
            }
            // It was closed while it rested, or what was left of its last answer came, which says
            // nothing about the endpoint.
            let Some(again) = failed.again else {
                return Err(self.failed(failed, target, terms));
            };
            upload = again;
            self.shared.retried("stale_connection");
        }
        // Boxed, as all that happens rarely: a future is as large as the largest of what it may
        // wait for, and is moved.
        let connection = match Box::pin(self.connect(target, terms.limit)).await {
            Ok(connection) => connection,
            Err(error) => {
                let again = Some(upload);
                return Err(FailedAttempt { error, again });
            }
        };
        exchange(connection, upload, monotonic_now(), terms)
            .await
            .map_err(|failed| self.failed(failed, target, terms))
    }

    async fn connect(
        &self,
        target: &ResolvedEndpoint,
        limit: Option<Instant>,
    ) -> Result<Box<Connection>, UpstreamError> {
        let most = self.shared.upstream().connect_timeout;
        let timeout = limit.map_or(most, |limit| {
            limit.saturating_duration_since(monotonic_now()).min(most)
        });
        let endpoint = target.name.clone();
        match self.shared.connector.connect(target, timeout).await {
            Ok(connection) => {
                let upstream = &self.shared.upstream().name;
                let metrics = &self.shared.metrics.upstream;
                metrics.connection(upstream, &target.name);
                Ok(connection)
            }
            Err(ConnectError::Endpoint(reason)) => {
                Err(UpstreamError::Unreachable { endpoint, reason })
            }
            Err(ConnectError::Own(reason)) => Err(UpstreamError::Starved { endpoint, reason }),
        }
    }

    /// The addresses as they are now. Before the first look-up of its names has come back, an
    /// upstream has none.
    async fn view(&self) -> Result<Rc<PoolView>, UpstreamError> {
        if self.view.borrow().set.targets.is_empty() {
            let mut news = self.news.borrow().clone();
            let found = news.wait_for(|set| !set.targets.is_empty());
            let timeout = self.shared.upstream().connect_timeout;
            if !matches!(
                Box::pin(tokio::time::timeout(timeout, found)).await,
                Ok(Ok(_))
            ) {
                return Err(UpstreamError::Unresolved);
            }
        }
        if self.news.borrow().has_changed().unwrap_or(false) {
            let set = self.news.borrow_mut().borrow_and_update().clone();
            let idle = self.shared.upstream().idle;
            let view = PoolView::new(set, idle, Some(&*self.view.borrow()));
            self.view.replace(Rc::new(view));
        }
        Ok(self.view.borrow().clone())
    }

    fn failed(&self, failed: Failed, target: &ResolvedEndpoint, terms: Terms<'_>) -> FailedAttempt {
        let endpoint = target.name.clone();
        let error = match failed.failure {
            ExchangeFailure::Answer(why) => UpstreamError::Broken { endpoint, why },
            ExchangeFailure::Silence => {
                let is_over = terms.limit.is_some_and(|limit| monotonic_now() >= limit);
                let total = self.shared.upstream().total_timeout.filter(|_| is_over);
                let timeout = total.unwrap_or(terms.first_byte_timeout);
                UpstreamError::Timeout { endpoint, timeout }
            }
            ExchangeFailure::Client(error) => UpstreamError::Client(error),
        };
        FailedAttempt {
            error,
            again: failed.again,
        }
    }
}

/// The answer with its body still to come.
async fn response(
    mut answer: ExchangeResponse,
    pool: &Rc<Pool>,
    permits: RequestPermits,
    terms: Terms<'_>,
) -> Result<UpstreamResponse, UpstreamError> {
    if terms.timeout != terms.first_byte_timeout {
        answer.connection.idle_timer.renew(terms.timeout);
    }
    let at = answer.at;
    let (head, mut body) = Download::new(answer, pool.clone(), permits, terms.timeout);
    match body.finish_if_empty().await {
        Err(BrokenBody::Client(error)) => Err(UpstreamError::Client(error)),
        Ok(()) | Err(_) => Ok(UpstreamResponse { head, at, body }),
    }
}
