//! `GET /cgi-bin/token` and `POST /cgi-bin/stable_token`.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::wire::{self, WechatError};
use crate::sandbox::access_tokens::Granted;
use crate::sandbox::platform::Platform;

/// What both want as `grant_type`.
const GRANT_TYPE: &str = "client_credential";

#[derive(Default, Deserialize)]
#[serde(default)]
struct StableToken {
    grant_type: String,
    appid: String,
    secret: String,
    force_refresh: bool,
}

pub(super) async fn plain(request: HttpRequest, platform: web::Data<Platform>) -> HttpResponse {
    let query = wire::query(&request);
    let value = |name: &str| query.get(name).map_or("", String::as_str);
    let granted = checked(
        &request,
        &platform,
        value("grant_type"),
        value("appid"),
        value("secret"),
    )
    .map(|()| platform.plain_token(value("appid")));
    wire::answer(&platform, &granted)
}

pub(super) async fn stable(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    wire::answer(&platform, &grant_stable(&request, &body, &platform))
}

fn grant_stable(
    request: &HttpRequest,
    body: &[u8],
    platform: &Platform,
) -> Result<Granted, WechatError> {
    if request.method() != Method::POST {
        return Err(wire::POST_ONLY);
    }
    let wanted: StableToken = serde_json::from_slice(body).map_err(|_| wire::BAD_BODY)?;
    checked(
        request,
        platform,
        &wanted.grant_type,
        &wanted.appid,
        &wanted.secret,
    )?;
    Ok(platform.stable_token(&wanted.appid, wanted.force_refresh)?)
}

fn checked(
    request: &HttpRequest,
    platform: &Platform,
    grant_type: &str,
    appid: &str,
    secret: &str,
) -> Result<(), WechatError> {
    if grant_type != GRANT_TYPE {
        return Err(wire::BAD_GRANT_TYPE);
    }
    if appid.is_empty() {
        return Err(wire::NO_APPID);
    }
    if secret.is_empty() {
        return Err(wire::NO_SECRET);
    }
    platform.check_app(appid, secret)?;
    match request.peer_addr() {
        Some(peer) if !platform.allows_address(appid, peer.ip()) => {
            Err(WechatError::bad_address(peer.ip()))
        }
        _ => Ok(()),
    }
}
