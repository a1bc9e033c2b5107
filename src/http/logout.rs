//! `POST /auth/logout`: ends the session of the token that comes with it.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use crate::http::authenticate::Authenticator;
use crate::http::completion::SeenSession;
use crate::http::error::GatewayError;

/// 204, also when the session had ended before. 503 when the store is down: it did not happen.
pub async fn logout(req: HttpRequest, auth: web::Data<Authenticator>) -> Result<HttpResponse, GatewayError> {
    let token = auth.token(req.headers(), req.uri().query())?;
    req.extensions_mut().insert(SeenSession { session: token.id(), app: None });
    auth.sessions().end(&token).await?;
    Ok(HttpResponse::NoContent().finish())
}
