//! The listener's endpoints in one table, and the shape of what goes wrong before one of them is
//! reached.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, web};

use super::{api, health, metrics_page, readiness};
use crate::http::answer::{self, not_allowed, reading};
use crate::http::{ErrorCode, FailureShape, GatewayError, Inbound, RequestHead, TrustedProxies};

/// The listener's endpoints that need no token.
pub const ENDPOINTS: [&str; 4] = ["/healthz", "/startupz", "/readyz", "/metrics"];

/// Registers the endpoints.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|error, _| {
        GatewayError::new(
            ErrorCode::RequestInvalid,
            format!("The query is not what this endpoint takes: {error}."),
        )
        .into()
    });
    let only_read = || web::to(|| not_allowed("GET, HEAD"));
    cfg.service(
        web::scope("")
            .wrap(from_fn(with_problems))
            .app_data(query)
            .service(
                web::resource("/healthz")
                    .route(reading().to(health::healthz))
                    .default_service(only_read()),
            )
            .service(
                web::resource("/startupz")
                    .route(reading().to(health::startupz))
                    .default_service(only_read()),
            )
            .service(
                web::resource("/readyz")
                    .route(reading().to(readiness::readyz))
                    .default_service(only_read()),
            )
            .service(
                web::resource("/metrics")
                    .route(reading().to(metrics_page::metrics))
                    .default_service(only_read()),
            )
            .configure(api::configure)
            .default_service(web::to(no_endpoint)),
    );
}

async fn no_endpoint() -> Result<HttpResponse, GatewayError> {
    Err(GatewayError::new(
        ErrorCode::EndpointNotFound,
        "Endpoints here: /healthz /startupz /readyz /metrics /admin/api/sessions",
    ))
}

/// Writes the errors out that the admin API, which gives an account of its requests, has not
/// written yet.
async fn with_problems(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(req).await?.map_into_boxed_body();
    if response.response().error().is_none() {
        return Ok(response);
    }
    let id = Inbound::of(
        &RequestHead::of(response.request()),
        &TrustedProxies::default(),
        None,
    )
    .id;
    Ok(answer::with_id(
        answer::with_error_body(response, &FailureShape::Problem, &id),
        &id,
    ))
}
