//! `DELETE /admin/api/sessions/{session_id}`: ends one session.

use actix_web::{HttpRequest, HttpResponse, web};

use super::operator::Operator;
use super::outcome::outcome_of;
use super::show_session::not_found;
use crate::http::GatewayError;
use crate::http::endpoint::named_session;
use crate::http::request_log::note_session;
use crate::http::to_the_end::to_the_end;
use crate::session::{LiveSession, SessionId, SessionService, UserService, Written};

/// 204 when it has ended by this, 404 when it had ended before or never was.
pub(super) async fn revoke_session(
    req: HttpRequest,
    operator: Operator,
    sessions: web::Data<SessionService>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let id = named_session(&req).ok_or_else(not_found)?;
    let live = found(&sessions, &id, &operator).await?;
    note_session(&req, live.id, &live.session.user.app);
    let name = users.name_of(&live.session.user);
    to_the_end(async move { revoke(&sessions, &id, &live, &name, &operator).await }).await
}

/// The session to end. Where there is none, that is logged as the outcome.
async fn found(
    sessions: &SessionService,
    id: &SessionId,
    operator: &Operator,
) -> Result<LiveSession, GatewayError> {
    let session = id.to_string();
    match sessions.find(id).await {
        Ok(Some(live)) => Ok(live),
        Ok(None) => {
            log::info!(audit = "revoke", outcome = "nothing", session = session.as_str(), by = &*operator.token, from = &*operator.address; "a session that an operator ended had ended already, or never was");
            Err(not_found())
        }
        // It was only looked up, so nothing has changed.
        Err(error) => {
            log::warn!(audit = "revoke", outcome = "failed", session = session.as_str(), by = &*operator.token, from = &*operator.address; "a session that an operator ended could not be looked up: {}", error.reason);
            Err(error.into())
        }
    }
}

async fn revoke(
    sessions: &SessionService,
    id: &SessionId,
    live: &LiveSession,
    name: &str,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let user = &live.session.user;
    let session = live.id.to_string();
    match sessions.end_device(user, id).await {
        Ok(Written::Done) => {
            log::info!(audit = "revoke", outcome = "done", session = session.as_str(), app = &*user.app, user = name, by = &*operator.token, from = &*operator.address; "an operator ended a session");
            Ok(HttpResponse::NoContent().finish())
        }
        Ok(Written::Gone | Written::Stale) => {
            log::info!(audit = "revoke", outcome = "nothing", session = session.as_str(), app = &*user.app, user = name, by = &*operator.token, from = &*operator.address; "a session that an operator ended had ended already");
            Err(not_found())
        }
        Err(error) => {
            let outcome = outcome_of(&error);
            log::warn!(audit = "revoke", outcome = outcome, session = session.as_str(), app = &*user.app, user = name, by = &*operator.token, from = &*operator.address; "ending a session for an operator got no good answer of the store: {}", error.reason);
            Err(error.into())
        }
    }
}
