//! `GET /admin/api/apps/{app}/access-token`: the app's real access token. It is the one answer that
//! holds one, for scripts of the operator's; each is logged.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::user::{CurrentApps, operator_address, unknown_app};
use crate::clock::monotonic_now;
use crate::http::GatewayError;
use crate::http::answer::json;
use crate::identity::{AppTokenError, AppTokenSource};

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
    apps: web::Data<CurrentApps>,
    tokens: web::Data<AppTokens>,
) -> Result<HttpResponse, GatewayError> {
    let name = req.match_info().get("app").unwrap_or_default();
    let apps = apps.now();
    let app = apps.get(name).ok_or_else(unknown_app)?;
    let token = tokens.0.token(app).await.map_err(for_operators)?;
    let from = operator_address(&req);
    log::info!(app = &*app.name, from = from.as_str(); "an operator was given the access token of an app");
    let left = token.until.saturating_duration_since(monotonic_now());
    Ok(json(&TokenAnswer {
        access_token: token.text.expose(),
        expires_in: left.as_secs(),
    }))
}

/// Operators read why.
fn for_operators(error: AppTokenError) -> GatewayError {
    let detail = match &error {
        AppTokenError::Unsupported => None,
        AppTokenError::Unavailable { reason, .. } | AppTokenError::Misconfigured { reason, .. } => {
            Some(format!("There is no access token just now: {reason}."))
        }
    };
    let mut answer = GatewayError::from(error);
    if let Some(detail) = detail {
        answer.detail = detail.into();
    }
    answer
}
