//! Requests to upstreams, and their endpoints.

use prometheus_client::encoding::EncodeLabelSet;

use super::registrar::Registrar;
use super::{Counter, Family, Gauge};

pub struct UpstreamMetrics {
    requests: Family<UpstreamOutcome, Counter>,
    connections: Family<EndpointLabel, Counter>,
    endpoints: Family<EndpointLabel, Gauge>,
    ejections: Family<EndpointLabel, Counter>,
    /// Requests sent again, and those that the budget did not allow, by outcome.
    retries: Family<UpstreamOutcome, Counter>,
    waiting: Family<UpstreamLabel, Gauge>,
}

impl UpstreamMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
        Self {
            requests: registrar.metric(
                "upstream_requests_total",
                "Requests to upstreams by outcome",
            ),
            connections: registrar.metric(
                "upstream_connections_total",
                "Connections opened to upstreams",
            ),
            endpoints: registrar.metric("upstream_endpoint_up", "Whether an endpoint is healthy"),
            ejections: registrar.metric(
                "upstream_ejections_total",
                "Times that an endpoint was left out because requests failed",
            ),
            retries: registrar.metric("upstream_retries_total", "Requests sent again, by outcome"),
            waiting: registrar.metric("upstream_waiting", "Requests that wait for their turn"),
        }
    }

    /// Counts a request to an upstream.
    pub fn request(&self, upstream: &str, outcome: &'static str) {
        self.requests
            .get_or_create(&UpstreamOutcome::new(upstream, outcome))
            .inc();
    }

    /// The counter of answered requests to an upstream, found once and then used without a lookup.
    pub fn answered(&self, upstream: &str) -> Counter {
        self.requests
            .get_or_create_owned(&UpstreamOutcome::new(upstream, "answered"))
    }

    /// Counts a request that was sent again, or was not because the budget did not allow it.
    pub fn retry(&self, upstream: &str, outcome: &'static str) {
        self.retries
            .get_or_create(&UpstreamOutcome::new(upstream, outcome))
            .inc();
    }

    /// Counts a connection opened to an upstream.
    pub fn connection(&self, upstream: &str, endpoint: &str) {
        self.connections
            .get_or_create(&EndpointLabel::new(upstream, endpoint))
            .inc();
    }

    /// Shows whether an endpoint is healthy.
    pub fn endpoint(&self, upstream: &str, endpoint: &str, is_healthy: bool) {
        self.endpoints
            .get_or_create(&EndpointLabel::new(upstream, endpoint))
            .set(i64::from(is_healthy));
    }

    /// An endpoint's address is not used any more.
    pub fn endpoint_gone(&self, upstream: &str, endpoint: &str) {
        self.endpoints
            .remove(&EndpointLabel::new(upstream, endpoint));
    }

    /// Counts that an endpoint was left out.
    pub fn ejection(&self, upstream: &str, endpoint: &str) {
        self.ejections
            .get_or_create(&EndpointLabel::new(upstream, endpoint))
            .inc();
    }

    /// The gauge of requests that wait for their turn at an upstream.
    pub fn waiting(&self, upstream: &str) -> Gauge {
        self.waiting.get_or_create_owned(&UpstreamLabel {
            upstream: upstream.to_owned(),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamOutcome {
    /// The upstream's name in the configuration.
    upstream: String,
    /// `answered`, `unreachable`, `timeout`, `broken`, `unavailable`, `client_left`,
    /// `session_expired`, `forbidden`, `store_unavailable` or `shutting_down`; of retries `stale_connection`,
    /// `another_endpoint` or `refused`.
    outcome: &'static str,
}

impl UpstreamOutcome {
    fn new(upstream: &str, outcome: &'static str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            outcome,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    /// As in [`UpstreamOutcome`].
    upstream: String,
    /// Its address.
    endpoint: String,
}

impl EndpointLabel {
    fn new(upstream: &str, endpoint: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            endpoint: endpoint.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabel {
    /// As in [`UpstreamOutcome`].
    upstream: String,
}
