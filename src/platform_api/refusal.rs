//! An error as whoever has called expects it. What an SDK makes of an error decides its shape: most
//! read the platform's number out of a 200, and some repeat a call without end on the wrong number.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER};
use serde_json::{Map, Value};

use super::credentials::Way;
use crate::http::error::X_HUFU_ERROR;
use crate::http::{ErrorCode, GatewayError};
use crate::provider::server_api::{ServerApi, ServerRefusal};

pub(super) fn answer(error: &GatewayError, way: Way, api: &ServerApi, id: &str) -> HttpResponse {
    match refusal(error.code).filter(|_| way == Way::Sdk) {
        Some(refusal) => in_the_platforms_words(error, refusal, api, id),
        None => {
            let mut response = error.response(id);
            if error.code == ErrorCode::ProxyLoginRequired {
                response.headers_mut().insert(
                    PROXY_AUTHENTICATE,
                    HeaderValue::from_static(r#"Basic realm="hufu""#),
                );
            }
            response
        }
    }
}

/// What the platform has a number for that SDKs read without repeating the call.
const fn refusal(code: ErrorCode) -> Option<ServerRefusal> {
    match code {
        ErrorCode::ApiNotAllowed => Some(ServerRefusal::NotAllowed),
        ErrorCode::AppNotAuthorized => Some(ServerRefusal::NotAuthorized),
        ErrorCode::ClientSecretInvalid => Some(ServerRefusal::WrongSecret),
        ErrorCode::GatewayTokenExpired => Some(ServerRefusal::TokenExpired),
        ErrorCode::RateLimited => Some(ServerRefusal::TooOften),
        _ => None,
    }
}

fn in_the_platforms_words(
    error: &GatewayError,
    refusal: ServerRefusal,
    api: &ServerApi,
    id: &str,
) -> HttpResponse {
    let (number, text) = (api.refusal)(refusal);
    let [number_field, text_field] = api.error_fields;
    let detail = error.detail.trim_end_matches('.');
    let body = Map::from_iter([
        (number_field.to_owned(), number.into()),
        (
            text_field.to_owned(),
            Value::from(format!("{text}: hufu: {detail}, rid: {id}")),
        ),
    ]);
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_HUFU_ERROR, error.code.word()));
    if let Some(wait) = error.retry_after {
        response.insert_header((RETRY_AFTER, wait.as_secs().max(1)));
    }
    response.json(body)
}
