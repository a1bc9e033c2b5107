//! `POST /auth/logout/all`: the end of all sessions of a user.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::page::may_change;
use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;

/// 200 with how many sessions ended, this one among them. A dead token is 401: it does not say
/// whose sessions are meant.
pub async fn logout_all(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let live = auth.session(&req).await?;
    let revoked = auth.sessions.end_all(&live.session.user).await?;
    Ok(json(&BTreeMap::from([("revoked", revoked)])))
}
