//! `DELETE /admin/api/sessions/{session_id}`: ends one session.

use actix_web::{HttpRequest, HttpResponse, web};

use super::show_session::{named, not_found};
use super::user::operator_address;
use crate::http::GatewayError;
use crate::session::{SessionService, Written};

/// 204 when it has ended by this, 404 when it had ended before or never was.
pub(super) async fn revoke_session(
    req: HttpRequest,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let (id, live) = named(&req, &sessions).await?;
    match sessions.end_device(&live.session.user, &id).await? {
        Written::Done => {
            let from = operator_address(&req);
            log::info!(session = live.id.to_string().as_str(), app = &*live.session.user.app, from = from.as_str(); "an operator ended a session");
            Ok(HttpResponse::NoContent().finish())
        }
        Written::Gone | Written::Stale => Err(not_found()),
    }
}
