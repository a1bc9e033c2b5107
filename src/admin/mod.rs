//! The operators' listener: health, readiness, metrics. It answers on an address of its own, so that nothing of it can be reached
//! through the public one.

pub mod health;
pub mod metrics_page;
pub mod readiness;

use actix_web::{HttpResponse, web};

pub use readiness::{Part, PartState, Parts, Readiness};

/// The listener's endpoints.
pub const ENDPOINTS: [&str; 4] = ["/healthz", "/startupz", "/readyz", "/metrics"];

/// Registers the endpoints.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route("/healthz", web::get().to(health::healthz))
        .route("/startupz", web::get().to(health::startupz))
        .route("/readyz", web::get().to(readiness::readyz))
        .route("/metrics", web::get().to(metrics_page::metrics))
        .default_service(web::to(async || HttpResponse::NotFound().body("Endpoints here: /healthz /startupz /readyz /metrics\n")));
}
