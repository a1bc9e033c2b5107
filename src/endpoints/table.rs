//! The gateway's own endpoints, one row each.

use actix_web::web::to;

use crate::endpoints::{
    authorizer_push, decrypt, healthz, jwks, login, logout, logout_all, phone, push, rotate,
    session, session_key_reset, session_key_status, sessions, sign_out, verify,
};
use crate::http::Endpoint;

/// Below `server.prefix`.
pub static ENDPOINTS: [Endpoint; 18] = [
    Endpoint::post("login", || to(login::login)),
    Endpoint::post("logout", || to(logout::logout)),
    Endpoint::post("logout/all", || to(logout_all::logout_all)),
    Endpoint::post("rotate", || to(rotate::rotate)),
    Endpoint::get("session", || to(session::session)),
    Endpoint::get("sessions", || to(sessions::sessions)),
    Endpoint::delete("sessions/{session_id}", || to(sign_out::sign_out)),
    Endpoint::post("decrypt", || to(decrypt::decrypt)).body_limit(decrypt::BODY_LIMIT),
    Endpoint::post("phone", || to(phone::phone)),
    Endpoint::get("session-key/status", || {
        to(session_key_status::session_key_status)
    }),
    Endpoint::post("session-key/reset", || {
        to(session_key_reset::session_key_reset)
    }),
    Endpoint::on_fast_path(verify::PATH),
    Endpoint::get("push/{app}", || to(push::check)),
    Endpoint::post("push/{app}", || to(push::receive)),
    Endpoint::get("push/{app}/{authorizer}", || to(authorizer_push::check)),
    Endpoint::post("push/{app}/{authorizer}", || to(authorizer_push::receive)),
    Endpoint::get("jwks.json", || to(jwks::jwks)),
    Endpoint::get("healthz", || to(healthz::healthz)),
];
