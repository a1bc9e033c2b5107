//! How an answer of the gateway's own endpoints is finished: its error written out, its request
//! accounted for.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpResponse, ResponseError, web};
use serde::Serialize;

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::extract::X_REQUEST_ID;
use crate::http::failure::FailureShape;
use crate::http::request_log::{RequestLog, SeenSession};

/// Writes the body of an error in its shape, notes what the access line needs, and gives the answer
/// the request's id.
pub fn finished(
    response: ServiceResponse<BoxBody>,
    request_log: &mut RequestLog,
    shape: &FailureShape,
) -> ServiceResponse<BoxBody> {
    match response
        .response()
        .error()
        .map(actix_web::Error::as_error::<GatewayError>)
    {
        Some(Some(error)) => request_log.refused(error),
        Some(None) => request_log.error = Some(ErrorCode::RequestInvalid),
        None => {}
    }
    let response = with_error_body(response, shape, &request_log.inbound.id);
    request_log.set_status(response.status());
    if let Some(seen) = response.request().extensions().get::<SeenSession>() {
        request_log.session = seen.session;
        request_log.app.clone_from(&seen.app);
    }
    with_id(response, &request_log.inbound.id)
}

/// Gives an answer its request's id.
pub fn with_id(mut response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    if let Ok(id) = HeaderValue::from_str(id) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(X_REQUEST_ID), id);
    }
    response
}

/// Writes the body of an error, which can be done only now that the request's id is known.
pub fn with_error_body(
    response: ServiceResponse<BoxBody>,
    shape: &FailureShape,
    id: &str,
) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else {
        return response;
    };
    let out = match error.as_error::<GatewayError>() {
        Some(error) => error.response_as(shape, id),
        None => GatewayError::new(ErrorCode::RequestInvalid, "The request cannot be read.")
            .response_as(shape, id),
    };
    ServiceResponse::new(response.into_parts().0, out)
}

/// 200 with this as JSON, which nothing on the way may keep.
pub fn json(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}

/// What the application has for the handlers of a request.
pub fn app_data<T: 'static>(req: &ServiceRequest) -> Result<web::Data<T>, GatewayError> {
    let data = req.app_data::<web::Data<T>>().cloned();
    data.ok_or_else(|| GatewayError::new(ErrorCode::Internal, "The gateway is not set up."))
}

impl ResponseError for GatewayError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }
}
