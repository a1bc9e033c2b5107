//! `GET /wxa/checksession` and `GET /wxa/resetusersessionkey`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::wire::{self, WechatError};
use crate::sandbox::platform::Platform;

/// Who asks, about whom, proved by a signature under the present session_key.
struct Proved {
    app: String,
    openid: String,
    user: String,
}

pub(super) async fn check(request: HttpRequest, platform: web::Data<Platform>) -> HttpResponse {
    let checked = proved(&request, &platform).map(|_| json!({ "errcode": 0, "errmsg": "ok" }));
    wire::answer(&platform, &checked)
}

pub(super) async fn reset(request: HttpRequest, platform: web::Data<Platform>) -> HttpResponse {
    let reset = proved(&request, &platform).map(|Proved { app, openid, user }| {
        platform.rotate(&app, &user);
        let session_key = platform.session_key(&app, &user);
        json!({
            "errcode": 0,
            "errmsg": "ok",
            "openid": openid,
            "session_key": session_key.expose(),
        })
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
