//! `POST /auth/logout`: the end of the session of the token that comes with it.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use crate::endpoints::page::may_change;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::http::request_log::SeenSession;
use crate::http::to_the_end::to_the_end;

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
    let sessions = auth.sessions.clone();
    to_the_end(async move { Ok(sessions.end(&token).await?) }).await?;
    Ok(HttpResponse::NoContent().finish())
}
