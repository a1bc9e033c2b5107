//! One upstream as all workers share it: its state, the way to its addresses, its queue; and what
//! is said of it in log and metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::{Counter, Metrics};
use crate::proxy::queue::Queue;
use crate::telemetry::Throttle;
use crate::upstream::resolved::Address;
use crate::upstream::{Change, Pick, ResolvedEndpoint, Upstream, UpstreamState};
use crate::upstream_client::connector::{Connector, TlsError};

/// One upstream, for all workers.
pub struct SharedUpstream {
    /// What is known of its endpoints.
    pub state: UpstreamState,
    /// The way to them.
    pub connector: Connector,
    /// Limits the requests in progress; `None`: there is no limit.
    pub queue: Option<Queue>,
    /// Requests that were answered, counted without a lookup.
    pub answered_requests: Counter,
    pub metrics: Arc<Metrics>,
}

impl SharedUpstream {
    /// An upstream of the configuration; reads the files of its TLS.
    pub fn new(upstream: Arc<Upstream>, metrics: Arc<Metrics>) -> Result<Self, TlsError> {
        Self::with(UpstreamState::new(upstream), metrics)
    }

    /// The same upstream under the settings of a later reading of the configuration; what is known
    /// of the endpoints that stay goes on. Requests under way keep the places that they have in the
    /// old one's queue.
    pub fn succeeding(&self, upstream: Arc<Upstream>) -> Result<Self, TlsError> {
        Self::with(self.state.succeeding(upstream), self.metrics.clone())
    }

    /// Whether nothing about it is different under these settings. Files of TLS may hold something
    /// else by now.
    pub fn serves(&self, upstream: &Upstream) -> bool {
        self.upstream().is_same(upstream) && upstream.tls.is_none()
    }

    fn with(state: UpstreamState, metrics: Arc<Metrics>) -> Result<Self, TlsError> {
        let upstream = &state.upstream;
        let connector = Connector::new(upstream)?;
        let waiting = metrics.upstream.waiting(&upstream.name);
        let queue = (upstream.max_concurrent > 0).then(|| {
            Queue::new(
                upstream.max_concurrent,
                upstream.queue,
                upstream.queue_timeout,
                waiting,
            )
        });
        let answered_requests = metrics.upstream.answered(&upstream.name);
        let made = Self {
            state,
            connector,
            queue,
            answered_requests,
            metrics,
        };
        made.state
            .targets()
            .targets
            .iter()
            .for_each(|target| made.show(target));
        Ok(made)
    }

    /// Its settings.
    pub fn upstream(&self) -> &Upstream {
        &self.state.upstream
    }

    /// It is not used any more: addresses that no other of these has are not shown any longer.
    pub fn retire(&self, others: &[Arc<Self>]) {
        let upstream = &*self.upstream().name;
        let mut others = others.iter();
        let successor = others.find(|other| *other.upstream().name == *upstream);
        let next = successor.map(|other| other.state.targets());
        let stay = next.as_ref().map_or(&[][..], |set| &set.targets);
        for target in &self.state.targets().targets {
            if stay.iter().all(|other| other.name != target.name) {
                self.metrics.upstream.endpoint_gone(upstream, &target.name);
            }
        }
    }

    /// A request was sent again: why, in a word of docs/metrics.md.
    pub fn retried(&self, outcome: &'static str) {
        self.metrics.upstream.retry(&self.upstream().name, outcome);
    }

    /// A target answered.
    pub fn succeeded(&self, target: &ResolvedEndpoint, pick: &Pick) {
        if let Some(change) = self.state.succeeded(target, pick) {
            self.report(target, change);
        }
    }

    /// A target did not answer.
    pub fn failed(&self, target: &ResolvedEndpoint, pick: &Pick, now: Instant) {
        if let Some(change) = self.state.failed(target, pick, now) {
            self.report(target, change);
        }
    }

    /// A target could not be asked, since the gateway has no descriptor or no port for it. In the
    /// log, now and then: it goes for all of them.
    pub fn starves(&self, target: &ResolvedEndpoint, why: &str) {
        static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
        if let Some(silent) = THROTTLE.admit() {
            let upstream = &*self.upstream().name;
            let endpoint = &*target.name;
            log::warn!(upstream, endpoint; "cannot open a connection to the endpoint: {why}{silent}");
        }
    }

    /// What a health check found; `Err`: what was wrong.
    pub fn checked(&self, target: &ResolvedEndpoint, found: Result<(), &str>) {
        if !self.state.checked(target, found.is_ok()) {
            return;
        }
        let upstream = &*self.upstream().name;
        match found {
            Ok(()) => {
                log::info!(upstream, endpoint = &*target.name; "health checks: endpoint is healthy again");
            }
            Err(why) => {
                log::warn!(upstream, endpoint = &*target.name; "health checks: endpoint is unhealthy and gets no requests: {why}");
            }
        }
        self.show(target);
    }

    /// Takes over what a look-up of the host names has found.
    pub fn refresh(&self, found: &[Option<Vec<Address>>]) {
        let Some(gone) = self.state.refresh(found) else {
            return;
        };
        let upstream = &*self.upstream().name;
        for target in &gone {
            self.metrics.upstream.endpoint_gone(upstream, &target.name);
        }
        let set = self.state.targets();
        set.targets.iter().for_each(|target| self.show(target));
        let names: Vec<&str> = set.targets.iter().map(|target| &*target.name).collect();
        log::info!(upstream; "endpoint addresses are now {}", names.join(", "));
    }

    fn report(&self, target: &ResolvedEndpoint, change: Change) {
        let upstream = &*self.upstream().name;
        let endpoint = &*target.name;
        match change {
            Change::Ejected { time } => {
                self.metrics.upstream.ejection(upstream, endpoint);
                let time = humantime::format_duration(time);
                log::warn!(upstream, endpoint; "endpoint ejected for {time}: requests to it fail");
            }
            Change::Suspected => {
                log::warn!(upstream, endpoint; "requests to the endpoint fail; it stays in use, since max_percent of the endpoints are ejected already");
            }
            Change::Returned => log::info!(upstream, endpoint; "endpoint answers again"),
        }
        self.show(target);
    }

    fn show(&self, target: &ResolvedEndpoint) {
        self.metrics
            .upstream
            .endpoint(&self.upstream().name, &target.name, target.is_healthy());
    }
}
