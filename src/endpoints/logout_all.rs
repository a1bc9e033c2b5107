//! `POST /auth/logout/all`: the end of all sessions of a user.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::page::may_change;
use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::http::to_the_end::to_the_end;

/// 200 with how many sessions ended, this one among them. A dead token is 401: it does not say
/// whose sessions are meant.
pub async fn logout_all(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let live = auth.session(&req).await?;
    let sessions = auth.sessions.clone();
    let ended = async move { Ok(sessions.end_all(&live.session.user).await?) };
    let revoked = to_the_end(ended).await?;
    Ok(json(&BTreeMap::from([("revoked", revoked)])))
}
