//! WeChat's way of answering: HTTP 200, `text/plain`, and a trace at the end of each message.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::crypto::{hash, random};
use crate::sandbox::denied::Denied;
use crate::sandbox::platform::Platform;

/// An error of WeChat's: number and message, without the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WechatError(pub(super) i64, pub(super) Cow<'static, str>);

impl WechatError {
    const fn new(errcode: i64, errmsg: &'static str) -> Self {
        Self(errcode, Cow::Borrowed(errmsg))
    }

    /// The address is not on the app's list.
    pub(super) fn bad_address(address: IpAddr) -> Self {
        let v6 = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let errmsg = format!(
            "invalid ip {} ipv6 {v6}, not in whitelist",
            v6.to_canonical()
        );
        Self(40164, errmsg.into())
    }

    /// The same of a third-party platform's list.
    pub(super) fn bad_component_address(address: IpAddr) -> Self {
        let errmsg = format!("access clientip is not registered, requestIP: {address}");
        Self(61004, errmsg.into())
    }
}

const BAD_TOKEN: WechatError = WechatError::new(
    40001,
    "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken",
);
pub(super) const BAD_GRANT_TYPE: WechatError = WechatError::new(40002, "invalid grant_type");
pub(super) const BAD_OPENID: WechatError = WechatError::new(40003, "invalid openid");
pub(super) const BAD_MEDIA_SIZE: WechatError = WechatError::new(40006, "invalid media size");
pub(super) const BAD_MESSAGE_TYPE: WechatError = WechatError::new(40008, "invalid message type");
const BAD_APPID: WechatError = WechatError::new(40013, "invalid appid");
const BAD_CODE: WechatError = WechatError::new(40029, "invalid code");
pub(super) const BAD_TEMPLATE: WechatError = WechatError::new(40037, "invalid template_id");
pub(super) const BAD_TICKET_TYPE: WechatError = WechatError::new(40097, "invalid args");
const BAD_SECRET: WechatError = WechatError::new(40125, "invalid appsecret");
const CODE_USED: WechatError = WechatError::new(40163, "code been used");
const USER_BLOCKED: WechatError = WechatError::new(40226, "code blocked");
pub(super) const NO_TOKEN: WechatError = WechatError::new(41001, "access_token missing");
pub(super) const NO_APPID: WechatError = WechatError::new(41002, "appid missing");
pub(super) const NO_SECRET: WechatError = WechatError::new(41004, "appsecret missing");
pub(super) const NO_MEDIA: WechatError = WechatError::new(41005, "media data missing");
pub(super) const NO_CODE: WechatError = WechatError::new(41008, "missing code");
pub(super) const NO_CONTENT: WechatError = WechatError::new(44004, "empty content");
pub(super) const POST_ONLY: WechatError = WechatError::new(43002, "require POST method");
const TOO_OFTEN: WechatError = WechatError::new(
    45011,
    "api minute-quota reach limit mustslower retry next minute",
);
const QUOTA_USED_UP: WechatError = WechatError::new(45009, "reach max api daily quota limit");
pub(super) const BAD_BODY: WechatError = WechatError::new(47001, "data format error");
pub(super) const BAD_SIG_METHOD: WechatError = WechatError::new(87008, "invalid sig_method");
pub(super) const BAD_SIGNATURE: WechatError = WechatError::new(87009, "invalid signature");
pub(super) const RISKY_CONTENT: WechatError = WechatError::new(87014, "risky content");

const NOT_AUTHORIZED: WechatError =
    WechatError::new(61003, "component is not authorized by this account");
const TICKET_EXPIRED: WechatError = WechatError::new(61005, "component ticket is expired");
const BAD_TICKET: WechatError = WechatError::new(61006, "component ticket is invalid");
const BAD_AUTHORIZATION_CODE: WechatError = WechatError::new(61010, "code is expired");
const BAD_COMPONENT: WechatError = WechatError::new(61011, "invalid component");
const BAD_REFRESH_TOKEN: WechatError = WechatError::new(61023, "refresh_token is invalid");

/// What a third-party platform is told where others are told of their appid.
pub(super) fn of_component(denied: Denied) -> WechatError {
    if denied == Denied::AppUnknown {
        BAD_COMPONENT
    } else {
        denied.into()
    }
}

impl From<Denied> for WechatError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::AppUnknown => BAD_APPID,
            Denied::WrongSecret => BAD_SECRET,
            Denied::BadCode => BAD_CODE,
            Denied::CodeUsed => CODE_USED,
            Denied::UserBlocked => USER_BLOCKED,
            Denied::TooOften => TOO_OFTEN,
            Denied::UserUnknown => BAD_OPENID,
            Denied::BadSignature => BAD_SIGNATURE,
            Denied::BadToken => BAD_TOKEN,
            Denied::QuotaUsedUp => QUOTA_USED_UP,
            Denied::BadTicket => BAD_TICKET,
            Denied::TicketExpired => TICKET_EXPIRED,
            Denied::BadAuthorizationCode => BAD_AUTHORIZATION_CODE,
            Denied::NotAuthorized => NOT_AUTHORIZED,
            Denied::BadRefreshToken => BAD_REFRESH_TOKEN,
        }
    }
}

/// The answer to an API call.
pub(super) fn answer<T: Serialize>(
    platform: &Platform,
    result: &Result<T, WechatError>,
) -> HttpResponse {
    match result {
        Ok(body) => text(serde_json::to_string(body).unwrap_or_default()),
        Err(WechatError(errcode, errmsg)) => {
            let errmsg = format!("{errmsg}, rid: {}", trace(platform));
            text(serde_json::json!({ "errcode": errcode, "errmsg": errmsg }).to_string())
        }
    }
}

/// The query as names and values. What cannot be decoded counts as absent, as with the platform.
pub(super) fn query(request: &HttpRequest) -> HashMap<String, String> {
    web::Query::from_query(request.query_string())
        .map(web::Query::into_inner)
        .unwrap_or_default()
}

/// A parameter, or the refusal for its absence.
pub(super) fn required<'a>(
    query: &'a HashMap<String, String>,
    name: &str,
    missing: WechatError,
) -> Result<&'a str, WechatError> {
    query
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
        .ok_or(missing)
}

fn text(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType(actix_web::mime::TEXT_PLAIN))
        .body(body)
}

/// As real ones look: the time in hexadecimal and two random words.
pub(super) fn trace(platform: &Platform) -> String {
    let word = || hash::to_hex(&random::name_bytes::<4>());
    format!("{:08x}-{}-{}", platform.now().0 / 1000, word(), word())
}
