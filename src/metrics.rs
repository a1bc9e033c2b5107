//! What is counted. One struct with a field for each metric, registered under the names of
//! docs/metrics.md; the page that Prometheus reads is made from it by `telemetry`.

mod exposition;
mod labels;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub use self::exposition::Exposition;
pub use self::labels::{
    AppApi, AppLabel, AppOperation, AppOutcome, CertificateName, Code, EndpointLabel, Mode,
    Operation, Outcome, PlatformApiCall, PolicyOutcome, RouteLabel, RouteStatus, StoreNode,
    UpstreamLabel, UpstreamOutcome,
};

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: from a cached lookup to the longest that `wx.request` waits.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Durations, by label.
pub type Times<L> = Family<L, Histogram>;

/// Every metric of a gateway process. Cheap to share: workers add to atomics.
pub struct Metrics {
    registrar: Registrar,
    pub requests: Family<RouteStatus, Counter>,
    pub request_seconds: Times<RouteLabel>,
    pub requests_in_flight: Gauge,
    pub refused_requests: Family<Code, Counter>,
    /// Of sessions that do not have what a route requires.
    pub forbidden_requests: Family<RouteLabel, Counter>,
    pub connections_open: Gauge,
    pub websockets_open: Gauge,
    pub tls_handshakes: Family<Outcome, Counter>,
    /// Until when the listeners' certificates hold, in Unix seconds.
    pub certificate_ends: Family<CertificateName, Gauge>,
    /// The same, as each listener has said last.
    certificates: Mutex<BTreeMap<&'static str, Vec<(String, u64)>>>,
    pub logins: Family<AppOutcome, Counter>,
    pub login_hooks: Family<AppOutcome, Counter>,
    pub login_hook_seconds: Times<AppLabel>,
    /// Also phone numbers and session_keys.
    pub open_data: Family<AppOperation, Counter>,
    pub limits: Family<PolicyOutcome, Counter>,
    /// Invalid tokens from addresses that send many of them.
    pub guessed_tokens: Counter,
    pub session_lookups: Family<Outcome, Counter>,
    pub session_rotations: Family<Outcome, Counter>,
    pub user_changes: Family<AppOperation, Counter>,
    pub assertions_signed: Counter,
    pub assertion_cache_bytes: Gauge,
    pub store_seconds: Times<Operation>,
    pub store_errors: Family<Operation, Counter>,
    pub store_connections: Family<StoreNode, Counter>,
    pub store_refreshes: Family<Outcome, Counter>,
    pub store_replica_waits: Family<Outcome, Counter>,
    pub store_push: Family<Mode, Gauge>,
    pub near_cache: Family<Outcome, Counter>,
    pub platform_seconds: Times<AppApi>,
    /// Calls of the platform's API by backends.
    pub platform_api_calls: Family<PlatformApiCall, Counter>,
    pub app_token_fetches: Family<AppOutcome, Counter>,
    pub app_ticket_fetches: Family<AppOutcome, Counter>,
    pub app_token_refusals: Family<AppLabel, Counter>,
    /// When the access token was fetched, in Unix seconds.
    pub app_token_fetched: Family<AppLabel, Gauge>,
    /// When the access token ends, in Unix seconds.
    pub app_token_ends: Family<AppLabel, Gauge>,
    pub pushes: Family<AppOutcome, Counter>,
    /// Tries to deliver messages that were kept.
    pub push_redeliveries: Family<AppOutcome, Counter>,
    pub pushes_kept: Family<AppLabel, Gauge>,
    pub upstream_requests: Family<UpstreamOutcome, Counter>,
    pub upstream_connections: Family<EndpointLabel, Counter>,
    pub upstream_endpoints: Family<EndpointLabel, Gauge>,
    pub upstream_ejections: Family<EndpointLabel, Counter>,
    /// Requests sent again, and those that the budget did not allow, by outcome.
    pub upstream_retries: Family<UpstreamOutcome, Counter>,
    pub upstream_waiting: Family<UpstreamLabel, Gauge>,
    pub reloads: Family<Outcome, Counter>,
    /// When the configuration in force was read, in Unix seconds.
    pub configuration_read: Gauge,
    pub spans: Family<Outcome, Counter>,
    pub access_lines_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of docs/metrics.md, and what is registered under them.
struct Registrar {
    registry: Registry,
    names: Vec<&'static str>,
}

impl Registrar {
    /// Under the name that Prometheus shows; the text format adds its suffixes itself.
    fn register(&mut self, name: &'static str, help: &str, metric: impl Metric) {
        self.names.push(name);
        self.registry.register(
            name.trim_end_matches("_total").trim_end_matches("_info"),
            help,
            metric,
        );
    }

