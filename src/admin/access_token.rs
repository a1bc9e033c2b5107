//! `GET /admin/api/apps/{app}/access-token`: the app's real access token, and
//! `…/authorizers/{authorizer}/access-token`: that of an app for which it acts. These are the answers
//! that hold one, for scripts of the operator's; each is logged.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::apps::{CurrentApps, named_app, named_authorizer};
use super::operator::Operator;
use crate::clock::monotonic_now;
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::identity::{App, AppTokenError, AppTokenSource};

/// Where the tokens of apps come from.
pub struct AppTokens(pub Arc<dyn AppTokenSource>);

/// As the platform answers.
#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    expires_in: u64,
}

/// 200 with the token that all gateways use; it is fetched when there is none.
pub(super) async fn access_token(
    req: HttpRequest,
    operator: Operator,
    apps: web::Data<CurrentApps>,
    tokens: web::Data<AppTokens>,
) -> Result<HttpResponse, GatewayError> {
    let app = named_app(&req, &apps)?;
    hand_out(&operator, &app, &tokens).await
}

/// The same of an authorizer.
pub(super) async fn authorizer_access_token(
    req: HttpRequest,
    operator: Operator,
    apps: web::Data<CurrentApps>,
    tokens: web::Data<AppTokens>,
) -> Result<HttpResponse, GatewayError> {
    let app = named_authorizer(&req, &apps)?;
    hand_out(&operator, &app, &tokens).await
}

async fn hand_out(
    operator: &Operator,
    app: &App,
    tokens: &AppTokens,
) -> Result<HttpResponse, GatewayError> {
    let token = tokens.0.token(app).await.map_err(for_operators)?;
    log::info!(audit = "access_token", outcome = "done", app = &*app.name, appid = &*app.appid, by = &*operator.token, from = &*operator.address; "an operator was given the access token of an app ({})", app.appid);
    let left = token.until.saturating_duration_since(monotonic_now());
    Ok(json(&TokenAnswer {
        access_token: token.text.expose(),
        expires_in: left.as_secs(),
    }))
}

/// Operators read why.
fn for_operators(error: AppTokenError) -> GatewayError {
    let detail = match &error {
        AppTokenError::Unsupported | AppTokenError::Store(_) => None,
        AppTokenError::Unavailable { reason, .. }
        | AppTokenError::Misconfigured { reason, .. }
        | AppTokenError::NotAuthorized { reason, .. } => {
            Some(format!("There is no access token just now: {reason}."))
        }
    };
    let mut answer = GatewayError::from(error);
    if let Some(detail) = detail {
        answer.detail = detail.into();
    }
    answer
}
