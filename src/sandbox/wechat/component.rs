//! The APIs of third-party platforms.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::code2session::exchange_granted;
use super::wire::{self, WechatError};
use crate::sandbox::authorizations;
use crate::sandbox::components::Tokens;
use crate::sandbox::platform::{Login, Platform};

/// What the calls send, each its part of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    component_appid: String,
    component_appsecret: String,
    component_secret: String,
    component_verify_ticket: String,
    authorization_code: String,
    authorizer_appid: String,
    authorizer_refresh_token: String,
}

pub(super) async fn token(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    wire::answer(&platform, &grant_token(&request, &body, &platform))
}

fn grant_token(
    request: &HttpRequest,
    body: &[u8],
    platform: &Platform,
) -> Result<Value, WechatError> {
    let asked = asked(request, body)?;
    let component = &asked.component_appid;
    if component.is_empty() {
        return Err(wire::NO_APPID);
    }
    if asked.component_appsecret.is_empty() {
        return Err(wire::NO_SECRET);
    }
    platform
        .check_app(component, &asked.component_appsecret)
        .map_err(wire::of_component)?;
    match request.peer_addr() {
        Some(peer) if !platform.allows_address(component, peer.ip()) => {
            return Err(WechatError::bad_component_address(peer.ip()));
        }
        _ => {}
    }
    let granted = platform.component_token(component, &asked.component_verify_ticket)?;
    Ok(json!({
        "component_access_token": granted.access_token,
        "expires_in": granted.expires_in,
    }))
}

/// Has a ticket pushed, once the answer has gone.
pub(super) async fn start_tickets(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let started = asked(&request, &body).and_then(|asked| {
        platform
            .check_app(&asked.component_appid, &asked.component_secret)
            .map_err(wire::of_component)?;
        let platform = platform.clone();
        actix_web::rt::spawn(async move {
            authorizations::push_ticket(&platform, &asked.component_appid).await;
        });
        Ok(json!({ "errcode": 0, "errmsg": "ok" }))
    });
    wire::answer(&platform, &started)
}

pub(super) async fn query_auth(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let answered = with_token(&request, &body, &platform, |asked| {
        let code = &asked.authorization_code;
        let tokens = platform.first_tokens(&asked.component_appid, code)?;
        let mut info = pair(&tokens);
        info["authorizer_appid"] = tokens.app.into();
        info["func_info"] = func_info();
        Ok(json!({ "authorization_info": info }))
    });
    wire::answer(&platform, &answered)
}

pub(super) async fn authorizer_token(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let answered = with_token(&request, &body, &platform, |asked| {
        let Asked {
            component_appid,
            authorizer_appid,
            authorizer_refresh_token,
            ..
        } = asked;
        let tokens = platform.refresh_authorizer(
            component_appid,
            authorizer_appid,
            authorizer_refresh_token,
        )?;
        Ok(pair(&tokens))
    });
    wire::answer(&platform, &answered)
}

pub(super) async fn authorizer_info(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let answered = with_token(&request, &body, &platform, |asked| {
        let app = &asked.authorizer_appid;
        let refresh = platform.refresh_token(&asked.component_appid, app)?;
        Ok(json!({
            "authorizer_info": { "nick_name": app, "service_type_info": { "id": 0 } },
            "authorization_info": {
                "authorizer_appid": app,
                "authorizer_refresh_token": refresh,
                "func_info": func_info(),
            },
        }))
    });
    wire::answer(&platform, &answered)
}

pub(super) async fn code2session(
    request: HttpRequest,
    platform: web::Data<Platform>,
) -> HttpResponse {
    wire::answer(&platform, &exchange(&request, &platform))
}

fn exchange(request: &HttpRequest, platform: &Platform) -> Result<Login, WechatError> {
    if request.method() != Method::GET {
        return Err(wire::NO_APPID);
    }
    let query = wire::query(request);
    let appid = wire::required(&query, "appid", wire::NO_APPID)?;
    let component = wire::required(&query, "component_appid", wire::NO_APPID)?;
    let token = wire::required(&query, "component_access_token", wire::NO_TOKEN)?;
    let code = wire::required(&query, "js_code", wire::NO_CODE)?;
    platform.check_component(component, token)?;
    platform.check_authorized(component, appid)?;
    exchange_granted(platform, &query, appid, code)
}

fn asked(request: &HttpRequest, body: &[u8]) -> Result<Asked, WechatError> {
    if request.method() != Method::POST {
        return Err(wire::POST_ONLY);
    }
    serde_json::from_slice(body).map_err(|_| wire::BAD_BODY)
}

fn with_token(
    request: &HttpRequest,
    body: &[u8],
    platform: &Platform,
    answer: impl FnOnce(&Asked) -> Result<Value, WechatError>,
) -> Result<Value, WechatError> {
    let asked = asked(request, body)?;
    let query = wire::query(request);
    let token = wire::required(&query, "component_access_token", wire::NO_TOKEN)?;
    platform.check_component(&asked.component_appid, token)?;
    answer(&asked)
}

fn pair(tokens: &Tokens) -> Value {
    json!({
        "authorizer_access_token": tokens.access.access_token,
        "expires_in": tokens.access.expires_in,
        "authorizer_refresh_token": tokens.refresh,
    })
}

fn func_info() -> Value {
    json!([{ "funcscope_category": { "id": 17 } }])
}
