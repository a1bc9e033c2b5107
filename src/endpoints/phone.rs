//! `POST /auth/phone`: the phone number behind a code of the platform's phone number button.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::endpoints::asker::asker;
use crate::endpoints::page::may_change;
use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::GatewayError;
use crate::http::json_body::{Example, Object};
use crate::identity::OpenDataFlow;

/// Further fields are ignored.
#[derive(Deserialize)]
pub struct PhoneRequest {
    code: String,
}

impl Example for PhoneRequest {
    const EXAMPLE: &'static str = "{\"code\": \"…\"}";
}

/// 200 with the number, which the platform gives for a code of this user alone.
pub async fn phone(
    req: HttpRequest,
    body: web::Json<Object<PhoneRequest>>,
    auth: web::Data<Authenticator>,
    flow: web::Data<OpenDataFlow>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let Object(body) = &*body;
    let asker = asker(&req, &auth).await?;
    Ok(json(&flow.phone_number(&asker, &body.code).await?))
}
