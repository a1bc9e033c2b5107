//! `POST /auth/rotate`: a fresh token for the session of the one that comes with it.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::authenticate::Authenticator;
use crate::http::completion::saw;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::login::TokenResponse;

/// 200 as a login. The old token opens the session for `session.rotate_grace` longer, and asked again with it meanwhile this
/// gives the same answer: the one before may have been lost on its way.
pub async fn rotate(req: HttpRequest, auth: web::Data<Authenticator>) -> Result<HttpResponse, GatewayError> {
    let token = auth.token(req.headers(), req.uri().query())?;
    let issued = auth.sessions().rotate(&token).await?;
    let issued = issued
        .ok_or_else(|| GatewayError::new(ErrorCode::SessionExpired, "The session has expired or was ended, so its token cannot be changed. Log in again."))?;
    saw(&req, issued.id, &issued.app);
    let (token, session_id) = (issued.token.expose(), issued.id.to_string());
    Ok(TokenResponse::new(&token, &session_id, issued.expires_in, issued.absolute_expires_in).answer())
}
