//! `DELETE /admin/api/sessions?app=…&user=…`: ends all sessions of a user.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};

use super::user::{CurrentApps, UserQuery, operator_address};
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::session::SessionService;

/// 200 with how many ended by this. A user who was never here has none to end.
pub(super) async fn revoke_all_sessions(
    req: HttpRequest,
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let user = query.key(&apps.now())?;
    let revoked = sessions.end_all(&user).await?;
    let from = operator_address(&req);
    log::info!(app = &*user.app, revoked = revoked, from = from.as_str(); "an operator ended all sessions of a user");
    Ok(json(&BTreeMap::from([("revoked", revoked)])))
}
