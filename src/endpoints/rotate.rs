//! `POST /auth/rotate`: a fresh token for the session of the one that comes with it.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::page::may_change;
use crate::endpoints::token_answer::TokenAnswer;
use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::request_log::note_session;
use crate::http::to_the_end::to_the_end;
use crate::limit::{LoginLimits, Policy};
use crate::session::{SessionService, SessionToken};

/// 200 as a login. The old token opens the session for `session.rotate_grace` longer, and asked
/// again with it meanwhile this gives the same answer: the one before may have been lost on its
/// way.
pub async fn rotate(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
    limits: web::Data<LoginLimits>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let token = auth.token(&req)?;
    within_quota(&token, &auth.sessions, &limits).await?;
    let sessions = auth.sessions.clone();
    let issued = to_the_end(async move { Ok(sessions.rotate(&token).await?) }).await?;
    let issued = issued.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::SessionExpired,
            "The session has expired or was ended, so its token cannot be changed. Log in again.",
        )
    })?;
    note_session(&req, issued.id, &issued.app);
    let token = issued.token.expose();
    let session_id = issued.id.to_string();
    Ok(json(&TokenAnswer::new(
        &token,
        &session_id,
        issued.expires_in,
        issued.absolute_expires_in,
    )))
}

/// A rotation makes a token as a login does, and counts against the same quota. A token that opens
/// nothing is the rotation's to refuse.
async fn within_quota(
    token: &SessionToken,
    sessions: &SessionService,
    limits: &LoginLimits,
) -> Result<(), GatewayError> {
    let Some(quota) = limits.per_user() else {
        return Ok(());
    };
    match sessions.resolve(&token.id()).await? {
        Some(live) => Ok(limits
            .admit_user(sessions.limit_of(Policy::PerUser, &live.session.user, quota))
            .await?),
        None => Ok(()),
    }
}
