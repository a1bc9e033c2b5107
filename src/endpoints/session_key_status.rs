//! `GET /auth/session-key/status`: whether the platform still takes the user's session_key.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::endpoints::asker::asker;
use crate::endpoints::page::may_change;
use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::identity::OpenDataFlow;

#[derive(Serialize)]
struct StatusAnswer {
    valid: bool,
}

/// 200 whatever the platform says of it.
pub async fn session_key_status(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
    flow: web::Data<OpenDataFlow>,
) -> Result<HttpResponse, GatewayError> {
    // It takes one from the user's limit and calls the platform: a page that shows it as a picture
    // could keep its visitors from their data.
    may_change(&req, &auth)?;
    let asker = asker(&req, &auth).await?;
    let valid = flow.check_session_key(&asker).await?;
    Ok(json(&StatusAnswer { valid }))
}
