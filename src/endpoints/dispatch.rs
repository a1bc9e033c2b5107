//! The gateway's own endpoints as one scope, and what they share: the account of the request, CORS,
//! the error shape.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::JsonPayloadError;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, HttpResponse, web};

use crate::endpoints::{healthz, login, logout, rotate, session, sessions};
use crate::http::answer::{self, not_allowed, reading};
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::extract::Inbound;
use crate::http::failure::FailureShape;
use crate::http::head::RequestHead;
use crate::http::request_log::{CountedRoute, LoggedBody, Reports, RequestLog};
use crate::http::{Cors, Drain, TrustedProxies};
use crate::metrics::Metrics;

/// Longest JSON body of the gateway's own endpoints; a login needs a few hundred bytes.
const JSON_LIMIT: usize = 16 * 1024;

/// The endpoints under the prefix, with the methods that they take.
pub const ENDPOINTS: [(&str, &str); 9] = [
    ("login", "POST"),
    ("logout", "POST"),
    ("logout/all", "POST"),
    ("rotate", "POST"),
    ("session", "GET, HEAD"),
    ("sessions", "GET, HEAD"),
    (ONE_SESSION, "DELETE"),
    (VERIFY, "any"),
    ("healthz", "GET, HEAD"),
];
/// The endpoint that proxies ask; it answers past the application.
pub const VERIFY: &str = "verify";
const ONE_SESSION: &str = "sessions/{session_id}";

/// What all own endpoints share.
#[derive(Debug, Clone)]
pub struct OwnEndpoints {
    /// Where requests are counted and logged.
    pub reports: Arc<Reports>,
    /// Whose forwarding headers are believed.
    pub trusted: Arc<TrustedProxies>,
    /// Cross-origin rules.
    pub cors: Arc<Cors>,
    /// Whether connections are to end.
    pub drain: Drain,
    failure: Arc<FailureShape>,
    prefix: String,
    routes: Arc<HashMap<&'static str, Arc<CountedRoute>>>,
    unknown: Arc<CountedRoute>,
}

impl OwnEndpoints {
    /// The shared part.
    #[must_use]
    pub fn new(
        reports: Arc<Reports>,
        trusted: Arc<TrustedProxies>,
        cors: Arc<Cors>,
        drain: Drain,
        failure: Arc<FailureShape>,
        metrics: &Metrics,
        prefix: &str,
    ) -> Self {
        let route = |name: &str| Arc::new(CountedRoute::new(metrics, name));
        let routes = ENDPOINTS
            .iter()
            .map(|(name, _)| (*name, route(name)))
            .collect();
        Self {
            reports,
            trusted,
            cors,
            drain,
            failure,
            prefix: prefix.to_owned(),
            routes: Arc::new(routes),
            unknown: route("unknown_endpoint"),
        }
    }

    fn route_of(&self, path: &str) -> Arc<CountedRoute> {
        let below = path
            .strip_prefix(self.prefix.as_str())
            .unwrap_or_default()
            .trim_start_matches('/');
        let name = match below.split_once('/') {
            Some(("logout", "all")) => "logout/all",
            Some(("sessions", _)) => ONE_SESSION,
            Some((first, _)) => first,
            None => below,
        };
        self.route(name)
    }

    /// The counters of an endpoint.
    #[must_use]
    pub fn route(&self, name: &str) -> Arc<CountedRoute> {
        self.routes.get(name).unwrap_or(&self.unknown).clone()
    }
}

