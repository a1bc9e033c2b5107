//! `GET /metrics`: the page that Prometheus reads.

use actix_web::{HttpResponse, web};

use crate::metrics::Metrics;

/// 200 with the page in the OpenMetrics text format.
pub async fn metrics(metrics: web::Data<Metrics>) -> HttpResponse {
    match metrics.encode() {
        Ok(page) => HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(page),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
