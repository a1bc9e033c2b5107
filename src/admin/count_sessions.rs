//! `GET /admin/api/sessions/count[?app=…&user=…]`: how many sessions there are, of a user or of
//! everybody.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::user::{CurrentApps, user_key};
use crate::http::answer::json;
use crate::http::{ErrorCode, GatewayError};
use crate::identity::NamedApp;
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
    let named = NamedApp {
        name: query.app.as_deref(),
        authorizer: query.authorizer_appid.as_deref(),
    };
    let SessionCount { at_least, at_most } = match (named.name, &query.user) {
        (_, Some(user)) => {
            let count = sessions
                .devices(&user_key(&apps.now(), named, user)?)
                .await?
                .len() as u64;
            SessionCount {
                at_least: count,
                at_most: count,
            }
        }
        (None, None) => sessions.total().await?,
        (Some(_), None) => {
            return Err(GatewayError::new(
                ErrorCode::RequestInvalid,
                "The sessions of an app are not counted; name a user too, or neither.",
            ));
        }
    };
    Ok(json(&CountAnswer {
        at_least,
        at_most,
        exact: at_least == at_most,
    }))
}
