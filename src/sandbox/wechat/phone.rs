//! `POST /wxa/business/getuserphonenumber`.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::wire::{self, WechatError};
use crate::sandbox::platform::Platform;

#[derive(Deserialize)]
struct PhoneCode {
    #[serde(default)]
    code: String,
    openid: Option<String>,
}

#[derive(Serialize)]
struct PhoneNumber {
    errcode: i64,
    errmsg: &'static str,
    phone_info: PhoneInfo,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhoneInfo {
    phone_number: String,
    pure_phone_number: String,
    country_code: u16,
    watermark: Watermark,
}

#[derive(Serialize)]
struct Watermark {
    timestamp: u64,
    appid: String,
}

pub(super) async fn number(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    wire::answer(&platform, &look_up(&request, &body, &platform))
}

fn look_up(
    request: &HttpRequest,
    body: &[u8],
    platform: &Platform,
) -> Result<PhoneNumber, WechatError> {
    if request.method() != Method::POST {
        return Err(wire::POST_ONLY);
    }
    let query = wire::query(request);
    let appid = platform.app_of_token(wire::required(&query, "access_token", wire::NO_TOKEN)?)?;
    let wanted: PhoneCode = serde_json::from_slice(body).map_err(|_| wire::BAD_BODY)?;
    let number = platform.phone(&appid, &wanted.code, wanted.openid.as_deref())?;
    let watermark = Watermark {
        timestamp: platform.now().0 / 1000,
        appid,
    };
    let phone_info = PhoneInfo {
        phone_number: number.clone(),
        pure_phone_number: number,
        country_code: 86,
        watermark,
    };
    Ok(PhoneNumber {
        errcode: 0,
        errmsg: "ok",
        phone_info,
    })
}
