//! The gateway's own endpoints, one row each.

use actix_web::web::to;

use crate::endpoints::{
    healthz, login, logout, logout_all, rotate, session, sessions, sign_out, verify,
};
use crate::http::Endpoint;

/// Below `server.prefix`.
pub static ENDPOINTS: [Endpoint; 9] = [
    Endpoint::post("login", || to(login::login)),
    Endpoint::post("logout", || to(logout::logout)),
    Endpoint::post("logout/all", || to(logout_all::logout_all)),
    Endpoint::post("rotate", || to(rotate::rotate)),
    Endpoint::get("session", || to(session::session)),
    Endpoint::get("sessions", || to(sessions::sessions)),
    Endpoint::delete("sessions/{session_id}", || to(sign_out::sign_out)),
    Endpoint::on_fast_path(verify::PATH),
    Endpoint::get("healthz", || to(healthz::healthz)),
];
