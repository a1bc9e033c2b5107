//! `GET /admin/api/sessions/{session_id}`: whose a session is that a log line names.

use std::net::IpAddr;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::http::answer::json;
use crate::http::endpoint::named_session;
use crate::http::request_log::note_session;
use crate::http::{ErrorCode, GatewayError};
use crate::session::{Claims, LiveSession, SessionService};

/// A session as operators see it.
#[derive(Serialize)]
pub(super) struct SessionView<'a> {
    session_id: String,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer_appid: Option<&'a str>,
    provider: &'static str,
    user: &'a str,
    unionid: Option<&'a str>,
    created_at: String,
    device: &'a str,
    client_address: Option<IpAddr>,
    expires_in: u64,
    absolute_expires_in: u64,
    claims: &'a Claims,
}

impl<'a> From<&'a LiveSession> for SessionView<'a> {
    fn from(live: &'a LiveSession) -> Self {
        let session = &live.session;
        Self {
            session_id: live.id.to_string(),
            app: &session.user.app,
            authorizer_appid: session.user.authorizer.as_deref(),
            provider: session.user.provider.as_str(),
            user: &session.user.subject,
            unionid: session.unionid.as_deref(),
            created_at: session.created.rfc3339(),
            device: &session.device,
            client_address: session.client_address,
            expires_in: live.expires_in.as_secs(),
            absolute_expires_in: live.absolute_expires_in.as_secs(),
            claims: &session.claims,
        }
    }
}

/// 200 with the session, 404 when it has ended or never was. The name of a token that was rotated
/// away a moment ago finds what its session is called now.
pub(super) async fn show_session(
    req: HttpRequest,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let id = named_session(&req).ok_or_else(not_found)?;
    let live = sessions.find(&id).await?.ok_or_else(not_found)?;
    note_session(&req, live.id, &live.session.user.app);
    Ok(json(&SessionView::from(&live)))
}

pub(super) fn not_found() -> GatewayError {
    GatewayError::new(
        ErrorCode::SessionNotFound,
        "There is no session with this id; it may have ended.",
    )
}