    fn metric<M: Metric + Clone + Default>(&mut self, name: &'static str, help: &str) -> M {
        let metric = M::default();
        self.register(name, help, metric.clone());
        metric
    }

    fn times<L>(&mut self, name: &'static str, help: &str) -> Times<L>
    where
        L: Clone + Hash + Eq + EncodeLabelSet + fmt::Debug + Send + Sync + 'static,
    {
        let times = Times::new_with_constructor(|| Histogram::new(SECONDS));
        self.register(name, help, times.clone());
        times
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registrar = Registrar {
            registry: Registry::with_prefix("hufu"),
            names: Vec::new(),
        };
        registrar.register(
            "build_info",
            "The version of this gateway",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            requests: registrar.metric("requests_total", "Answers by route and status"),
            request_seconds: registrar.times(
                "request_duration_seconds",
                "From the request head to the last byte of the answer",
            ),
            requests_in_flight: registrar
                .metric("requests_in_flight", "Requests being answered now"),
            refused_requests: registrar.metric(
                "refused_requests_total",
                "Requests that the parser refused, by error code",
            ),
            forbidden_requests: registrar.metric(
                "forbidden_requests_total",
                "Requests and streams that a route's require refused or ended, by route",
            ),
            connections_open: registrar.metric(
                "connections_open",
                "Connections of clients that are open now",
            ),
            websockets_open: registrar.metric("websockets_open", "WebSockets that are open now"),
            tls_handshakes: registrar.metric(
                "tls_handshakes_total",
                "TLS handshakes of clients by outcome",
            ),
            certificates: Mutex::default(),
            certificate_ends: registrar.metric(
                "tls_certificate_not_after_seconds",
                "When the listeners' certificates end, by the names in them",
            ),
            logins: registrar.metric("logins_total", "Logins by app and outcome"),
            login_hooks: registrar.metric(
                "login_hooks_total",
                "Questions to the login hook, by app and outcome",
            ),
            login_hook_seconds: registrar.times(
                "login_hook_duration_seconds",
                "From the question to the login hook to its answer, by app",
            ),
            open_data: registrar.metric(
                "open_data_total",
                "Open data, phone numbers and session_keys, by app, operation and outcome",
            ),
            limits: registrar.metric("limits_total", "Questions to quotas, by policy and outcome"),
            guessed_tokens: registrar.metric(
                "guessed_tokens_total",
                "Invalid tokens from addresses that send many",
            ),
            session_lookups: registrar
                .metric("session_lookups_total", "Session lookups by outcome"),
            session_rotations: registrar
                .metric("session_rotations_total", "Rotations of tokens by outcome"),
            user_changes: registrar.metric(
                "user_changes_total",
                "Changes of users by operators, by app, operation and outcome",
            ),
            assertions_signed: registrar
                .metric("assertions_signed_total", "Assertions that were signed"),
            assertion_cache_bytes: registrar.metric(
                "assertion_cache_bytes",
                "What the assertions that are kept take, in bytes",
            ),
            store_seconds: registrar.times("store_duration_seconds", "Store calls by operation"),
            store_errors: registrar.metric(
                "store_errors_total",
                "Store calls that failed, by operation",
            ),
            store_connections: registrar.metric(
                "store_connections_total",
                "Connections opened to servers of the store",
            ),
            store_refreshes: registrar.metric(
                "store_refreshes_total",
                "Searches for the store's masters, by outcome",
            ),
            store_replica_waits: registrar.metric(
                "store_replica_waits_total",
                "Revocations that waited for replicas, by outcome",
            ),
            store_push: registrar.metric(
                "store_push_mode",
                "Connections that read sessions for the near cache, by how they learn of changes",
            ),
            near_cache: registrar
                .metric("near_cache_total", "Lookups in the near cache, by outcome"),
            platform_seconds: registrar.times(
                "platform_duration_seconds",
                "Calls to the platforms by app and API",
            ),
            platform_api_calls: registrar.metric(
                "platform_api_calls_total",
                "Calls of the platform's API by backends",
            ),
            app_token_fetches: registrar.metric(
                "app_token_fetches_total",
                "Fetches of access tokens by app and outcome",
            ),
            app_ticket_fetches: registrar.metric(
                "app_ticket_fetches_total",
                "Fetches of tickets by app and outcome",
            ),
            app_token_refusals: registrar.metric(
                "app_token_refusals_total",
                "Access tokens that the platform refused, by app",
            ),
            app_token_fetched: registrar.metric(
                "app_token_fetched_timestamp_seconds",
                "When the access token was fetched",
            ),
            app_token_ends: registrar
                .metric("app_token_not_after_seconds", "When the access token ends"),
            pushes: registrar.metric("pushes_total", "Pushed messages by app and outcome"),
            push_redeliveries: registrar.metric(
                "push_redeliveries_total",
                "Deliveries of kept messages by app and outcome",
            ),
            pushes_kept: registrar.metric(
                "pushes_kept",
                "Messages that are kept until the backend takes them, by app",
            ),
            upstream_requests: registrar.metric(
                "upstream_requests_total",
                "Requests to upstreams by outcome",
            ),
            upstream_connections: registrar.metric(
                "upstream_connections_total",
                "Connections opened to upstreams",
            ),
            upstream_endpoints: registrar
                .metric("upstream_endpoint_up", "Whether an endpoint is healthy"),
            upstream_ejections: registrar.metric(
                "upstream_ejections_total",
                "Times that an endpoint was left out because requests failed",
            ),
            upstream_retries: registrar
                .metric("upstream_retries_total", "Requests sent again, by outcome"),
            upstream_waiting: registrar
                .metric("upstream_waiting", "Requests that wait for their turn"),
            reloads: registrar.metric(
                "reloads_total",
                "Readings of the configuration after the first, by outcome",
            ),
            configuration_read: registrar.metric(
                "configuration_read_timestamp_seconds",
                "When the configuration in force was read",
            ),
            spans: registrar.metric(
                "spans_total",
                "Spans for the OpenTelemetry collector, by outcome",
            ),
            access_lines_dropped: registrar.metric(
                "access_lines_dropped_total",
                "Access lines lost because the output did not keep up",
            ),
            registrar,
        }
    }

    /// The names of all metrics as Prometheus shows them.
    pub fn names(&self) -> Vec<String> {
        self.registrar
            .names
            .iter()
            .map(|name| format!("hufu_{name}"))
            .collect()
    }

    /// The page that Prometheus reads.
    pub fn encode(&self, form: Exposition) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.registrar.registry)?;
        match form {
            Exposition::OpenMetrics => Ok(page),
            Exposition::Text => exposition::text(&page),
        }
    }

