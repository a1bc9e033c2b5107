//! `GET /wxa/checksession` and `GET /wxa/resetusersessionkey`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::wire::{self, WechatError};
use crate::sandbox::platform::Platform;

#[derive(Serialize)]
struct Checked {
    errcode: i64,
    errmsg: &'static str,
}

#[derive(Serialize)]
struct Reset {
    errcode: i64,
    errmsg: &'static str,
    openid: String,
    session_key: String,
}

/// Who asks, about whom, proved by a signature under the present session_key.
struct Proved {
    app: String,
    openid: String,
    user: String,
}

pub(super) async fn check(request: HttpRequest, platform: web::Data<Platform>) -> HttpResponse {
    wire::answer(
        &platform,
        &proved(&request, &platform).map(|_| Checked {
            errcode: 0,
            errmsg: "ok",
        }),
    )
}

pub(super) async fn reset(request: HttpRequest, platform: web::Data<Platform>) -> HttpResponse {
    let reset = proved(&request, &platform).map(|proved| {
        platform.rotate(&proved.app, &proved.user);
        let session_key = platform
            .session_key(&proved.app, &proved.user)
            .expose()
            .clone();
        Reset {
            errcode: 0,
            errmsg: "ok",
            openid: proved.openid,
            session_key,
        }
    });
    wire::answer(&platform, &reset)
}

fn proved(request: &HttpRequest, platform: &Platform) -> Result<Proved, WechatError> {
    let query = wire::query(request);
    let app = platform.app_of_token(wire::required(&query, "access_token", wire::NO_TOKEN)?)?;
    let openid = wire::required(&query, "openid", wire::BAD_OPENID)?.to_owned();
    if wire::required(&query, "sig_method", wire::BAD_SIG_METHOD)? != "hmac_sha256" {
        return Err(wire::BAD_SIG_METHOD);
    }
    let user = platform.check_signature(
        &app,
        &openid,
        wire::required(&query, "signature", wire::BAD_SIGNATURE)?,
    )?;
    Ok(Proved { app, openid, user })
}
