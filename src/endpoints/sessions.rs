//! `GET /auth/sessions`: where the caller is signed in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::session::{LiveSession, SessionId};

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
    let devices = auth.sessions.devices(&live.session.user).await?;
    let sessions: Vec<_> = devices
        .iter()
        .map(|device| Device::new(device, live.id))
        .collect();
    Ok(json(&BTreeMap::from([("sessions", sessions)])))
}
