//! `DELETE /admin/api/sessions?app=…&user=…`: ends all sessions of a user.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};

use super::apps::CurrentApps;
use super::operator::Operator;
use super::outcome::outcome_of;
use super::user::UserQuery;
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::http::to_the_end::to_the_end;
use crate::session::{SessionService, UserKey, UserService};

/// 200 with how many ended by this. A user who was never here has none to end.
pub(super) async fn revoke_all_sessions(
    operator: Operator,
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
    users: web::Data<UserService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, _) = query.find(&apps)?;
    let name = users.name_of(&user);
    to_the_end(async move { revoke_all(&sessions, &user, &name, &operator).await }).await
}

async fn revoke_all(
    sessions: &SessionService,
    user: &UserKey,
    name: &str,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    match sessions.end_all(user).await {
        Ok(revoked) => {
            log::info!(audit = "revoke_all", outcome = "done", app = &*user.app, user = name, revoked = revoked, by = &*operator.token, from = &*operator.address; "an operator ended all sessions of a user");
            Ok(json(&BTreeMap::from([("revoked", revoked)])))
        }
        Err(error) => {
            let outcome = outcome_of(&error);
            log::warn!(audit = "revoke_all", outcome = outcome, app = &*user.app, user = name, by = &*operator.token, from = &*operator.address; "ending all sessions of a user for an operator got no good answer of the store: {}", error.reason);
            Err(error.into())
        }
    }
}
