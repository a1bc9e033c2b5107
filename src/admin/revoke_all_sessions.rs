//! `DELETE /admin/api/sessions?app=…&user=…`: ends all sessions of a user.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};

use super::to_the_end::to_the_end;
use super::user::{CurrentApps, UserQuery, operator_address};
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::session::{SessionService, UserKey};

/// 200 with how many ended by this. A user who was never here has none to end.
pub(super) async fn revoke_all_sessions(
    req: HttpRequest,
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let user = query.key(&apps.now())?;
    let from = operator_address(&req);
    to_the_end(async move { revoke_all(&sessions, &user, &from).await }).await
}

async fn revoke_all(
    sessions: &SessionService,
    user: &UserKey,
    from: &str,
) -> Result<HttpResponse, GatewayError> {
    let revoked = sessions.end_all(user).await?;
    log::info!(app = &*user.app, revoked = revoked, from = from; "an operator ended all sessions of a user");
    Ok(json(&BTreeMap::from([("revoked", revoked)])))
}
