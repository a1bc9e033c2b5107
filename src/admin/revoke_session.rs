//! `DELETE /admin/api/sessions/{session_id}`: ends one session.

use actix_web::{HttpRequest, HttpResponse, web};

use super::operator::Operator;
use super::outcome::outcome_of;
use super::show_session::{named, not_found};
use crate::http::GatewayError;
use crate::http::to_the_end::to_the_end;
use crate::session::{LiveSession, SessionId, SessionService, UserService, Written};

/// 204 when it has ended by this, 404 when it had ended before or never was.
pub(super) async fn revoke_session(
    req: HttpRequest,
    operator: Operator,
    sessions: web::Data<SessionService>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (id, live) = named(&req, &sessions).await?;
    let name = users.name_of(&live.session.user);
    to_the_end(async move { revoke(&sessions, &id, &live, &name, &operator).await }).await
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
