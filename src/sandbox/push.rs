//! The platform's messages to an app's server: what a person enters in the console, and what the
//! platform posts then, with its retries.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{answered, check_app, parsed};
use super::endpoint::Endpoint;
use super::platform::Platform;
use super::push_settings::{Fault, Mode, PushSettings};
use crate::clock::monotonic_now;
use crate::crypto::{hash, random};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::control("POST", "/sandbox/push-settings", || {
        web::post().to(settings)
    }),
    Endpoint::control("POST", "/sandbox/push", || web::post().to(push)),
];

/// The longest wait that can be ordered.
const WAIT_MAX_MS: u64 = 60_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushRequest {
    app: String,
    /// The app of somebody else's that the message is to, where `app` acts for it.
    authorizer: Option<String>,
    message: Value,
    #[serde(default = "three")]
    tries: u32,
    #[serde(default = "five_seconds")]
    interval_ms: u64,
    #[serde(default = "five_seconds")]
    timeout_ms: u64,
    fault: Option<Fault>,
}

const fn three() -> u32 {
    3
}

const fn five_seconds() -> u64 {
    5000
}

/// The console's check of the URL, which it takes only if that is answered.
async fn settings(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wx0123456789abcdef", "url": "http://127.0.0.1:8080/auth/push/shop", "token": "t0ken", "aes_key": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C" });
    answered(enter(&body, &platform).await, &example)
}

async fn enter(body: &[u8], platform: &Platform) -> Result<HttpResponse, String> {
    let settings: PushSettings = parsed(body)?;
    check_app(platform, &settings.app)?;
    if settings.aes_key.is_some() && settings.key().is_none() {
        return Err("aes_key has not the 43 characters of an EncodingAESKey".to_owned());
    }
    if settings.mode() != Mode::Plain && settings.key().is_none() {
        return Err("this mode needs an aes_key".to_owned());
    }
    check(&settings, &settings.url, platform).await?;
    // Any app's will do.
    if let Some(url) = settings.url_for("wx0123456789abcdef") {
        check(&settings, &url, platform).await?;
    }
    platform.keep_push_settings(settings);
    Ok(HttpResponse::Ok().json(json!({ "checked": true })))
}

async fn check(settings: &PushSettings, url: &str, platform: &Platform) -> Result<(), String> {
    let echo = hash::to_hex(&random::bytes::<8>());
    let mut query = settings.signed(platform.now(), None);
    query.push(("echostr", echo.clone()));
    let request = client().get(url).query(&query);
    let said = match request.send().await {
        Ok(answer) => answer.text().await,
        Err(error) => Err(error),
    };
    let said = said.map_err(|error| {
        let why = error.without_url();
        format!("the URL does not answer: {why}")
    })?;
    if said != echo {
        return Err(format!("the URL did not answer the echostr, but {said:?}"));
    }
    Ok(())
}

/// Posts a message until it is answered with 200 in time, as often as the platform does.
async fn push(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wx0123456789abcdef", "message": "<xml><MsgId>1</MsgId></xml>" });
    answered(send(&body, &platform).await, &example)
}

async fn send(body: &[u8], platform: &Platform) -> Result<HttpResponse, String> {
    let request: PushRequest = parsed(body)?;
    check_app(platform, &request.app)?;
    let settings = platform
        .push_settings(&request.app)
        .ok_or("enter the app's URL and Token first: POST /sandbox/push-settings")?;
    let url = match &request.authorizer {
        None => settings.url.clone(),
        Some(authorizer) => {
            let url = settings.url_for(authorizer);
            let url = url.ok_or("enter message_url first: POST /sandbox/push-settings")?;
            let authorized = platform.check_authorized(&request.app, authorizer);
            authorized.map_err(|_| {
                "the authorizer has not authorised the app: POST /sandbox/authorize".to_owned()
            })?;
            url
        }
    };
    if !(1..=10).contains(&request.tries)
        || request.interval_ms.max(request.timeout_ms) > WAIT_MAX_MS
    {
        return Err("tries are 1 to 10, interval_ms and timeout_ms at most 60000".to_owned());
    }
    let message = match &request.message {
        Value::String(text) => text.clone(),
        Value::Object(_) => request.message.to_string(),
        _ => return Err("message is a text, such as XML, or an object".to_owned()),
    };
    let mut tries = Vec::new();
    let mut is_over = false;
    for number in 0..request.tries {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(request.interval_ms)).await;
        }
        let (tried, done) = post(&settings, &url, platform, &request, &message).await;
        tries.push(tried);
        is_over = done;
        if is_over {
            break;
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "delivered": is_over, "tries": tries })))
}

/// Posts an event once, and what came of it; `None`: no URL is entered for the app.
pub(super) async fn announce(platform: &Platform, app: &str, event: &str) -> Option<Value> {
    let settings = platform.push_settings(app)?;
    let request = PushRequest {
        app: app.to_owned(),
        authorizer: None,
        message: Value::Null,
        tries: 1,
        interval_ms: 0,
        timeout_ms: five_seconds(),
        fault: None,
    };
    let (tried, _) = post(&settings, &settings.url, platform, &request, event).await;
    Some(tried)
}

/// One try: what came of it, and whether it was the last.
async fn post(
    settings: &PushSettings,
    url: &str,
    platform: &Platform,
    request: &PushRequest,
    message: &str,
) -> (Value, bool) {
    let (query, body) = settings.written(platform.now(), message, request.fault);
    let is_json = body.starts_with('{');
    let media_type = if is_json {
        "application/json"
    } else {
        "text/xml"
    };
    let began = monotonic_now();
    let sent = client()
        .post(url)
        .query(&query)
        .header("content-type", media_type)
        .timeout(Duration::from_millis(request.timeout_ms))
        .body(body)
        .send();
    let answered = async {
        let answer = sent.await?;
        let status = answer.status().as_u16();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let answered = answered.await;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answered {
        Ok((status, text)) => {
            let said = settings.opened(&text).unwrap_or(text);
            let tried = json!({ "status": status, "answer": said, "took_ms": took });
            (tried, status == 200)
        }
        Err(error) => {
            let why = if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                error.without_url().to_string()
            };
            (json!({ "error": why, "took_ms": took }), false)
        }
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap_or_default()
}