    /// Counts a request that the parser has refused.
    pub fn refused_request(&self, code: &'static str) {
        self.refused_requests.get_or_create(&Code { code }).inc();
    }

    /// Counts a request whose session does not have what the route requires.
    pub fn forbidden_request(&self, route: &str) {
        self.forbidden_requests
            .get_or_create(&RouteLabel {
                route: route.to_owned(),
            })
            .inc();
    }

    /// Counts a TLS handshake of a client.
    pub fn tls_handshake(&self, outcome: &'static str) {
        self.tls_handshakes
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    /// Counts a call of the platform's API by a backend.
    pub fn platform_api_call(&self, call: &PlatformApiCall) {
        self.platform_api_calls.get_or_create(call).inc();
    }

    /// Shows until when each name of a listener has a certificate, in Unix seconds. Names that are
    /// not there any more go.
    pub fn certificates(
        &self,
        listener: &'static str,
        ends: impl IntoIterator<Item = (String, u64)>,
    ) {
        let mut all = self.certificates.lock();
        all.insert(listener, ends.into_iter().collect());
        self.certificate_ends.clear();
        for (listener, ends) in &*all {
            for (name, end) in ends {
                let name = name.clone();
                self.certificate_ends
                    .get_or_create(&CertificateName { listener, name })
                    .set(i64::try_from(*end).unwrap_or(i64::MAX));
            }
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

    /// Counts a search for the store's masters.
    pub fn store_refresh(&self, found: bool) {
        let outcome = if found { "ok" } else { "failed" };
        self.store_refreshes
            .get_or_create(&Outcome { outcome })
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
