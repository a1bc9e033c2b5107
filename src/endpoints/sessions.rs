//! `GET /auth/sessions` and `DELETE /auth/sessions/{session_id}`: where the caller is signed in,
//! and signing one of these out.

use std::net::IpAddr;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::endpoints::page::may_change;
use crate::http::authenticate::Authenticator;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::request_log::saw;
use crate::session::{LiveSession, SessionId, Written};

#[derive(Serialize)]
struct SessionsResponse<'a> {
    sessions: Vec<Device<'a>>,
}

#[derive(Serialize)]
struct Device<'a> {
    session_id: String,
    /// Whether it is the one that asks.
    current: bool,
    created_at: String,
    device: &'a str,
    client_address: Option<IpAddr>,
    expires_in: u64,
    absolute_expires_in: u64,
}

impl<'a> Device<'a> {
    fn new(live: &'a LiveSession, current: SessionId) -> Self {
        Self {
            session_id: live.id.to_string(),
            current: live.id == current,
            created_at: live.session.created.rfc3339(),
            device: &live.session.device,
            client_address: live.session.client_address,
            expires_in: live.expires_in.as_secs(),
            absolute_expires_in: live.absolute_expires_in.as_secs(),
        }
    }
}

/// 200 with the user's own sessions, newest first.
pub async fn sessions(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    let live = auth.session(&req).await?;
    saw(&req, live.id, &live.session.user.app);
    let devices = auth.sessions().devices(&live.session.user).await?;
    let sessions = devices
        .iter()
        .map(|device| Device::new(device, live.id))
        .collect();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(SessionsResponse { sessions }))
}

/// 204 when one of the user's own sessions has ended by it. A name that is no name, nobody's, and
/// another user's are the same 404: who guesses names learns nothing.
pub async fn sign_out(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let live = auth.session(&req).await?;
    saw(&req, live.id, &live.session.user.app);
    let ended = match req
        .match_info()
        .get("session_id")
        .and_then(SessionId::parse)
    {
        Some(id) => auth.sessions().end_device(&live.session.user, &id).await?,
        None => Written::Gone,
    };
    match ended {
        Written::Done => Ok(HttpResponse::NoContent().finish()),
        Written::Gone | Written::Stale => Err(GatewayError::new(
            ErrorCode::SessionNotFound,
            "You have no session of this name; it may have ended before.",
        )),
    }
}
