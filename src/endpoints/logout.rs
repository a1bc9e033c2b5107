//! `POST /auth/logout` and `POST /auth/logout/all`: the end of the session of the token that comes
//! with it, and of all of its user's.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::endpoints::page::may_change;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::http::request_log::{SeenSession, saw};

/// 204, also when the session had ended before. 503 when the store is down: it did not happen.
pub async fn logout(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let token = auth.token(&req)?;
    req.extensions_mut().insert(SeenSession {
        session: Some(token.id()),
        app: None,
    });
    auth.sessions().end(&token).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Serialize)]
struct RevokedResponse {
    revoked: u64,
}

/// 200 with how many sessions ended, this one among them. A dead token is 401: it does not say
/// whose sessions are meant.
pub async fn logout_all(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let live = auth.session(&req).await?;
    saw(&req, live.id, &live.session.user.app);
    let revoked = auth.sessions().end_all(&live.session.user).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(RevokedResponse { revoked }))
}
