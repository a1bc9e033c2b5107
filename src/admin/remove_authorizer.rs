//! `DELETE /admin/api/apps/{app}/authorizers/{authorizer}`: deletes an authorizer's tokens.

use actix_web::{HttpRequest, HttpResponse, web};

use super::apps::{CurrentApps, named_authorizer};
use super::component_error::not_carried_out;
use super::operator::Operator;
use crate::broker::TokenBroker;
use crate::http::GatewayError;
use crate::http::to_the_end::to_the_end;
use crate::identity::App;

/// 204 when its tokens and tickets are deleted.
pub(super) async fn remove_authorizer(
    req: HttpRequest,
    operator: Operator,
    apps: web::Data<CurrentApps>,
    broker: web::Data<TokenBroker>,
) -> Result<HttpResponse, GatewayError> {
    let authorizer = named_authorizer(&req, &apps)?;
    to_the_end(async move { remove(&broker, &authorizer, &operator).await }).await
}

async fn remove(
    broker: &TokenBroker,
    authorizer: &App,
    operator: &Operator,
) -> Result<HttpResponse, GatewayError> {
    let forgotten = broker.forget(authorizer).await;
    forgotten
        .map_err(|error| not_carried_out(error, "authorizer_removal", authorizer, operator))?;
    log::info!(audit = "authorizer_removal", outcome = "done", app = &*authorizer.name, appid = &*authorizer.appid, by = &*operator.token, from = &*operator.address; "an operator deleted the tokens of {}", authorizer.appid);
    Ok(HttpResponse::NoContent().finish())
}
