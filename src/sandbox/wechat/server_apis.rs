//! APIs that backends call with an access_token: content checks, messages, tickets.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{self, WechatError};
use crate::sandbox::platform::Platform;

/// Content with this word in it is risky.
const RISKY: &str = "risky";
/// The largest picture.
const PICTURE_MAX: usize = 1024 * 1024;
const TICKETS: [&str; 2] = ["jsapi", "wx_card"];

#[derive(Deserialize)]
#[serde(default)]
struct Text {
    content: String,
    version: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    touser: String,
    msgtype: String,
    template_id: String,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            content: String::new(),
            version: 1,
        }
    }
}

/// `POST /wxa/msg_sec_check`, of both versions.
pub(super) async fn check_text(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let checked = caller(&request, &platform).and_then(|_| {
        let text: Text = serde_json::from_slice(&body).map_err(|_| wire::BAD_BODY)?;
        let is_risky = text.content.contains(RISKY);
        if text.content.is_empty() {
            return Err(wire::NO_CONTENT);
        }
        match (text.version, is_risky) {
            (2, _) => Ok(json!({
                "errcode": 0,
                "errmsg": "ok",
                "result": {
                    "suggest": if is_risky { "risky" } else { "pass" },
                    "label": if is_risky { 20001 } else { 100 },
                },
                "trace_id": wire::trace(&platform),
            })),
            (_, true) => Err(wire::RISKY_CONTENT),
            (_, false) => Ok(ok()),
        }
    });
    wire::answer(&platform, &checked)
}

/// `POST /wxa/img_sec_check`: reads the picture as it comes.
pub(super) async fn check_picture(
    request: HttpRequest,
    mut payload: web::Payload,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let (mut length, mut is_risky) = (0, false);
    while let Some(Ok(piece)) = payload.next().await {
        length += piece.len();
        is_risky |= piece
            .windows(RISKY.len())
            .any(|word| word == RISKY.as_bytes());
    }
    let checked = caller(&request, &platform).and_then(|_| match length {
        0 => Err(wire::NO_MEDIA),
        length if length > PICTURE_MAX => Err(wire::BAD_MEDIA_SIZE),
        _ if is_risky => Err(wire::RISKY_CONTENT),
        _ => Ok(ok()),
    });
    wire::answer(&platform, &checked)
}

/// `POST /cgi-bin/message/custom/send`.
pub(super) async fn send_custom(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let sent = message(&request, &body, &platform).and_then(|message| {
        if message.msgtype.is_empty() {
            return Err(wire::BAD_MESSAGE_TYPE);
        }
        Ok(ok())
    });
    wire::answer(&platform, &sent)
}

/// `POST /cgi-bin/message/subscribe/send`.
pub(super) async fn send_subscribed(
    request: HttpRequest,
    body: web::Bytes,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let sent = message(&request, &body, &platform).and_then(|message| {
        if message.template_id.is_empty() {
            return Err(wire::BAD_TEMPLATE);
        }
        Ok(ok())
    });
    wire::answer(&platform, &sent)
}

/// `GET /cgi-bin/ticket/getticket`.
pub(super) async fn ticket(request: HttpRequest, platform: web::Data<Platform>) -> HttpResponse {
    let ticket = caller(&request, &platform).and_then(|app| {
        let query = wire::query(&request);
        let kind = wire::required(&query, "type", wire::BAD_TICKET_TYPE)?;
        if !TICKETS.contains(&kind) {
            return Err(wire::BAD_TICKET_TYPE);
        }
        let granted = platform.app_ticket(&app, kind)?;
        Ok(json!({
            "errcode": 0,
            "errmsg": "ok",
            "ticket": granted.access_token,
            "expires_in": granted.expires_in,
        }))
    });
    wire::answer(&platform, &ticket)
}

/// The app whose access_token the request carries.
fn caller(request: &HttpRequest, platform: &Platform) -> Result<String, WechatError> {
    let query = wire::query(request);
    let token = wire::required(&query, "access_token", wire::NO_TOKEN)?;
    Ok(platform.app_of_token(token)?)
}

/// A message to a user of the app.
fn message(
    request: &HttpRequest,
    body: &[u8],
    platform: &Platform,
) -> Result<Message, WechatError> {
    if request.method() != Method::POST {
        return Err(wire::POST_ONLY);
    }
    let app = caller(request, platform)?;
    let message: Message = serde_json::from_slice(body).map_err(|_| wire::BAD_BODY)?;
    if platform.knows_user(&app, &message.touser) {
        Ok(message)
    } else {
        Err(wire::BAD_OPENID)
    }
}

fn ok() -> Value {
    json!({ "errcode": 0, "errmsg": "ok" })
}
