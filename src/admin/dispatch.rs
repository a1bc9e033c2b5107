//! The listener's endpoints in actix-web's application, and the shape of what goes wrong before one of
//! them is reached.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, web};

use super::api;
use super::table::{API_PREFIX, ENDPOINTS, OPERATIONS};
use crate::http::answer;
use crate::http::endpoint::register;
use crate::http::{ErrorCode, FailureShape, GatewayError, Inbound, RequestHead};

/// Registers the endpoints.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|error, _| {
        GatewayError::new(
            ErrorCode::RequestInvalid,
            format!("The query is invalid: {error}."),
        )
        .into()
    });
    cfg.service(
        web::scope("")
            .wrap(from_fn(with_problems))
            .app_data(query)
            .configure(|cfg| register(cfg, &ENDPOINTS))
            .configure(api::configure)
            .default_service(web::to(no_endpoint)),
    );
}

async fn no_endpoint() -> Result<HttpResponse, GatewayError> {
    let paths = ENDPOINTS.iter().map(|row| format!("/{}", row.path));
    let api = OPERATIONS
        .first()
        .map(|row| format!("{API_PREFIX}/{}", row.path));
    let paths: Vec<_> = paths.chain(api).collect();
    Err(GatewayError::new(
        ErrorCode::EndpointNotFound,
        format!("Endpoints here: {}", paths.join(" ")),
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
    let id = Inbound::of_peer(&RequestHead::of(response.request())).id;
    Ok(answer::with_id(
        answer::with_error_body(response, &FailureShape::Problem, &id),
        &id,
    ))
}
