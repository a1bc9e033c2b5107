//! What is counted. One struct with a field for each metric, registered under the names of
//! docs/metrics.md; the page that Prometheus reads is made from it by `telemetry`.

mod exposition;
mod labels;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::exposition::Exposition;
pub use self::labels::{
    AppApi, AppOutcome, CertificateName, Code, EndpointLabel, Mode, Operation, Outcome,
    PolicyOutcome, RouteLabel, RouteStatus, StoreNode, UpstreamLabel, UpstreamOutcome,
};

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: from a cached lookup to the longest that `wx.request` waits.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Every metric of a gateway process. Cheap to share: workers add to atomics.
pub struct Metrics {
    registry: Registry,
    names: Vec<&'static str>,
    /// Answers by route and status.
    pub requests: Family<RouteStatus, Counter>,
    /// Time from the request head to the last byte of the answer.
    pub request_seconds: Family<RouteLabel, Histogram>,
    /// Requests being answered now.
    pub requests_in_flight: Gauge,
    /// Requests that the parser refused, by error code.
    pub refused_requests: Family<Code, Counter>,
    /// Connections of clients that are open now.
    pub connections_open: Gauge,
    /// WebSockets that are open now.
    pub websockets_open: Gauge,
    /// TLS handshakes by outcome.
    pub tls_handshakes: Family<Outcome, Counter>,
    /// Until when the listener's certificates hold, in Unix seconds.
    pub certificate_ends: Family<CertificateName, Gauge>,
    /// Logins by outcome.
    pub logins: Family<AppOutcome, Counter>,
    /// Questions to quotas.
    pub limits: Family<PolicyOutcome, Counter>,
    /// Invalid tokens from addresses that send many of them.
    pub guessed_tokens: Counter,
    /// Session lookups by outcome.
    pub session_lookups: Family<Outcome, Counter>,
    /// Rotations of tokens by outcome.
    pub session_rotations: Family<Outcome, Counter>,
    /// Store calls.
    pub store_seconds: Family<Operation, Histogram>,
    /// Store calls that failed.
    pub store_errors: Family<Operation, Counter>,
    /// Connections opened to servers of the store.
    pub store_connections: Family<StoreNode, Counter>,
    /// Searches for the store's masters, by outcome.
    pub store_refreshes: Family<Outcome, Counter>,
    /// Revocations that waited for replicas, by outcome.
    pub store_replica_waits: Family<Outcome, Counter>,
    /// Connections that read sessions for the near cache, by how they learn of changes.
    pub store_push: Family<Mode, Gauge>,
    /// Lookups in the near cache, by outcome.
    pub near_cache: Family<Outcome, Counter>,
    /// Calls to the platforms.
    pub platform_seconds: Family<AppApi, Histogram>,
    /// Requests to upstreams by outcome.
    pub upstream_requests: Family<UpstreamOutcome, Counter>,
    /// Connections opened to upstreams.
    pub upstream_connections: Family<EndpointLabel, Counter>,
    /// Whether an endpoint is healthy.
    pub upstream_endpoints: Family<EndpointLabel, Gauge>,
    /// Times that an endpoint was left out because requests to it failed.
    pub upstream_ejections: Family<EndpointLabel, Counter>,
    /// Requests sent again, and those that the budget did not allow, by outcome.
    pub upstream_retries: Family<UpstreamOutcome, Counter>,
    /// Requests that wait for their turn.
    pub upstream_waiting: Family<UpstreamLabel, Gauge>,
    /// Readings of the configuration after the first, by outcome.
    pub reloads: Family<Outcome, Counter>,
    /// When the configuration in force was read, in Unix seconds.
    pub configuration_read: Gauge,
    /// Spans of requests by outcome.
    pub spans: Family<Outcome, Counter>,
    /// Access lines lost because the output did not keep up.
    pub access_lines_dropped: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut made = Self {
            registry: Registry::with_prefix("hufu"),
            names: Vec::new(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            requests_in_flight: Gauge::default(),
            refused_requests: Family::default(),
            connections_open: Gauge::default(),
            websockets_open: Gauge::default(),
            tls_handshakes: Family::default(),
            certificate_ends: Family::default(),
            logins: Family::default(),
            limits: Family::default(),
            guessed_tokens: Counter::default(),
            session_lookups: Family::default(),
            session_rotations: Family::default(),
            store_seconds: Family::new_with_constructor(seconds),
            store_errors: Family::default(),
            store_connections: Family::default(),
            store_refreshes: Family::default(),
            store_replica_waits: Family::default(),
            store_push: Family::default(),
            near_cache: Family::default(),
            platform_seconds: Family::new_with_constructor(seconds),
            upstream_requests: Family::default(),
            upstream_connections: Family::default(),
            upstream_endpoints: Family::default(),
            upstream_ejections: Family::default(),
            upstream_retries: Family::default(),
            upstream_waiting: Family::default(),
            reloads: Family::default(),
            configuration_read: Gauge::default(),
            spans: Family::default(),
            access_lines_dropped: Counter::default(),
        };
        made.register_all();
        made
    }

