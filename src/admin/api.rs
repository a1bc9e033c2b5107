//! The admin API: its operations, and what stands before each of them: the token, the lock-out, the
//! account of the request.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage as _, HttpResponse, web};

use super::lockout::Lockout;
use super::{count_sessions, list_sessions, revoke_all_sessions, revoke_session, show_session};
use crate::clock::monotonic_now;
use crate::crypto::hash;
use crate::http::answer::{self, not_allowed, reading};
use crate::http::request_log::{CountedRoute, LoggedBody, Reports, RequestLog};
use crate::http::{
    ErrorCode, FailureShape, GatewayError, Headers, Inbound, RequestHead, TrustedProxies, token,
};
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::session::TokenCarrier;

/// The operations, by method and path; `docs/openapi-admin.json` has the same ones.
pub const OPERATIONS: [(&str, &str); 5] = [
    ("GET", "/admin/api/sessions"),
    ("DELETE", "/admin/api/sessions"),
    ("GET", "/admin/api/sessions/count"),
    ("GET", "/admin/api/sessions/{session_id}"),
    ("DELETE", "/admin/api/sessions/{session_id}"),
];
const PREFIX: &str = "/admin/api";

/// What all operations share.
pub struct AdminApi {
    /// The SHA-256 of the token: of one length whatever was configured and whatever was sent, so
    /// that comparing tells nothing.
    token: Option<[u8; 32]>,
    lockout: Mutex<Lockout>,
    reports: Arc<Reports>,
    counted: Counted,
}

/// The routes under which requests are counted and logged.
struct Counted {
    sessions: Arc<CountedRoute>,
    count: Arc<CountedRoute>,
    one_session: Arc<CountedRoute>,
    unknown: Arc<CountedRoute>,
}

impl AdminApi {
    /// The shared part; without a token every operation is refused.
    #[must_use]
    pub fn new(token: Option<&Secret<String>>, reports: Arc<Reports>, metrics: &Metrics) -> Self {
        let route = |name: &str| Arc::new(CountedRoute::new(metrics, name));
        let counted = Counted {
            sessions: route("admin/sessions"),
            count: route("admin/sessions/count"),
            one_session: route("admin/sessions/{session_id}"),
            unknown: route("admin/unknown_endpoint"),
        };
        let token = token.map(|token| hash::sha256(token.expose().as_bytes()));
        Self {
            token,
            lockout: Mutex::default(),
            reports,
            counted,
        }
    }

    fn route(&self, path: &str) -> Arc<CountedRoute> {
        let counted = match path.strip_prefix(PREFIX) {
            Some("/sessions") => &self.counted.sessions,
            Some("/sessions/count") => &self.counted.count,
            Some(below) if below.starts_with("/sessions/") => &self.counted.one_session,
            _ => &self.counted.unknown,
        };
        counted.clone()
    }

    /// Whether the request carries the token.
    fn admit(&self, from: IpAddr, headers: Headers<'_>) -> Result<(), GatewayError> {
        let Some(expected) = &self.token else {
            return Err(GatewayError::new(
                ErrorCode::AdminDisabled,
                "The admin API is off. Set admin.token in the gateway's configuration to use it.",
            ));
        };
        let refused = || {
            GatewayError::new(
                ErrorCode::AdminTokenInvalid,
                "Send the gateway's admin.token as \"Authorization: Bearer …\".",
            )
        };
        let now = monotonic_now();
        let mut lockout = self.lockout.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = lockout.wait(from, now) {
            return Err(GatewayError::new(
                ErrorCode::RateLimited,
                "Wrong admin tokens came from this address; it has to wait.",
            )
            .retry_after(wait));
        }
        // One that sends none guesses nothing.
        let given = token::find(&[TokenCarrier::Bearer], headers, None)?.ok_or_else(refused)?;
        if hash::constant_time_eq(&hash::sha256(given.as_bytes()), expected) {
            lockout.right(from);
            return Ok(());
        }
        lockout.wrong(from, now);
        log::warn!("the admin API was asked with a wrong token from {from}");
        Err(refused())
    }
}

/// Registers the operations.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::scope(PREFIX)
            .wrap(from_fn(guarded))
            .service(
                web::resource("/sessions")
                    .route(reading().to(list_sessions::list_sessions))
                    .delete(revoke_all_sessions::revoke_all_sessions)
                    .default_service(web::to(|| not_allowed("GET, HEAD, DELETE"))),
            )
            .service(
                web::resource("/sessions/count")
                    .route(reading().to(count_sessions::count_sessions))
                    .default_service(web::to(|| not_allowed("GET, HEAD"))),
            )
            .service(
                web::resource("/sessions/{session_id}")
                    .route(reading().to(show_session::show_session))
                    .delete(revoke_session::revoke_session)
                    .default_service(web::to(|| not_allowed("GET, HEAD, DELETE"))),
            )
            .default_service(web::to(no_operation)),
    );
}

async fn no_operation() -> Result<HttpResponse, GatewayError> {
    Err(GatewayError::new(
        ErrorCode::EndpointNotFound,
        "The admin API has no operation of this name.",
    ))
}

/// Every request to the API passes here: nothing is done, and nothing is said to exist, before the
/// token was seen.
async fn guarded(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<LoggedBody<BoxBody>>, Error> {
    let api = req
        .app_data::<web::Data<AdminApi>>()
        .cloned()
        .ok_or_else(|| GatewayError::new(ErrorCode::Internal, "The gateway is not set up."))?;
    // No proxy is believed here: whoever is locked out must not be able to choose another address.
    let head = RequestHead::of(req.request());
    let inbound = Inbound::of(&head, &TrustedProxies::default(), None);
    let mut request_log = RequestLog::new(
        api.reports.clone(),
        inbound.clone(),
        req.method().as_str(),
        req.path(),
        api.route(req.path()),
    );
    let admitted = api.admit(inbound.peer, head.headers());
    req.extensions_mut().insert(inbound);
    let response = match admitted {
        Ok(()) => next.call(req).await?.map_into_boxed_body(),
        Err(error) => req.error_response(error),
    };
    let response = in_operators_words(response);
    Ok(
        answer::finished(response, &mut request_log, &FailureShape::Problem)
            .map_body(|_, body| LoggedBody::new(body, request_log)),
    )
}

/// What the store's failure means to whoever asks here: users are told to keep their token, and
/// operators have none.
fn in_operators_words(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let error = response
        .response()
        .error()
        .and_then(actix_web::Error::as_error::<GatewayError>);
    match error.filter(|error| error.code == ErrorCode::StoreUnavailable) {
        Some(error) => {
            let detail = "The store does not answer, so nothing is known of sessions right now, and what was to end may not have ended. Try again in a moment.";
            let error = GatewayError {
                detail: detail.into(),
                ..error.clone()
            };
            response.error_response(error)
        }
        None => response,
    }
}
