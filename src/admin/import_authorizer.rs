//! `PUT /admin/api/apps/{app}/authorizers/{authorizer}`: sets an authorizer's refresh token.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::apps::{CurrentApps, named_authorizer};
use super::component_error::not_carried_out;
use super::operator::Operator;
use crate::broker::TokenBroker;
use crate::http::json_body::{Example, Object};
use crate::http::to_the_end::to_the_end;
use crate::http::{ErrorCode, GatewayError};
use crate::identity::App;
use crate::provider::reply;
use crate::secret::Secret;

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

/// 204 when its refresh token is kept: the one in the body, or the one that the platform has.
pub(super) async fn import_authorizer(
    req: HttpRequest,
    operator: Operator,
    body: web::Json<Object<Import>>,
    apps: web::Data<CurrentApps>,
    broker: web::Data<TokenBroker>,
) -> Result<HttpResponse, GatewayError> {
    let authorizer = named_authorizer(&req, &apps)?;
    let Object(Import { refresh_token }) = body.into_inner();
    let given = refresh_token.filter(|text| !text.is_empty());
    let refresh_token = given.map(reply::token).transpose();
    let refresh_token = refresh_token.map_err(|_| no_refresh_token())?;
    to_the_end(async move { import(&broker, &authorizer, refresh_token, &operator).await }).await
}

async fn import(
    broker: &TokenBroker,
    authorizer: &App,
    refresh_token: Option<Secret<String>>,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let kept = match &refresh_token {
        Some(refresh_token) => broker.import(authorizer, refresh_token).await,
        None => broker.recover(authorizer).await,
    };
    kept.map_err(|error| not_carried_out(error, "authorizer_import", authorizer, operator))?;
    log::info!(audit = "authorizer_import", outcome = "done", app = &*authorizer.name, appid = &*authorizer.appid, by = &*operator.token, from = &*operator.address; "an operator set the refresh token of {}", authorizer.appid);
    Ok(HttpResponse::NoContent().finish())
}

fn no_refresh_token() -> GatewayError {
    GatewayError::new(
        ErrorCode::RequestInvalid,
        "The refresh_token is no token of a platform.",
    )
}
