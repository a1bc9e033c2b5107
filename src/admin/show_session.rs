//! `GET /admin/api/sessions/{session_id}`: whose a session is that a log line names.

use actix_web::{HttpRequest, HttpResponse, web};

use super::user::SessionView;
use crate::http::answer::json;
use crate::http::endpoint::named_session;
use crate::http::request_log::note_session;
use crate::http::{ErrorCode, GatewayError};
use crate::session::{LiveSession, SessionId, SessionService};

/// 200 with the session, 404 when it has ended or never was. The name of a token that was rotated
/// away a moment ago finds what its session is called now.
pub(super) async fn show_session(
    req: HttpRequest,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let (_, live) = named(&req, &sessions).await?;
    Ok(json(&SessionView::from(&live)))
}

/// The name in the path, which may be one that was rotated away, and the living session behind it.
pub(super) async fn named(
    req: &HttpRequest,
    sessions: &SessionService,
) -> Result<(SessionId, LiveSession), GatewayError> {
    let id = named_session(req).ok_or_else(not_found)?;
    let live = sessions.find(&id).await?.ok_or_else(not_found)?;
    note_session(req, live.id, &live.session.user.app);
    Ok((id, live))
}

pub(super) fn not_found() -> GatewayError {
    GatewayError::new(
        ErrorCode::SessionNotFound,
        "There is no session with this id; it may have ended.",
    )
}
