//! A request on its way to an upstream: a place in the queue, an endpoint, a connection, and where
//! it can do no harm another endpoint.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::web::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::clock::monotonic_now;
use crate::http::error::GatewayError;
use crate::http::request_log::RequestLog;
use crate::proxy::pending_guard::{PendingGuard, Ticker};
use crate::proxy::queue::Queue;
use crate::proxy::shared_upstream::SharedUpstream;
use crate::proxy::unanswered::{CLIENT_LEFT, UpstreamError, client_error, log_failure};
use crate::session::UserKey;
use crate::upstream::resolved::UnderWay;
use crate::upstream::retry::RetryBudget;
use crate::upstream::{
    Balance, EndpointSet, HostHeader, Pick, PickHint, ResolvedEndpoint, Upstream, balance,
};
use crate::upstream_client::connector::ConnectError;
use crate::upstream_client::download::{BrokenBody, Download, RequestPermits};
use crate::upstream_client::exchange::{ExchangeResponse, Failed, Failure, Terms, exchange};
use crate::upstream_client::pool::Pool;
use crate::upstream_client::response_head::{BadAnswer, ResponseHead};
use crate::upstream_client::upgrade::Upgrade;
use crate::upstream_client::upload::{BodyFraming, Upload};

/// Most endpoints that one request is tried at: the first, and `retries.attempts` at its highest.
const MAX_TRIED: usize = 11;

/// A request to an upstream.
pub struct Outgoing<'a> {
    /// To whom.
    pub upstream: &'a Upstream,
    /// Whose it is, for upstreams that stay with a user.
    pub user: Option<&'a UserKey>,
    /// The method.
    pub method: &'a str,
    /// The serialised head.
    pub head: BytesMut,
    /// The body.
    pub payload: Payload,
    /// Its framing, as the head announces it.
    pub framing: BodyFraming,
    /// Longest body.
    pub body_limit: u64,
    /// The route's own patience with silence, instead of the upstream's.
    pub timeout: Option<Duration>,
    /// What the upstream must answer to a WebSocket handshake, where it is one.
    pub upgrade: Option<&'a Upgrade>,
    /// What ends it before its answer.
    pub guard: &'a PendingGuard<'a>,
}

/// An answer: its head, and its body still to come.
pub struct UpstreamResponse {
    /// The head.
    pub head: ResponseHead,
    /// When it came.
    pub at: Instant,
    /// The body; it also carries on with the request's body.
    pub body: Download,
}

/// The upstreams of one worker, with its own connections to them.
#[derive(Clone)]
pub struct Forwarder {
    upstreams: Rc<[Rc<WorkerUpstream>]>,
    ticker: Rc<Ticker>,
}

/// Counts a request that is not answered, also one whose client leaves and takes everything with
/// it.
struct OutcomeCounter<'a> {
    shared: &'a SharedUpstream,
    outcome: Option<&'static str>,
}

/// What one worker has of one upstream.
struct WorkerUpstream {
    shared: Arc<SharedUpstream>,
    news: RefCell<watch::Receiver<Arc<EndpointSet>>>,
    view: RefCell<Rc<PoolView>>,
    budget: RefCell<RetryBudget>,
}

/// The addresses of an upstream as a worker sees them, with its idle connections to each.
struct PoolView {
    set: Arc<EndpointSet>,
    pools: Vec<Rc<Pool>>,
}

/// The endpoints that a request was sent to, by their places in the set.
#[derive(Default)]
struct TriedEndpoints {
    places: [usize; MAX_TRIED],
    count: usize,
}

