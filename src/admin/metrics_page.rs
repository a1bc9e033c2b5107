//! `GET /metrics`: the page that Prometheus reads.

use actix_web::{HttpResponse, web};

use crate::http::{ErrorCode, GatewayError};
use crate::metrics::Metrics;

/// 200 with the page in the OpenMetrics text format.
pub async fn metrics(metrics: web::Data<Metrics>) -> Result<HttpResponse, GatewayError> {
    let page = metrics.encode().map_err(|_| GatewayError::new(ErrorCode::Internal, "The metrics cannot be written."))?;
    Ok(HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(page))
}
