//! The admin API: its operations, and what stands before each of them: the token, the lock-out, the
//! account of the request.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use parking_lot::Mutex;

use super::lockout::Lockout;
use super::operator::Operator;
use super::table::{API_PREFIX, OPERATIONS};
use super::tokens::{AdminToken, KnownTokens};
use crate::clock::monotonic_now;
use crate::http::answer::{self, app_data};
use crate::http::endpoint::register;
use crate::http::request_log::{CountedRoute, LoggedBody, RequestLog, RequestReporter};
use crate::http::{
    EndpointCounters, ErrorCode, FailureShape, GatewayError, Headers, Inbound, RequestHead, token,
};
use crate::metrics::Metrics;
use crate::session::TokenCarrier;

/// What all operations share.
pub struct AdminApi {
    tokens: KnownTokens,
    lockout: Mutex<Lockout>,
    reports: Arc<RequestReporter>,
    counters: EndpointCounters,
}

impl AdminApi {
    /// The shared part; without a token every operation is refused.
    pub fn new(tokens: &[AdminToken], reports: Arc<RequestReporter>, metrics: &Metrics) -> Self {
        Self {
            tokens: KnownTokens::new(tokens),
            lockout: Mutex::default(),
            reports,
            counters: EndpointCounters::new(&OPERATIONS, "admin/", metrics),
        }
    }

    fn counted(&self, path: &str) -> Arc<CountedRoute> {
        let below = path.strip_prefix(API_PREFIX).unwrap_or_default();
        let operation = below.strip_prefix('/').unwrap_or_default();
        self.counters.of(operation).clone()
    }

    /// Whose token the request carries.
    fn admit(&self, from: IpAddr, headers: Headers<'_>) -> Result<Operator, GatewayError> {
        if self.tokens.is_empty() {
            return Err(GatewayError::new(
                ErrorCode::AdminDisabled,
                "The admin API is off. Set admin.token, or a token of admin.tokens, in the gateway's configuration to use it.",
            ));
        }
        let now = monotonic_now();
        let mut lockout = self.lockout.lock();
        if let Some(wait) = lockout.wait(from, now) {
            return Err(GatewayError::new(
                ErrorCode::RateLimited,
                "Wrong admin tokens came from this address; it has to wait.",
            )
            .retry_after(wait));
        }
        // One that sends none guesses nothing.
        let given =
            token::find(&[TokenCarrier::Bearer], headers, None)?.ok_or_else(not_admitted)?;
        if let Some(name) = self.tokens.name_of(given) {
            lockout.right(from);
            return Ok(Operator::new(name.clone(), from));
        }
        lockout.wrong(from, now);
        log::warn!("admin API: wrong token from {from}");
        Err(not_admitted())
    }
}

fn not_admitted() -> GatewayError {
    GatewayError::new(
        ErrorCode::AdminTokenInvalid,
        "Send one of the gateway's admin tokens as \"Authorization: Bearer …\".",
    )
}

/// Registers the operations.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::scope(API_PREFIX)
            .wrap(from_fn(guarded))
            .configure(|cfg| register(cfg, &OPERATIONS))
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
    let api = app_data::<AdminApi>(&req)?;
    // No proxy is believed here: whoever is locked out must not be able to choose another address.
    let head = RequestHead::of(req.request());
    let inbound = Inbound::of_peer(&head);
    let mut request_log = RequestLog::new(
        api.reports.clone(),
        inbound.clone(),
        req.method().as_str(),
        req.path(),
        api.counted(req.path()),
    );
    let admitted = api.admit(inbound.peer, head.headers());
    req.extensions_mut().insert(inbound);
    let response = match admitted {
        Ok(operator) => {
            req.extensions_mut().insert(operator);
            next.call(req).await?.map_into_boxed_body()
        }
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
            let detail = "The store does not answer, or refuses the call, or what it keeps of the user cannot be read (the log of the gateway says which). What was to change may not have changed. Try again in a moment.";
            let error = GatewayError {
                detail: detail.into(),
                ..error.clone()
            };
            response.error_response(error)
        }
        None => response,
    }
}