impl Forwarder {
    /// The upstreams in the order of the configuration. Idle connections of the forwarder `before`
    /// are kept where they lead to the same place.
    #[must_use]
    pub fn new(upstreams: &[Arc<SharedUpstream>], before: Option<&Self>) -> Self {
        let worker = |shared: &Arc<SharedUpstream>| {
            let name = &shared.upstream().name;
            let before = before.and_then(|before| {
                before
                    .upstreams
                    .iter()
                    .find(|worker| worker.shared.upstream().name == *name)
            });
            before
                .filter(|worker| Arc::ptr_eq(&worker.shared, shared))
                .cloned()
                .unwrap_or_else(|| {
                    Rc::new(WorkerUpstream::new(shared, before.map(|worker| &**worker)))
                })
        };
        let ticker =
            before.map_or_else(|| Rc::new(Ticker::start()), |before| before.ticker.clone());
        Self {
            upstreams: upstreams.iter().map(worker).collect(),
            ticker,
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn forward(
        &self,
        request: Outgoing<'_>,
        request_log: &mut RequestLog,
    ) -> Result<UpstreamResponse, GatewayError> {
        let worker = &self.upstreams[request.upstream.index];
        let started = monotonic_now();
        request_log.upstream_started = Some(started);
        let mut counted = OutcomeCounter {
            shared: &worker.shared,
            outcome: Some(CLIENT_LEFT),
        };
        let guard = request.guard;
        let result = tokio::select! {
            biased;
            result = worker.send(request, started, request_log) => result,
            ended = guard.ended(&self.ticker) => Err(ended),
        };
        let answered_at = result
            .as_ref()
            .map_or_else(|_| monotonic_now(), |response| response.at);
        request_log.upstream_took = Some(answered_at.duration_since(started));
        match result {
            Ok(response) => {
                counted.outcome = None;
                worker.shared.answered_requests.inc();
                Ok(response)
            }
            Err(error) => {
                let (outcome, response) = client_error(&error);
                counted.outcome = Some(outcome);
                log_failure(
                    &error,
                    &worker.shared.upstream().name,
                    &request_log.inbound.id,
                );
                Err(response)
            }
        }
    }
}

impl WorkerUpstream {
    fn new(shared: &Arc<SharedUpstream>, before: Option<&Self>) -> Self {
        let news = shared.state.subscribe();
        let upstream = shared.upstream();
        // A connection with TLS belongs to the certificates that it was made with.
        let plain = before.filter(|worker| {
            upstream.tls.is_none()
                && worker.shared.upstream().tls.is_none()
                && worker.shared.upstream().idle == upstream.idle
        });
        let before = plain.map(|worker| worker.view.borrow().clone());
        let view = Rc::new(PoolView::new(
            news.borrow().clone(),
            upstream,
            before.as_deref(),
        ));
        let budget = RetryBudget::new(shared.upstream().retries, monotonic_now());
        Self {
            shared: shared.clone(),
            news: RefCell::new(news),
            view: RefCell::new(view),
            budget: RefCell::new(budget),
        }
    }

    async fn send(
        &self,
        request: Outgoing<'_>,
        started: Instant,
        request_log: &mut RequestLog,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let Outgoing {
            upstream,
            user,
            method,
            head,
            payload,
            framing,
            body_limit,
            timeout,
            upgrade,
            guard,
        } = request;
        let limit = upstream.total_timeout.map(|total| started + total);
        let first_byte_timeout = timeout.unwrap_or(upstream.first_byte_timeout);
        let terms = Terms {
            method,
            first_byte_timeout,
            timeout: timeout.unwrap_or(upstream.timeout),
            limit,
            upgrade,
            passed: &guard.passed,
        };
        let user = if upstream.balance == Balance::UserHash {
            user.map(|user| balance::stable_hash(&user.parts()))
        } else {
            None
        };
        let hint = PickHint {
            user,
            may_repeat: terms.may_repeat(),
        };
        let place = match &self.shared.queue {
            Some(queue) => Some(Box::pin(place(queue, guard)).await?),
            None => None,
        };
        let view = self.view().await?;
        self.budget.borrow_mut().request(started);
        let (mut tried, mut upload) = (
            TriedEndpoints::default(),
            Upload::new(head, payload, framing, body_limit),
        );
        let mut pick = self
            .shared
            .state
            .pick(&view.set, &[], hint, started)
            .ok_or(UpstreamError::AllUnhealthy)?;
        // Whoever waited in the queue began later.
        let mut now = if place.is_some() {
            monotonic_now()
        } else {
            started
        };
        loop {
            let target = &view.set.targets()[pick.index];
            tried.push(pick.index);
            (request_log.endpoint, request_log.attempts) = (Some(target.name.clone()), tried.count);
            // With one address there is nothing to compare.
            let under_way = (view.set.targets().len() > 1).then(|| UnderWay::to(target));
            let (error, again) = match self.attempt(&view, pick.index, upload, now, terms).await {
                Ok(answer) => {
                    self.shared.succeeded(target, &pick);
                    return response(
                        answer,
                        view.pools[pick.index].clone(),
                        RequestPermits { place, under_way },
                        terms,
                    )
                    .await;
                }
                Err(failed) => failed,
            };
            now = monotonic_now();
            if error.is_the_endpoints() {
                self.shared.failed(target, &pick, now);
            }
            let Some((again, next)) = again.zip(self.next(&view, &tried, hint, now, limit)) else {
                return Err(error);
            };
            (upload, pick) = (again, next);
        }
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
        let enough = tried.count > self.shared.upstream().retries.attempts as usize
            || tried.count == MAX_TRIED
            || limit.is_some_and(|limit| now >= limit);
        let next = if enough {
            None
        } else {
            self.shared.state.pick(&view.set, tried.places(), hint, now)
        }?;
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
    ) -> Result<ExchangeResponse, (UpstreamError, Option<Box<Upload>>)> {
        let target = &view.set.targets()[index];
        let upstream = self.shared.upstream();
        if upstream.host == HostHeader::Endpoint {
            upload.set_host(&upstream.endpoints[target.endpoint].authority());
        }
        // A handshake keeps its connection, so it brings its own.
        let kept = if terms.upgrade.is_none() {
            view.pools[index].take(now, terms.may_repeat())
        } else {
            None
        };
        if let Some((connection, bodiless)) = kept {
            let answer = exchange(connection, upload, now, terms).await;
            match answer {
                Err(Failed {
                    failure: Failure::Answer(BadAnswer::Cut),
                    ..
                }) if bodiless => view.pools[index].note_untidy(),
                Err(Failed {
                    failure: Failure::Answer(BadAnswer::Leftover),
                    ..
                }) => view.pools[index].note_untidy(),
                _ => {}
            }
            match answer {
                Ok(answer) => return Ok(answer),
                Err(Failed {
                    again: None,
                    failure,
                }) => return Err((self.error(failure, target, terms), None)),
                // It was closed while it rested, or what was left of its last answer came, which
                // says nothing about the endpoint.
                Err(Failed {
                    again: Some(again), ..
                }) => upload = again,
            }
            self.shared.retried("stale_connection");
        }
        let left = terms.limit.map_or(upstream.connect_timeout, |limit| {
            limit
                .saturating_duration_since(monotonic_now())
                .min(upstream.connect_timeout)
        });
        // Boxed, as all that happens rarely: a future is as large as the largest of what it may
        // wait for, and is moved.
        let connection = match Box::pin(self.shared.connector.connect(
            target,
            left,
            terms.first_byte_timeout,
        ))
        .await
        {
            Ok(connection) => connection,
            Err(ConnectError::Endpoint(reason)) => {
                return Err((
                    UpstreamError::Unreachable {
                        endpoint: target.name.clone(),
                        reason,
                    },
                    Some(upload),
                ));
            }
            Err(ConnectError::Own(reason)) => {
                return Err((
                    UpstreamError::Starved {
                        endpoint: target.name.clone(),
                        reason,
                    },
                    Some(upload),
                ));
            }
        };
        self.shared.connected(target);
        exchange(connection, upload, monotonic_now(), terms)
            .await
            .map_err(|Failed { failure, again }| (self.error(failure, target, terms), again))
    }

    /// The addresses as they are now. Before the first look-up of its names has come back, an
    /// upstream has none.
    async fn view(&self) -> Result<Rc<PoolView>, UpstreamError> {
        if self.view.borrow().set.targets().is_empty() {
            let mut news = self.news.borrow().clone();
            let known = news.wait_for(|set| !set.targets().is_empty());
            match Box::pin(tokio::time::timeout(
                self.shared.upstream().connect_timeout,
                known,
            ))
            .await
            {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Err(UpstreamError::Unresolved),
            }
        }
        if self.news.borrow().has_changed().unwrap_or(false) {
            let set = self.news.borrow_mut().borrow_and_update().clone();
            let view = PoolView::new(set, self.shared.upstream(), Some(&*self.view.borrow()));
            self.view.replace(Rc::new(view));
        }
        Ok(self.view.borrow().clone())
    }

    fn error(
        &self,
        failure: Failure,
        target: &ResolvedEndpoint,
        terms: Terms<'_>,
    ) -> UpstreamError {
        let (endpoint, upstream) = (target.name.clone(), self.shared.upstream());
        match failure {
            Failure::Answer(why) => UpstreamError::Broken { endpoint, why },
            Failure::Silence => {
                let total = upstream
                    .total_timeout
                    .filter(|_| terms.limit.is_some_and(|limit| monotonic_now() >= limit));
                UpstreamError::Timeout {
                    endpoint,
                    timeout: total.unwrap_or(terms.first_byte_timeout),
                }
            }
            Failure::Client => UpstreamError::ClientLeft,
            Failure::TooLarge => UpstreamError::BodyTooLarge,
        }
    }
}

impl Drop for OutcomeCounter<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.shared.unanswered(outcome);
        }
    }
}

