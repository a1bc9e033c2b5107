//! `POST /wxa/business/getuserphonenumber`.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{self, WechatError};
use crate::sandbox::platform::Platform;

#[derive(Deserialize)]
struct PhoneCode {
    #[serde(default)]
    code: String,
    openid: Option<String>,
}

pub(super) async fn number(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    wire::answer(&platform, &look_up(&request, &body, &platform))
}

fn look_up(request: &HttpRequest, body: &[u8], platform: &Platform) -> Result<Value, WechatError> {
    if request.method() != Method::POST {
        return Err(wire::POST_ONLY);
    }
    let query = wire::query(request);
    let appid = platform.app_of_token(wire::required(&query, "access_token", wire::NO_TOKEN)?)?;
    let wanted: PhoneCode = serde_json::from_slice(body).map_err(|_| wire::BAD_BODY)?;
    let number = platform.phone(&appid, &wanted.code, wanted.openid.as_deref())?;
    Ok(json!({
        "errcode": 0,
        "errmsg": "ok",
        "phone_info": {
            "phoneNumber": number,
            "purePhoneNumber": number,
            "countryCode": 86,
            "watermark": { "timestamp": platform.now().0 / 1000, "appid": appid },
        },
    }))
}