/// Registers the endpoints under `prefix`.
pub fn configure(cfg: &mut web::ServiceConfig, prefix: &str) {
    let json = web::JsonConfig::default()
        .limit(JSON_LIMIT)
        .error_handler(|error, req| {
            RequestHead::of(req)
                .connection()
                .blamed(json_error(&error))
                .into()
        });
    cfg.service(
        web::scope(prefix)
            .wrap(from_fn(reported))
            .app_data(json)
            .service(
                web::resource("/login")
                    .route(web::post().to(login::login))
                    .default_service(web::to(|| not_allowed("POST"))),
            )
            .service(
                web::resource("/logout")
                    .route(web::post().to(logout::logout))
                    .default_service(web::to(|| not_allowed("POST"))),
            )
            .service(
                web::resource("/logout/all")
                    .route(web::post().to(logout::logout_all))
                    .default_service(web::to(|| not_allowed("POST"))),
            )
            .service(
                web::resource("/rotate")
                    .route(web::post().to(rotate::rotate))
                    .default_service(web::to(|| not_allowed("POST"))),
            )
            .service(
                web::resource("/sessions")
                    .route(reading().to(sessions::sessions))
                    .default_service(web::to(|| not_allowed("GET, HEAD"))),
            )
            .service(
                web::resource("/sessions/{session_id}")
                    .route(web::delete().to(sessions::sign_out))
                    .default_service(web::to(|| not_allowed("DELETE"))),
            )
            .service(
                web::resource("/session")
                    .route(reading().to(session::session))
                    .default_service(web::to(|| not_allowed("GET, HEAD"))),
            )
            .service(
                web::resource("/healthz")
                    .route(reading().to(healthz::healthz))
                    .default_service(web::to(|| not_allowed("GET, HEAD"))),
            )
            .default_service(web::to(no_endpoint)),
    );
}

async fn no_endpoint() -> Result<HttpResponse, GatewayError> {
    Err(GatewayError::new(
        ErrorCode::EndpointNotFound,
        "The gateway has no endpoint of this name.",
    ))
}

fn json_error(error: &JsonPayloadError) -> GatewayError {
    match error {
        JsonPayloadError::ContentType => GatewayError::new(
            ErrorCode::UnsupportedMediaType,
            "Send a JSON body with \"Content-Type: application/json\", such as {\"code\":\"…\"}.",
        ),
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            GatewayError::new(
                ErrorCode::BodyTooLarge,
                format!("The body of this endpoint has at most {JSON_LIMIT} bytes."),
            )
            .closing()
        }
        JsonPayloadError::Deserialize(error) => GatewayError::new(
            ErrorCode::RequestInvalid,
            format!("The body is not what this endpoint takes: {error}."),
        ),
        _ => GatewayError::new(ErrorCode::BodyBroken, "The body broke off."),
    }
}

/// The account of every request to an own endpoint: opened before the handler, closed with the last
/// byte of its answer.
async fn reported(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<LoggedBody<BoxBody>>, Error> {
    let shared = req
        .app_data::<web::Data<OwnEndpoints>>()
        .cloned()
        .ok_or_else(|| GatewayError::new(ErrorCode::Internal, "The gateway is not set up."))?;
    let head = RequestHead::of(req.request());
    let inbound = Inbound::of(&head, &shared.trusted, shared.reports.traces.as_deref());
    let route = shared.route_of(req.path());
    let mut request_log = RequestLog::new(
        shared.reports.clone(),
        inbound.clone(),
        req.method().as_str(),
        req.path(),
        route.clone(),
    );
    request_log.connection = Some(head.connection().clone());
    req.extensions_mut().insert(inbound);
    // The request must not be cloned before it is routed: actix-web writes what it matched into it.
    let preflight = shared.cors.preflight(&head);
    let response = match preflight {
        Some(response) => req.into_response(response),
        None => tokio::select! {
            biased;
            response = next.call(req) => response?.map_into_boxed_body(),
            () = shared.drain.cutting() => return Err(cut(&mut request_log).into()),
        },
    };
    Ok(
        finished(response, &head, &shared, &shared.failure, &mut request_log)
            .map_body(|_, body| LoggedBody::new(body, request_log)),
    )
}

/// The process ends, and the request has had its time.
fn cut(request_log: &mut RequestLog) -> GatewayError {
    let error = GatewayError::new(
        ErrorCode::ShuttingDown,
        "The gateway is shutting down, and the request was not over in time.",
    )
    .closing();
    request_log.error = Some(error.code);
    request_log.answered(StatusCode::SERVICE_UNAVAILABLE);
    error
}

fn finished(
    response: ServiceResponse<BoxBody>,
    head: &RequestHead,
    shared: &OwnEndpoints,
    shape: &FailureShape,
    request_log: &mut RequestLog,
) -> ServiceResponse<BoxBody> {
    let mut response = answer::finished(response, request_log, shape);
    if shared.drain.is_on() {
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    shared
        .cors
        .decorate_own(head.headers(), response.response_mut());
    response
}
