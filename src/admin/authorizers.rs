//! The authorizers of an app that acts for the apps of others, as operators see and change them:
//! `GET /admin/api/apps/{app}/authorizers`, and `PUT`, `DELETE` of one of them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::operator::Operator;
use super::to_the_end::{outcome_of, to_the_end};
use super::user::{CurrentApps, unknown_app};
use crate::broker::{ComponentError, TokenBroker};
use crate::http::answer::json;
use crate::http::json_body::{Example, Object};
use crate::http::{ErrorCode, GatewayError};
use crate::identity::{App, AppTokenError, ExchangeError, NamedApp, SealState};
use crate::provider::reply;
use crate::secret::Secret;

#[derive(Serialize)]
struct AuthorizersAnswer {
    authorizers: Vec<AuthorizerView>,
}

#[derive(Serialize)]
struct AuthorizerView {
    appid: String,
    /// `None`: it cannot be read.
    since: Option<String>,
    sealed_with: &'static str,
}

/// What an operator knows of an authorizer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    /// `None`: the platform is asked.
    refresh_token: Option<String>,
}

impl Example for Import {
    const EXAMPLE: &'static str = "{\"refresh_token\": \"…\"}, or {}";
}

/// 200 with all of them, by their appids; without their tokens.
pub(super) async fn list_authorizers(
    req: HttpRequest,
    apps: web::Data<CurrentApps>,
    broker: web::Data<TokenBroker>,
) -> Result<HttpResponse, GatewayError> {
    let app = named_app(&req, &apps)?;
    let kept = broker.authorizers(&app).await.map_err(for_operators)?;
    let authorizers = kept.into_iter().map(|kept| AuthorizerView {
        since: (kept.seal != SealState::Unreadable).then(|| kept.since.rfc3339()),
        appid: kept.appid,
        sealed_with: match kept.seal {
            SealState::Current => "first_key",
            SealState::Old => "old_key",
            SealState::Unreadable => "unknown",
        },
    });
    let authorizers = authorizers.collect();
    Ok(json(&AuthorizersAnswer { authorizers }))
}

/// 204 when its refresh token is kept: the one in the body, or the one that the platform has.
pub(super) async fn put_authorizer(
    req: HttpRequest,
    operator: Operator,
    body: web::Json<Object<Import>>,
    apps: web::Data<CurrentApps>,
    broker: web::Data<TokenBroker>,
) -> Result<HttpResponse, GatewayError> {
    let of = named_authorizer(&req, &apps)?;
    let Object(body) = body.into_inner();
    let given = body.refresh_token.filter(|text| !text.is_empty());
    let refresh_token = given.map(reply::token).transpose();
    let refresh_token = refresh_token.map_err(|_| no_refresh_token())?;
    to_the_end(async move { set_refresh_token(&broker, &of, refresh_token, &operator).await }).await
}

async fn set_refresh_token(
    broker: &TokenBroker,
    of: &App,
    refresh_token: Option<Secret<String>>,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let kept = match &refresh_token {
        Some(refresh_token) => broker.import(of, refresh_token).await,
        None => broker.recover(of).await,
    };
    kept.map_err(|error| failed(error, "authorizer_import", of, operator))?;
    log::info!(audit = "authorizer_import", outcome = "done", app = &*of.name, appid = &*of.appid, by = &*operator.token, from = &*operator.address; "an operator set the refresh token of {}", of.appid);
    Ok(HttpResponse::NoContent().finish())
}

/// 204 when its tokens and tickets are deleted.
pub(super) async fn forget_authorizer(
    req: HttpRequest,
    operator: Operator,
    apps: web::Data<CurrentApps>,
    broker: web::Data<TokenBroker>,
) -> Result<HttpResponse, GatewayError> {
    let of = named_authorizer(&req, &apps)?;
    to_the_end(async move { forget(&broker, &of, &operator).await }).await
}

async fn forget(
    broker: &TokenBroker,
    of: &App,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let forgotten = broker.forget(of).await;
    forgotten.map_err(|error| failed(error, "authorizer_removal", of, operator))?;
    log::info!(audit = "authorizer_removal", outcome = "done", app = &*of.name, appid = &*of.appid, by = &*operator.token, from = &*operator.address; "an operator deleted the tokens of {}", of.appid);
    Ok(HttpResponse::NoContent().finish())
}

/// The audit line and the answer of a change that was not carried out, as far as anybody knows.
fn failed(
    error: ComponentError,
    audit: &'static str,
    of: &App,
    operator: &Operator,
) -> GatewayError {
    let outcome = match &error {
        ComponentError::Store(error) => outcome_of(error),
        ComponentError::Platform(_) | ComponentError::Unsupported => "failed",
    };
    log::warn!(audit = audit, outcome = outcome, app = &*of.name, appid = &*of.appid, by = &*operator.token, from = &*operator.address; "an operator's change of the tokens of {} got no good answer: {error}", of.appid);
    for_operators(error)
}

/// The app that a path names as its `{app}`.
pub(super) fn named_app(req: &HttpRequest, apps: &CurrentApps) -> Result<App, GatewayError> {
    let name = req.match_info().get("app").unwrap_or_default();
    apps.now().get(name).cloned().ok_or_else(unknown_app)
}

/// The app that a path names as its `{authorizer}`.
pub(super) fn named_authorizer(req: &HttpRequest, apps: &CurrentApps) -> Result<App, GatewayError> {
    let app = named_app(req, apps)?;
    if app.component_api().is_none() {
        return Err(acts_for_none());
    }
    let named = NamedApp {
        name: Some(&app.name),
        authorizer: req.match_info().get("authorizer"),
    };
    Ok(named.app_of_user(&app)?)
}

fn no_refresh_token() -> GatewayError {
    GatewayError::new(
        ErrorCode::RequestInvalid,
        "The refresh_token is no token of a platform.",
    )
}

fn acts_for_none() -> GatewayError {
    GatewayError::new(
        ErrorCode::AuthorizerInvalid,
        "This app acts for no other, so it has no authorizers.",
    )
}

/// Operators read why.
fn for_operators(error: ComponentError) -> GatewayError {
    match error {
        ComponentError::Unsupported => acts_for_none(),
        ComponentError::Store(error) => error.into(),
        ComponentError::Platform(error) => {
            let detail = format!("The platform was asked: {error}.");
            let mut answer = match error {
                ExchangeError::NotAuthorized { platform_code, .. } => GatewayError {
                    platform_code: Some(platform_code),
                    ..GatewayError::new(ErrorCode::AppNotAuthorized, "")
                },
                ExchangeError::Misconfigured {
                    reason,
                    platform_code,
                } => AppTokenError::Misconfigured {
                    reason,
                    platform_code,
                    retry_after: std::time::Duration::ZERO,
                }
                .into(),
                ExchangeError::Unavailable { retry_after, .. }
                | ExchangeError::Throttled { retry_after, .. } => {
                    GatewayError::new(ErrorCode::PlatformUnavailable, "").retry_after(retry_after)
                }
                _ => GatewayError::new(ErrorCode::PlatformError, ""),
            };
            answer.detail = detail.into();
            answer
        }
    }
}
