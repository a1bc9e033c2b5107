//! `GET /admin/api/sessions?app=…&user=…`: a user's sessions.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};

use super::user::{CurrentApps, SessionView, UserQuery};
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::session::SessionService;

/// 200 with the living sessions, newest first. A user who was never here has none.
pub(super) async fn list_sessions(
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let devices = sessions.devices(&query.key(&apps.now())?).await?;
    let sessions: Vec<_> = devices.iter().map(SessionView::from).collect();
    Ok(json(&BTreeMap::from([("sessions", sessions)])))
}
