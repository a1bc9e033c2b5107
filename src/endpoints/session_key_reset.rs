//! `POST /auth/session-key/reset`: another session_key in the place of the user's.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::asker::asker;
use crate::endpoints::page::may_change;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::identity::OpenDataFlow;

/// 204 when neither the platform nor the gateway takes an older one any more.
pub async fn session_key_reset(
    req: HttpRequest,
    auth: web::Data<Authenticator>,
    flow: web::Data<OpenDataFlow>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let asker = asker(&req, &auth).await?;
    flow.reset_session_key(&asker).await?;
    Ok(HttpResponse::NoContent().finish())
}
