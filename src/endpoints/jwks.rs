//! `GET /auth/jwks.json`: the public keys of the signed identity (RFC 7517), for whoever verifies it.

use std::sync::Arc;

use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, ContentType};
use actix_web::{HttpResponse, web};

use crate::http::GatewayError;

/// The keys as JSON; `None`: nothing is signed.
pub struct PublishedKeys(pub Option<Arc<str>>);

/// 200 to everybody, also to pages of any origin: there is nothing secret in it. Verifiers may keep
/// it for five minutes, for which the steps of a change of keys wait.
pub async fn jwks(keys: web::Data<PublishedKeys>) -> Result<HttpResponse, GatewayError> {
    let keys = keys.0.as_deref().ok_or_else(GatewayError::no_endpoint)?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::json())
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .body(keys.to_owned()))
}
