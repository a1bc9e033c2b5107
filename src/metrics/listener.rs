//! Clients: their connections, requests, WebSockets, and the listeners' certificates.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;

use super::labels::Outcome;
use super::registrar::{Registrar, Times};
use super::{Counter, Family, Gauge, Histogram, gauged};

pub struct ListenerMetrics {
    requests: Family<RouteStatus, Counter>,
    request_seconds: Times<RouteLabel>,
    pub requests_in_flight: Gauge,
    refused_requests: Family<Code, Counter>,
    /// Of sessions that do not have what a route requires.
    forbidden_requests: Family<RouteLabel, Counter>,
    pub connections_open: Gauge,
    pub websockets_open: Gauge,
    tls_handshakes: Family<Outcome, Counter>,
    /// Until when the listeners' certificates hold, in Unix seconds.
    certificate_ends: Family<CertificateName, Gauge>,
    /// The same, as each listener has said last.
    certificates: Mutex<BTreeMap<&'static str, Vec<(String, u64)>>>,
}

impl ListenerMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
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
            certificate_ends: registrar.metric(
                "tls_certificate_not_after_seconds",
                "When the listeners' certificates end, by the names in them",
            ),
            certificates: Mutex::default(),
        }
    }

    /// Counts a request that the parser has refused.
    pub fn refused_request(&self, code: &'static str) {
        self.refused_requests.get_or_create(&Code { code }).inc();
    }

    /// Counts a request whose session does not have what the route requires.
    pub fn forbidden_request(&self, route: &str) {
        self.forbidden_requests
            .get_or_create(&RouteLabel::new(route))
            .inc();
    }

    pub fn tls_handshake(&self, outcome: &'static str) {
        self.tls_handshakes
            .get_or_create(&Outcome { outcome })
            .inc();
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
                    .set(gauged(*end));
            }
        }
    }

    /// Counts a client's connection for as long as the value lives.
    #[must_use]
    pub fn connection_opened(&self) -> OpenConnection {
        self.connections_open.inc();
        OpenConnection(self.connections_open.clone())
    }

    /// The counters of one route, found once and then used without a lookup.
    pub fn route(&self, route: &str) -> RouteMetrics {
        RouteMetrics {
            route: route.to_owned(),
            requests: self.requests.clone(),
            by_status: std::iter::repeat_with(OnceLock::new).take(500).collect(),
            seconds: self
                .request_seconds
                .get_or_create_owned(&RouteLabel::new(route)),
        }
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    /// The route's path as configured, or the endpoint's name for the gateway's own.
    route: String,
    /// The HTTP status that the client saw; 499: the client left before there was one.
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    /// As in [`RouteStatus`].
    route: String,
}

impl RouteLabel {
    fn new(route: &str) -> Self {
        Self {
            route: route.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    /// A word of docs/errors.md.
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateName {
    /// The listener's section in the configuration.
    listener: &'static str,
    /// A host, or a wildcard.
    name: String,
}