/// A place among those that are under way. Whoever had to wait for it may have been signed out
/// meanwhile.
async fn place(
    queue: &Queue,
    guard: &PendingGuard<'_>,
) -> Result<OwnedSemaphorePermit, UpstreamError> {
    if let Some(place) = queue.free() {
        return Ok(place);
    }
    let place = queue.enter().await.map_err(|_| UpstreamError::Full)?;
    if guard.is_alive().await {
        Ok(place)
    } else {
        Err(UpstreamError::SessionEnded)
    }
}

/// The answer with its body still to come.
async fn response(
    mut answer: ExchangeResponse,
    pool: Rc<Pool>,
    held: RequestPermits,
    terms: Terms<'_>,
) -> Result<UpstreamResponse, UpstreamError> {
    if terms.timeout != terms.first_byte_timeout {
        answer.connection.idle_timer.renew(terms.timeout);
    }
    let at = answer.at;
    let (head, mut body) = Download::new(answer, pool, held, terms.timeout);
    match body.finish_if_empty().await {
        Err(BrokenBody::Client) => Err(UpstreamError::ClientLeft),
        Err(BrokenBody::TooLarge) => Err(UpstreamError::BodyTooLarge),
        Ok(()) | Err(_) => Ok(UpstreamResponse { head, at, body }),
    }
}

impl PoolView {
    /// Idle connections to addresses that stay are kept.
    fn new(set: Arc<EndpointSet>, upstream: &Upstream, before: Option<&Self>) -> Self {
        let kept = |target: &Arc<ResolvedEndpoint>| {
            let before = before?;
            let index = before
                .set
                .targets()
                .iter()
                .position(|old| old.id == target.id && old.address == target.address)?;
            Some(before.pools[index].clone())
        };
        let pools = set
            .targets()
            .iter()
            .map(|target| kept(target).unwrap_or_else(|| Rc::new(Pool::new(upstream.idle))))
            .collect();
        Self { set, pools }
    }
}

impl TriedEndpoints {
    const fn push(&mut self, place: usize) {
        if self.count < MAX_TRIED {
            self.places[self.count] = place;
            self.count += 1;
        }
    }

    fn places(&self) -> &[usize] {
        &self.places[..self.count]
    }
}
