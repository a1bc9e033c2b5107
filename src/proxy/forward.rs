//! A request on its way to an upstream: forwarded by the worker's connections to it, watched until
//! its answer, and counted however it ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::web::BytesMut;

use crate::clock::monotonic_now;
use crate::http::GatewayError;
use crate::http::request_log::UpstreamCall;
use crate::proxy::pending_guard::{PendingGuard, Ticker};
use crate::proxy::shared_upstream::SharedUpstream;
use crate::proxy::unanswered::{CLIENT_LEFT, client_error, log_failure};
use crate::proxy::worker_upstream::{UpstreamResponse, WorkerUpstream};
use crate::session::UserKey;
use crate::upstream::{Balance, PickHint, Upstream, balance};
use crate::upstream_client::exchange::Terms;
use crate::upstream_client::upgrade::Upgrade;
use crate::upstream_client::upload::{BodyFraming, Upload};

/// A request to an upstream.
pub struct Outgoing<'a> {
    pub upstream: &'a Upstream,
    /// Whose it is, for upstreams that stay with a user.
    pub user: Option<&'a UserKey>,
    pub method: &'a str,
    /// The serialised head.
    pub head: BytesMut,
    pub payload: Payload,
    /// The body's framing, as the head announces it.
    pub framing: BodyFraming,
    /// Longest body.
    pub body_limit: u64,
    /// The route's own limit of silence, instead of the upstream's.
    pub timeout: Option<Duration>,
    /// A limit of the whole request, beside the upstream's.
    pub total_timeout: Option<Duration>,
    /// What the upstream must answer to a WebSocket handshake, where it is one.
    pub upgrade: Option<&'a Upgrade>,
    /// What ends it before its answer.
    pub guard: &'a PendingGuard<'a>,
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

impl Forwarder {
    /// The upstreams in the order of the configuration. Idle connections of the forwarder `before`
    /// are kept where they lead to the same place.
    pub fn new(upstreams: &[Arc<SharedUpstream>], before: Option<&Self>) -> Self {
        let upstreams = upstreams
            .iter()
            .map(|shared| {
                let before = before.and_then(|before| before.upstream(&shared.upstream().name));
                WorkerUpstream::succeeding(shared, before)
            })
            .collect();
        let ticker =
            before.map_or_else(|| Rc::new(Ticker::start()), |before| before.ticker.clone());
        Self { upstreams, ticker }
    }

    /// The settings of an upstream.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Upstream> {
        Some(self.upstream(name)?.shared.upstream())
    }

    fn upstream(&self, name: &str) -> Option<&Rc<WorkerUpstream>> {
        let mut all = self.upstreams.iter();
        all.find(|worker| *worker.shared.upstream().name == *name)
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn forward(
        &self,
        request: Outgoing<'_>,
        call: &mut UpstreamCall,
        request_id: &str,
    ) -> Result<UpstreamResponse, GatewayError> {
        let worker = &self.upstreams[request.upstream.index];
        let started = monotonic_now();
        call.started = Some(started);
        let mut counted = OutcomeCounter {
            shared: &worker.shared,
            outcome: Some(CLIENT_LEFT),
        };
        let guard = request.guard;
        let terms = request.terms(started);
        let hint = PickHint {
            user: request.user_hash(),
            may_repeat: terms.may_repeat(),
        };
        let upload = Upload::new(
            request.head,
            request.payload,
            request.framing,
            request.body_limit,
        );
        let result = tokio::select! {
            biased;
            result = worker.send(upload, terms, hint, guard, started, call) => result,
            ended = guard.ended(&self.ticker) => Err(ended),
        };
        let answered_at = result
            .as_ref()
            .map_or_else(|_| monotonic_now(), |response| response.at);
        call.took = Some(answered_at.duration_since(started));
        match result {
            Ok(response) => {
                counted.outcome = None;
                worker.shared.answered_requests.inc();
                Ok(response)
            }
            Err(error) => {
                let (outcome, response) = client_error(&error);
                counted.outcome = Some(outcome);
                log_failure(&error, &worker.shared.upstream().name, request_id);
                Err(response)
            }
        }
    }
}

impl<'a> Outgoing<'a> {
    fn terms(&self, started: Instant) -> Terms<'a> {
        let upstream = self.upstream;
        Terms {
            method: self.method,
            first_byte_timeout: self.timeout.unwrap_or(upstream.first_byte_timeout),
            timeout: self.timeout.unwrap_or(upstream.timeout),
            limit: shorter(upstream.total_timeout, self.total_timeout).map(|total| started + total),
            is_impatient: self.total_timeout.is_some_and(|total| {
                total < upstream.first_byte_timeout
                    && upstream.total_timeout.is_none_or(|most| total < most)
            }),
            upgrade: self.upgrade,
            passed: &self.guard.passed,
        }
    }

    /// The hash of the user, where the upstream stays with a user.
    fn user_hash(&self) -> Option<u64> {
        let user = self
            .user
            .filter(|_| self.upstream.balance == Balance::UserHash)?;
        Some(balance::stable_hash(&user.parts()))
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Drop for OutcomeCounter<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            let upstream = &self.shared.upstream().name;
            self.shared.metrics.upstream.request(upstream, outcome);
        }
    }
}
