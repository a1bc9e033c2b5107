//! The operators' listener: health, readiness, metrics, and the admin API with one file for each operation. It answers on an
//! address of its own, so that nothing of it can be reached through the public one.

pub mod api;
pub mod health;
pub mod lockout;
pub mod metrics_page;
pub mod readiness;

mod count_sessions;
mod list_sessions;
mod revoke_all_sessions;
mod revoke_session;
mod show_session;
mod user;

use actix_web::{HttpResponse, web};

pub use api::{AdminApi, OPERATIONS};
pub use readiness::{Part, PartState, Parts, Readiness};
pub use user::CurrentApps;

/// The listener's endpoints that need no token.
pub const ENDPOINTS: [&str; 4] = ["/healthz", "/startupz", "/readyz", "/metrics"];

/// Registers the endpoints.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route("/healthz", web::get().to(health::healthz))
        .route("/startupz", web::get().to(health::startupz))
        .route("/readyz", web::get().to(readiness::readyz))
        .route("/metrics", web::get().to(metrics_page::metrics))
        .configure(api::configure)
        .default_service(web::to(async || HttpResponse::NotFound().body("Endpoints here: /healthz /startupz /readyz /metrics /admin/api/sessions\n")));
}