    fn register_all(&mut self) {
        self.register(
            "build_info",
            "The version of this gateway",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        self.register(
            "requests_total",
            "Answers by route and status",
            self.requests.clone(),
        );
        self.register(
            "request_duration_seconds",
            "From the request head to the last byte of the answer",
            self.request_seconds.clone(),
        );
        self.register(
            "requests_in_flight",
            "Requests being answered now",
            self.requests_in_flight.clone(),
        );
        self.register(
            "refused_requests_total",
            "Requests that the parser refused, by error code",
            self.refused_requests.clone(),
        );
        self.register(
            "connections_open",
            "Connections of clients that are open now",
            self.connections_open.clone(),
        );
        self.register(
            "websockets_open",
            "WebSockets that are open now",
            self.websockets_open.clone(),
        );
        self.register(
            "tls_handshakes_total",
            "TLS handshakes of clients by outcome",
            self.tls_handshakes.clone(),
        );
        self.register(
            "tls_certificate_not_after_seconds",
            "When the listener's certificates end, by the names in them",
            self.certificate_ends.clone(),
        );
        self.register(
            "logins_total",
            "Logins by app and outcome",
            self.logins.clone(),
        );
        self.register(
            "limits_total",
            "Questions to quotas, by policy and outcome",
            self.limits.clone(),
        );
        self.register(
            "guessed_tokens_total",
            "Invalid tokens from addresses that send many",
            self.guessed_tokens.clone(),
        );
        self.register(
            "session_lookups_total",
            "Session lookups by outcome",
            self.session_lookups.clone(),
        );
        self.register(
            "session_rotations_total",
            "Rotations of tokens by outcome",
            self.session_rotations.clone(),
        );
        self.register(
            "store_duration_seconds",
            "Store calls by operation",
            self.store_seconds.clone(),
        );
        self.register(
            "store_errors_total",
            "Store calls that failed, by operation",
            self.store_errors.clone(),
        );
        self.register(
            "store_connections_total",
            "Connections opened to servers of the store",
            self.store_connections.clone(),
        );
        self.register(
            "store_refreshes_total",
            "Searches for the store's masters, by outcome",
            self.store_refreshes.clone(),
        );
        self.register(
            "store_replica_waits_total",
            "Revocations that waited for replicas, by outcome",
            self.store_replica_waits.clone(),
        );
        self.register(
            "store_push_mode",
            "Connections that read sessions for the near cache, by how they learn of changes",
            self.store_push.clone(),
        );
        self.register(
            "near_cache_total",
            "Lookups in the near cache, by outcome",
            self.near_cache.clone(),
        );
        self.register(
            "platform_duration_seconds",
            "Calls to the platforms by app and API",
            self.platform_seconds.clone(),
        );
        self.register(
            "upstream_requests_total",
            "Requests to upstreams by outcome",
            self.upstream_requests.clone(),
        );
        self.register(
            "upstream_connections_total",
            "Connections opened to upstreams",
            self.upstream_connections.clone(),
        );
        self.register(
            "upstream_endpoint_up",
            "Whether an endpoint is healthy",
            self.upstream_endpoints.clone(),
        );
        self.register(
            "upstream_ejections_total",
            "Times that an endpoint was left out because requests failed",
            self.upstream_ejections.clone(),
        );
        self.register(
            "upstream_retries_total",
            "Requests sent again, by outcome",
            self.upstream_retries.clone(),
        );
        self.register(
            "upstream_waiting",
            "Requests that wait for their turn",
            self.upstream_waiting.clone(),
        );
        self.register(
            "reloads_total",
            "Readings of the configuration after the first, by outcome",
            self.reloads.clone(),
        );
        self.register(
            "configuration_read_timestamp_seconds",
            "When the configuration in force was read",
            self.configuration_read.clone(),
        );
        self.register(
            "spans_total",
            "Spans for the OpenTelemetry collector, by outcome",
            self.spans.clone(),
        );
        self.register(
            "access_lines_dropped_total",
            "Access lines lost because the output did not keep up",
            self.access_lines_dropped.clone(),
        );
    }

    /// Under the name that Prometheus shows; the text format adds its suffixes itself.
    fn register(
        &mut self,
        name: &'static str,
        help: &str,
        metric: impl prometheus_client::registry::Metric,
    ) {
        self.names.push(name);
        self.registry.register(
            name.trim_end_matches("_total").trim_end_matches("_info"),
            help,
            metric,
        );
    }

    /// The names of all metrics as Prometheus shows them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.names
            .iter()
            .map(|name| format!("hufu_{name}"))
            .collect()
    }

