//! `GET /admin/api/sessions/count[?app=…&user=…]`: how many sessions there are, of a user or of
//! everybody.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::apps::CurrentApps;
use super::user::UserQuery;
use crate::http::answer::json;
use crate::http::{ErrorCode, GatewayError};
use crate::session::{SessionCount, SessionService};

/// A user, or nobody in particular.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountQuery {
    app: Option<String>,
    authorizer_appid: Option<String>,
    user: Option<String>,
}

#[derive(Serialize)]
struct CountAnswer {
    at_least: u64,
    at_most: u64,
    /// Whether the two are one number, and not an estimate.
    exact: bool,
}

/// 200 with two bounds. A user's sessions are counted. Those of everybody are not, since no store
/// could do that without walking over all of them: the number of Redis's keys gives the bounds.
pub(super) async fn count_sessions(
    query: web::Query<CountQuery>,
    apps: web::Data<CurrentApps>,
    sessions: web::Data<SessionService>,
) -> Result<HttpResponse, GatewayError> {
    let CountQuery {
        app,
        authorizer_appid,
        user,
    } = query.into_inner();
    let names_app = app.is_some() || authorizer_appid.is_some();
    let SessionCount { at_least, at_most } = match user {
        Some(user) => {
            let query = UserQuery {
                app,
                authorizer_appid,
                user,
            };
            let (user, _) = query.find(&apps)?;
            let count = sessions.devices(&user).await?.len() as u64;
            SessionCount {
                at_least: count,
                at_most: count,
            }
        }
        None if names_app => {
            return Err(GatewayError::new(
                ErrorCode::RequestInvalid,
                "The sessions of an app are not counted; name a user too, or neither.",
            ));
        }
        None => sessions.total().await?,
    };
    Ok(json(&CountAnswer {
        at_least,
        at_most,
        exact: at_least == at_most,
    }))
}
