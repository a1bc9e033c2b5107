//! `GET /sns/jscode2session`.

use std::collections::HashMap;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};

use super::wire::{self, WechatError};
use crate::sandbox::platform::{Login, Platform};

pub(super) async fn mini_program(
    request: HttpRequest,
    platform: web::Data<Platform>,
) -> HttpResponse {
    wire::answer(&platform, &exchange(&request, &platform))
}

fn exchange(request: &HttpRequest, platform: &Platform) -> Result<Login, WechatError> {
    // The platform reads the query of a GET alone: to it, a POST has no appid.
    if request.method() != Method::GET {
        return Err(wire::NO_APPID);
    }
    let query = wire::query(request);
    let appid = wire::required(&query, "appid", wire::NO_APPID)?;
    let secret = wire::required(&query, "secret", wire::NO_SECRET)?;
    let code = wire::required(&query, "js_code", wire::NO_CODE)?;
    platform.check_app(appid, secret)?;
    exchange_granted(platform, &query, appid, code)
}

/// Exchanges a code for a caller whose credentials are right.
pub(super) fn exchange_granted(
    platform: &Platform,
    query: &HashMap<String, String>,
    appid: &str,
    code: &str,
) -> Result<Login, WechatError> {
    match query.get("grant_type").map(String::as_str) {
        Some("authorization_code") => Ok(platform.exchange(appid, code)?),
        _ => Err(wire::BAD_GRANT_TYPE),
    }
}
