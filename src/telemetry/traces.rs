//! Spans of requests, sent to an OpenTelemetry collector (OTLP over HTTP) where one is configured.
//!
//! A request has a server span and, where it was passed on, a client span below it; the upstream's
//! own spans hang below that one. Spans are queued and sent by a thread of their own: a collector
//! that is slow or gone costs spans, never a request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor as _,
};

use crate::metrics::{Counter, Family, Metrics, Outcome};
use crate::secret::Secret;
use crate::telemetry::{FinishedRequest, Throttle};

/// How long a collector may take for one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans go, and which.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's URL for traces, such as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// Sent in `Authorization`, where the collector asks for it.
    pub authorization: Option<Secret<String>>,
    /// The share of traces that is kept, 0 to 1.
    pub sample: f64,
    /// What the gateway is called in traces.
    pub service_name: String,
}

/// The ids of a request's spans.
#[derive(Debug, Clone, Copy)]
pub struct SpanIds {
    /// The trace.
    pub trace: [u8; 16],
    /// The caller's span, where it sent one.
    pub parent: Option<[u8; 8]>,
    /// The request's own span.
    pub server: [u8; 8],
    /// The span of passing it on, which the upstream sees as its parent.
    pub client: [u8; 8],
}

/// Takes spans from all workers.
pub struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    /// Traces whose last eight bytes are below this are kept.
    below: u64,
    metrics: Arc<Metrics>,
}

impl Traces {
    /// Starts the sending thread. No connection is made before the first spans.
    pub fn start(
        settings: &TraceSettings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ExporterBuildError> {
        let authorization = settings
            .authorization
            .iter()
            .map(|value| ("authorization".to_owned(), value.expose().clone()))
            .collect();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(&settings.endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .with_headers(authorization)
            .build()?;
        let exporter = CountingExporter {
            exporter,
            endpoint: settings.endpoint.clone(),
            spans: metrics.process.spans.clone(),
            log_throttle: Throttle::new(Duration::from_secs(30)),
        };
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", settings.service_name.clone()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        processor.set_resource(&resource);
        let scope = InstrumentationScope::builder("hufu")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Ok(Self {
            processor,
            scope,
            below: bound(settings.sample),
            metrics,
        })
    }

    /// Whether this trace is one of those that are kept: the same answer at every gateway.
    pub fn samples(&self, trace: &[u8; 16]) -> bool {
        let last = trace
            .last_chunk::<8>()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes));
        last < self.below || self.below == u64::MAX
    }

    /// Queues the spans of a request.
    pub fn record(&self, ids: SpanIds, request: &FinishedRequest<'_>) {
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(request.time.0);
        if let Some((after, took)) = request.upstream_after.zip(request.upstream_took) {
            self.queue(SpanData {
                parent_span_id: SpanId::from_bytes(ids.server),
                span_kind: SpanKind::Client,
                name: format!("{} upstream", request.method).into(),
                attributes: vec![KeyValue::new(
                    "http.request.method",
                    request.method.to_owned(),
                )],
                ..self.empty(ids.trace, ids.client, started + after, took)
            });
        }
        // OpenTelemetry's rule for servers: 4xx is the caller's fault and no error of this span.
        let status = if request.status >= 500 {
            Status::error(request.error.unwrap_or_default().to_owned())
        } else {
            Status::Unset
        };
        self.queue(SpanData {
            parent_span_id: ids.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: ids.parent.is_some(),
            name: format!("{} {}", request.method, request.route).into(),
            attributes: attributes(request),
            status,
            ..self.empty(ids.trace, ids.server, started, request.took)
        });
    }

    fn queue(&self, span: SpanData) {
        self.processor.on_end(span);
        let outcome = "recorded";
        self.metrics
            .process
            .spans
            .get_or_create(&Outcome { outcome })
            .inc();
    }

    /// A span of which nothing is known but its ids and its time.
    fn empty(
        &self,
        trace: [u8; 16],
        id: [u8; 8],
        start_time: SystemTime,
        took: Duration,
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace),
                SpanId::from_bytes(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Server,
            name: "".into(),
            start_time,
            end_time: start_time + took,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Sends what is queued and ends the sending thread. Blocks for a few seconds at most.
    pub fn stop(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(EXPORT_TIMEOUT) {
            log::warn!("lost the last spans: {error}");
        }
    }
}

/// Names as OpenTelemetry's semantic conventions for HTTP have them; the gateway's own begin with
/// `hufu.`.
fn attributes(request: &FinishedRequest<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("http.request.method", request.method.to_owned()),
        KeyValue::new("url.path", request.path.to_owned()),
        KeyValue::new("http.route", request.route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(request.status)),
        KeyValue::new("client.address", request.client.to_owned()),
        KeyValue::new("hufu.request_id", request.request_id.to_owned()),
    ];
    for (name, value) in [
        ("error.type", request.error),
        ("hufu.session", request.session),
        ("hufu.app", request.app),
    ] {
        attributes.extend(value.map(|value| KeyValue::new(name, value.to_owned())));
    }
    attributes
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of the whole range, where one more or less is nothing"
)]
fn bound(share: f64) -> u64 {
    if share >= 1.0 {
        u64::MAX
    } else {
        (share.max(0.0) * u64::MAX as f64) as u64
    }
}

/// An exporter whose spans are counted, and that logs its failures.
#[derive(Debug)]
struct CountingExporter<E> {
    exporter: E,
    endpoint: String,
    spans: Family<Outcome, Counter>,
    log_throttle: Throttle,
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let outcome = if result.is_ok() { "sent" } else { "lost" };
        self.spans.get_or_create(&Outcome { outcome }).inc_by(spans);
        if let Err(error) = &result
            && let Some(silent) = self.log_throttle.admit()
        {
            log::warn!("cannot send spans to {}: {error}{silent}", self.endpoint);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_traces_is_kept() {
        let kept = |share: f64| {
            (0..=255_u8)
                .filter(|first| {
                    u64::from_be_bytes([*first, 0, 0, 0, 0, 0, 0, 1]) < bound(share)
                        || bound(share) == u64::MAX
                })
                .count()
        };
        assert_eq!((kept(0.0), kept(0.25), kept(1.0)), (0, 64, 256));
    }
}
