//! Spans, as a collector gets them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use hufu::crypto::hash::to_hex;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;

use crate::helpers::{Gateway, Running, Upstream, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that keeps what it gets.
struct Collector {
    server: Running,
    got: Arc<Mutex<Vec<(String, Span)>>>,
    authorized: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn start() -> Self {
        let (got, authorized) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (keep, logins) = (got.clone(), authorized.clone());
        let server = Running::start(move |listener| {
            let app = move || {
                let (keep, logins) = (keep.clone(), logins.clone());
                App::new().route(
                    "/v1/traces",
                    web::post().to(move |req: actix_web::HttpRequest, body: web::Bytes| {
                        let login = req
                            .headers()
                            .get("authorization")
                            .map(|value| value.to_str().unwrap().to_owned());
                        logins.lock().unwrap().extend(login);
                        keep.lock().unwrap().extend(spans(&body));
                        async {
                            HttpResponse::Ok()
                                .content_type("application/x-protobuf")
                                .finish()
                        }
                    }),
                )
            };
            Ok(HttpServer::new(app)
                .workers(1)
                .disable_signals()
                .client_request_timeout(Duration::ZERO)
                .listen(listener)?
                .run())
        });
        Self {
            server,
            got,
            authorized,
        }
    }

    fn config(&self, more: &str) -> String {
        format!(
            "traces.endpoint = \"{}\"\n{more}\n",
            self.server.at("/v1/traces")
        )
    }

    fn spans(&self) -> Vec<(String, Span)> {
        self.got.lock().unwrap().clone()
    }
}

/// Each span with its service's name.
fn spans(body: &[u8]) -> Vec<(String, Span)> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let of_resource = request.resource_spans.into_iter().flat_map(|resource| {
        let attributes = resource.resource.unwrap().attributes;
        let name = attributes
            .iter()
            .find(|a| a.key == "service.name")
            .map(|a| string(a.value.clone().unwrap().value.unwrap()))
            .unwrap();
        resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
            .map(move |span| (name.clone(), span))
    });
    of_resource.collect()
}

fn string(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    span.attributes
        .iter()
        .find(|a| a.key == name)
        .map(|a| string(a.value.clone().unwrap().value.unwrap()))
}

#[tokio::test]
async fn a_request_has_a_span_and_the_upstream_s_hang_below_it() {
    let (collector, upstream) = (Collector::start(), Upstream::ok());
    let more = "traces.service_name = \"gate\"\ntraces.authorization = \"Bearer of-the-collector\"\nserver.trusted_proxies = [\"127.0.0.0/8\"]";
    let mut gateway =
        Gateway::start(&(collector.config(more) + &upstream.route("/api", "required")));
    let token = gateway.token("zhang").await;
    let call = gateway
        .get("/api/x?q=1")
        .bearer_auth(&token)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(call.await.status(), 200);
    let seen = upstream.connections()[0].values("traceparent");
    gateway.signal(Signal::SIGTERM);
    assert!(gateway.ended().success());

    let spans: Vec<Span> = collector
        .spans()
        .into_iter()
        .inspect(|(service, _)| assert_eq!(service, "gate"))
        .map(|(_, span)| span)
        .collect();
    let of_kind = |kind: SpanKind| {
        spans
            .iter()
            .find(|s| s.kind() == kind && to_hex(&s.trace_id) == TRACE)
            .unwrap()
    };
    let (server, client) = (of_kind(SpanKind::Server), of_kind(SpanKind::Client));
    assert_eq!(
        (
            server.name.as_str(),
            to_hex(&server.parent_span_id).as_str()
        ),
        ("GET /api", PARENT)
    );
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(seen, [format!("00-{TRACE}-{}-01", to_hex(&client.span_id))]);
    assert!(
        client.start_time_unix_nano >= server.start_time_unix_nano
            && client.end_time_unix_nano <= server.end_time_unix_nano
    );
    let of_server = |name| attribute(server, name);
    assert_eq!(of_server("url.path").as_deref(), Some("/api/x"));
    assert_eq!(
        of_server("http.response.status_code").as_deref(),
        Some("200")
    );
    assert_eq!(
        (
            of_server("hufu.app").as_deref(),
            of_server("client.address").as_deref()
        ),
        (Some("shop"), Some("127.0.0.1"))
    );
    assert_eq!(of_server("hufu.session").map(|id| id.len()), Some(25));
    assert!(
        collector
            .authorized
            .lock()
            .unwrap()
            .iter()
            .all(|login| login == "Bearer of-the-collector")
    );
    let everything = format!("{spans:?}{}", gateway.stderr());
    assert!(!everything.contains(&token) && !gateway.stderr().contains("of-the-collector"));
}

#[tokio::test]
async fn the_share_decides_for_strangers_and_a_trusted_proxy_for_itself() {
    let (collector, upstream) = (Collector::start(), Upstream::ok());
    let stranger = Gateway::start(
        &(collector.config("traces.sample = \"0%\"") + &upstream.route("/", "none")),
    );
    let trusting = Gateway::start(
        &(collector.config("traces.sample = \"0%\"\nserver.trusted_proxies = [\"127.0.0.0/8\"]")
            + &upstream.route("/", "none")),
    );
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    let unsampled = format!("00-{}-{PARENT}-00", "1".repeat(32));
    for (gateway, context) in [
        (&stranger, &sampled),
        (&trusting, &unsampled),
        (&trusting, &sampled),
    ] {
        assert_eq!(
            gateway
                .get("/x")
                .header("traceparent", context)
                .await
                .status(),
            200
        );
    }
    let spans = until("the spans of the one request that is kept", async || {
        Some(collector.spans()).filter(|spans| spans.len() >= 2)
    })
    .await;
    assert!(
        spans
            .iter()
            .all(|(_, span)| to_hex(&span.trace_id) == TRACE),
        "{spans:?}"
    );
    assert_eq!(spans.len(), 2);
    let flags: Vec<String> = upstream
        .connections()
        .iter()
        .flat_map(|c| {
            c.bytes
                .split(|b| *b == b'\n')
                .map(|l| String::from_utf8_lossy(l).into_owned())
                .collect::<Vec<_>>()
        })
        .filter_map(|line| {
            line.strip_prefix("traceparent: ")
                .map(|v| v.trim()[53..].to_owned())
        })
        .collect();
    assert_eq!(
        flags.iter().filter(|flag| *flag == "01").count(),
        1,
        "{flags:?}"
    );
    assert_eq!(flags.len(), 3);
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_spans_and_no_request() {
    let upstream = Upstream::ok();
    let config = "traces.endpoint = \"http://127.0.0.1:9/v1/traces\"\n".to_owned()
        + &upstream.route("/", "none");
    let mut gateway = Gateway::start(&config);
    for _ in 0..20 {
        assert_eq!(gateway.get("/x").await.status(), 200);
    }
    until("the loss to be counted", async || {
        gateway.counted("hufu_spans_total{outcome=\"lost\"}").await >= 40
    })
    .await;
    assert_eq!(gateway.stderr().matches("cannot send spans to").count(), 1);
    gateway.signal(Signal::SIGTERM);
    assert!(gateway.ended().success());
}