    /// The page that Prometheus reads.
    pub fn encode(&self, form: Exposition) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.registry)?;
        match form {
            Exposition::OpenMetrics => Ok(page),
            Exposition::Text => exposition::text(&page),
        }
    }

    /// Counts a request that the parser has refused.
    pub fn refused_request(&self, code: &'static str) {
        self.refused_requests.get_or_create(&Code { code }).inc();
    }

    /// Counts a TLS handshake of a client.
    pub fn tls_handshake(&self, outcome: &'static str) {
        self.tls_handshakes
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    /// Shows until when each name has a certificate, in Unix seconds. Names that are not there any
    /// more go.
    pub fn certificates(&self, ends: impl IntoIterator<Item = (String, u64)>) {
        self.certificate_ends.clear();
        for (name, end) in ends {
            self.certificate_ends
                .get_or_create(&CertificateName { name })
                .set(i64::try_from(end).unwrap_or(i64::MAX));
        }
    }

    /// Counts a client's connection for as long as the value lives.
    #[must_use]
    pub fn connection_opened(&self) -> OpenConnection {
        self.connections_open.inc();
        OpenConnection(self.connections_open.clone())
    }

    /// Counts a connection opened to a server of the store.
    pub fn store_connection(&self, node: &str) {
        self.store_connections
            .get_or_create(&StoreNode {
                node: node.to_owned(),
            })
            .inc();
    }

    /// Notes how many connections hear of changes in this way.
    pub fn store_push(&self, mode: &'static str, connections: usize) {
        self.store_push
            .get_or_create(&Mode { mode })
            .set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Counts a lookup in the near cache.
    pub fn near_cache(&self, outcome: &'static str) {
        self.near_cache.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a request to an upstream.
    pub fn upstream_request(&self, upstream: &str, outcome: &'static str) {
        self.upstream_requests
            .get_or_create(&UpstreamOutcome {
                upstream: upstream.to_owned(),
                outcome,
            })
            .inc();
    }

    /// Counts a connection opened to an upstream.
    pub fn upstream_connection(&self, upstream: &str, endpoint: &str) {
        self.upstream_connections
            .get_or_create(&endpoint_label(upstream, endpoint))
            .inc();
    }

    /// The counter of answered requests to an upstream, found once and then used without a lookup.
    #[must_use]
    pub fn upstream_answered(&self, upstream: &str) -> Counter {
        self.upstream_requests
            .get_or_create_owned(&UpstreamOutcome {
                upstream: upstream.to_owned(),
                outcome: "answered",
            })
    }

    /// Shows whether an endpoint is healthy.
    pub fn upstream_endpoint(&self, upstream: &str, endpoint: &str, is_healthy: bool) {
        self.upstream_endpoints
            .get_or_create(&endpoint_label(upstream, endpoint))
            .set(i64::from(is_healthy));
    }

    /// An endpoint's address is not used any more.
    pub fn upstream_endpoint_gone(&self, upstream: &str, endpoint: &str) {
        self.upstream_endpoints
            .remove(&endpoint_label(upstream, endpoint));
    }

    /// Counts that an endpoint was left out.
    pub fn upstream_ejection(&self, upstream: &str, endpoint: &str) {
        self.upstream_ejections
            .get_or_create(&endpoint_label(upstream, endpoint))
            .inc();
    }

    /// Counts a request that was sent again, or was not because the budget did not allow it.
    pub fn upstream_retry(&self, upstream: &str, outcome: &'static str) {
        self.upstream_retries
            .get_or_create(&UpstreamOutcome {
                upstream: upstream.to_owned(),
                outcome,
            })
            .inc();
    }

    /// The gauge of requests that wait for their turn at an upstream.
    #[must_use]
    pub fn upstream_waiting(&self, upstream: &str) -> Gauge {
        self.upstream_waiting.get_or_create_owned(&UpstreamLabel {
            upstream: upstream.to_owned(),
        })
    }

    /// Counts a reading of the configuration after the first.
    pub fn reload(&self, outcome: &'static str) {
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Notes when the configuration in force was read.
    pub fn configuration_read(&self, unix_seconds: u64) {
        self.configuration_read
            .set(i64::try_from(unix_seconds).unwrap_or(i64::MAX));
    }

    /// The counters of one route, found once and then used without a lookup.
    #[must_use]
    pub fn route(&self, route: &str) -> RouteMetrics {
        RouteMetrics {
            route: route.to_owned(),
            requests: self.requests.clone(),
            by_status: std::iter::repeat_with(OnceLock::new).take(500).collect(),
            seconds: self.request_seconds.get_or_create_owned(&RouteLabel {
                route: route.to_owned(),
            }),
        }
    }
}

fn endpoint_label(upstream: &str, endpoint: &str) -> EndpointLabel {
    EndpointLabel {
        upstream: upstream.to_owned(),
        endpoint: endpoint.to_owned(),
    }
}

/// A client's connection, counted until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The counters of one route; a request adds to them without hashing a label.
pub struct RouteMetrics {
    route: String,
    requests: Family<RouteStatus, Counter>,
    by_status: Vec<OnceLock<Counter>>,
    seconds: Histogram,
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteMetrics({})", self.route)
    }
}

impl RouteMetrics {
    /// Counts one answer.
    pub fn record_answer(&self, status: u16, took: Duration) {
        let count = || {
            self.requests.get_or_create_owned(&RouteStatus {
                route: self.route.clone(),
                status,
            })
        };
        match self.by_status.get(usize::from(status).wrapping_sub(100)) {
            Some(cell) => cell.get_or_init(count).inc(),
            None => count().inc(),
        };
        self.seconds.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_what_was_counted() {
        let metrics = Metrics::new();
        metrics
            .route("/api")
            .record_answer(200, Duration::from_millis(3));
        let page = metrics.encode(Exposition::OpenMetrics).unwrap();
        assert!(
            page.contains(r#"hufu_requests_total{route="/api",status="200"} 1"#),
            "{page}"
        );
        assert!(
            page.contains(r#"hufu_request_duration_seconds_bucket{le="0.005",route="/api"} 1"#),
            "{page}"
        );
    }
}
