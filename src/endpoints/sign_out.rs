//! `DELETE /auth/sessions/{session_id}`: signs out one of the caller's devices.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::page::may_change;
use crate::http::authenticate::Authenticator;
use crate::http::endpoint::named_session;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::to_the_end::to_the_end;
use crate::session::Written;

/// 204 when one of the user's own sessions has ended by it. A name that is no name, nobody's, and
/// another user's are the same 404: who guesses names learns nothing.
pub async fn sign_out(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let live = auth.session(&req).await?;
    let ended = match named_session(&req) {
        Some(id) => {
            let sessions = auth.sessions.clone();
            to_the_end(async move { Ok(sessions.end_device(&live.session.user, &id).await?) })
                .await?
        }
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
