//! `GET /admin/api/sessions?app=…&user=…`: a user's sessions.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};

use super::apps::CurrentApps;
use super::show_session::SessionView;
use super::user::UserQuery;
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::session::SessionService;

/// 200 with the living sessions, newest first. A user who was never here has none.
pub(super) async fn list_sessions(
    query: web::Query<UserQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let (user, _) = query.find(&apps)?;
    let devices = sessions.devices(&user).await?;
    let sessions: Vec<_> = devices.iter().map(SessionView::from).collect();
    Ok(json(&BTreeMap::from([("sessions", sessions)])))
}
