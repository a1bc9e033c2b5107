//! `POST /auth/decrypt`: opens what the platform's client has sealed under the user's session_key.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoints::asker::asker;
use crate::endpoints::page::may_change;
use crate::http::answer::json;
use crate::http::authenticate::Authenticator;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::json_body::{Example, Object};
use crate::http::to_the_end::to_the_end;
use crate::identity::{OpenDataFlow, SealedData, Signed};

/// Longest body: the data of a page's thirty days of steps has some kilobytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// What the platform's client gives to the page, in its own names. Further fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecryptRequest {
    encrypted_data: String,
    iv: String,
    raw_data: Option<String>,
    signature: Option<String>,
}

impl Example for DecryptRequest {
    const EXAMPLE: &'static str = "{\"encryptedData\": \"…\", \"iv\": \"…\"}";
}

#[derive(Serialize)]
struct DecryptAnswer {
    data: Map<String, Value>,
}

/// 200 with the data as the platform wrote it.
pub async fn decrypt(
    req: HttpRequest,
    body: web::Json<Object<DecryptRequest>>,
    auth: web::Data<Authenticator>,
    flow: web::Data<OpenDataFlow>,
) -> Result<HttpResponse, GatewayError> {
    may_change(&req, &auth)?;
    let Object(body) = body.into_inner();
    let asker = asker(&req, &auth).await?;
    let sealed = sealed(body)?;
    // It may change the user's claims.
    let data = to_the_end(async move { Ok(flow.open(&asker, &sealed).await?) }).await?;
    Ok(json(&DecryptAnswer { data }))
}

fn sealed(body: DecryptRequest) -> Result<SealedData, GatewayError> {
    let signed = match (body.raw_data, body.signature) {
        (Some(raw_data), Some(signature)) => Some(Signed {
            raw_data,
            signature,
        }),
        (None, None) => None,
        _ => {
            return Err(GatewayError::new(
                ErrorCode::RequestInvalid,
                "rawData and signature belong together: send both or neither.",
            ));
        }
    };
    Ok(SealedData {
        encrypted_data: body.encrypted_data,
        iv: body.iv,
        signed,
    })
}
