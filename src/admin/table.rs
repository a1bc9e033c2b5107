//! The listener's endpoints, one row each.

use actix_web::web::to;

use super::{
    access_token, block_user, change_claims, count_sessions, health, import_authorizer,
    list_authorizers, list_sessions, metrics_page, readiness, remove_authorizer,
    revoke_all_sessions, revoke_session, show_session, show_user, unblock_user,
};
use crate::http::Endpoint;

/// What answers without a token.
pub static ENDPOINTS: [Endpoint; 4] = [
    Endpoint::get("healthz", || to(health::healthz)),
    Endpoint::get("startupz", || to(health::startupz)),
    Endpoint::get("readyz", || to(readiness::readyz)),
    Endpoint::get("metrics", || to(metrics_page::metrics)),
];

/// What the operations of the admin API live under.
pub const API_PREFIX: &str = "/admin/api";

/// The operations of the admin API; `docs/openapi-admin.json` has the same ones.
pub static OPERATIONS: [Endpoint; 14] = [
    Endpoint::get("sessions", || to(list_sessions::list_sessions)),
    Endpoint::delete("sessions", || to(revoke_all_sessions::revoke_all_sessions)),
    Endpoint::get("sessions/count", || to(count_sessions::count_sessions)),
    Endpoint::get("sessions/{session_id}", || to(show_session::show_session)),
    Endpoint::delete("sessions/{session_id}", || {
        to(revoke_session::revoke_session)
    }),
    Endpoint::get("users", || to(show_user::show_user)),
    Endpoint::patch("users/claims", || to(change_claims::change_claims)),
    Endpoint::put("users/block", || to(block_user::block_user)),
    Endpoint::delete("users/block", || to(unblock_user::unblock_user)),
    Endpoint::get("apps/{app}/access-token", || to(access_token::access_token)),
    Endpoint::get("apps/{app}/authorizers", || {
        to(list_authorizers::list_authorizers)
    }),
    Endpoint::put("apps/{app}/authorizers/{authorizer}", || {
        to(import_authorizer::import_authorizer)
    }),
    Endpoint::delete("apps/{app}/authorizers/{authorizer}", || {
        to(remove_authorizer::remove_authorizer)
    }),
    Endpoint::get("apps/{app}/authorizers/{authorizer}/access-token", || {
        to(access_token::authorizer_access_token)
    }),
];
