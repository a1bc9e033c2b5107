//! Douyin's login: `POST /api/apps/v2/jscode2session`. Always HTTP 200.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::denied::Denied;
use super::endpoint::Endpoint;
use super::platform::Platform;

pub(super) const ENDPOINTS: &[Endpoint] = &[Endpoint::api(
    "POST",
    "/api/apps/v2/jscode2session",
    "douyin/jscode2session",
    || web::to(code2session),
)];

/// Number and text.
struct DouyinError(i64, &'static str);

const BUSY: DouyinError = DouyinError(-1, "system error");
const BAD_PARAMETERS: DouyinError = DouyinError(40014, "bad params");
const BAD_APPID: DouyinError = DouyinError(40015, "bad appid");
const BAD_SECRET: DouyinError = DouyinError(40017, "bad secret");
const BAD_CODE: DouyinError = DouyinError(40018, "bad code");
const BAD_ANONYMOUS_CODE: DouyinError = DouyinError(40019, "bad anonymous code");

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    appid: String,
    secret: String,
    code: String,
    anonymous_code: String,
}

impl From<Denied> for DouyinError {
    /// A used code and a blocked user have no number of their own, and neither has a limit.
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::AppUnknown => BAD_APPID,
            Denied::WrongSecret => BAD_SECRET,
            Denied::TooOften => BUSY,
            _ => BAD_CODE,
        }
    }
}

async fn code2session(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    HttpResponse::Ok().json(match exchange(&body, &platform) {
        Ok(data) => json!({ "err_no": 0, "err_tips": "success", "data": data }),
        Err(DouyinError(err_no, err_tips)) => {
            json!({ "err_no": err_no, "err_tips": err_tips, "data": {} })
        }
    })
}

fn exchange(body: &[u8], platform: &Platform) -> Result<serde_json::Value, DouyinError> {
    let request: Request = serde_json::from_slice(body).map_err(|_| BAD_PARAMETERS)?;
    if request.code.is_empty() && request.anonymous_code.is_empty() {
        return Err(BAD_PARAMETERS);
    }
    platform.check_app(&request.appid, &request.secret)?;
    // No anonymous codes are given out here.
    if !request.anonymous_code.is_empty() {
        return Err(BAD_ANONYMOUS_CODE);
    }
    let login = platform.exchange(&request.appid, &request.code)?;
    Ok(json!({
        "session_key": login.session_key,
        "openid": login.openid,
        "anonymous_openid": "",
        "unionid": login.unionid.unwrap_or_default(),
    }))
}
