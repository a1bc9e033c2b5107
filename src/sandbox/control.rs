//! The control side: what a phone or a person does at a platform's end, and what is to go wrong.
//! Whoever gets a request wrong is told what is wrong with it and shown one that works.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::apis;
use super::codes::Purpose;
use super::endpoint::Endpoint;
use super::faults::Fault;
use super::platform::Platform;
use super::settings::AcceptedApps;
use super::users;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::control("POST", "/sandbox/code", || web::post().to(code)),
    Endpoint::control("POST", "/sandbox/open-data", || web::post().to(open_data)),
    Endpoint::control("POST", "/sandbox/rotate", || web::post().to(rotate)),
    Endpoint::control("POST", "/sandbox/end-tokens", || web::post().to(end_tokens)),
    Endpoint::control("POST", "/sandbox/faults", || web::post().to(faults)),
    Endpoint::control("GET", "/sandbox/calls", || web::get().to(calls)),
    Endpoint::control("POST", "/sandbox/addresses", || web::post().to(addresses)),
];

/// The longest delay that can be ordered: ten minutes, beyond any client's patience.
const DELAY_MAX_MS: u64 = 600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeRequest {
    app: String,
    user: String,
    #[serde(default, rename = "for")]
    purpose: Purpose,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenDataRequest {
    app: String,
    user: String,
    data: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateRequest {
    app: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppRequest {
    app: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressesRequest {
    app: String,
    addresses: Vec<IpAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    api: String,
    times: u32,
    status: Option<u16>,
    body: Option<Value>,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    reset: bool,
}

async fn code(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wx0123456789abcdef", "user": "alice" });
    carried_out(&body, &example, |asked: CodeRequest| {
        let CodeRequest { app, user, purpose } = &asked;
        check_user(&platform, app, user)?;
        Ok(HttpResponse::Ok().json(json!({
            "code": platform.code(app, user, *purpose),
            "openid": users::openid(app, user),
            "expires_in": platform.settings().code_ttl.as_secs(),
        })))
    })
}

async fn open_data(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example =
        json!({ "app": "wx0123456789abcdef", "user": "alice", "data": { "nickName": "Alice" } });
    carried_out(&body, &example, |asked: OpenDataRequest| {
        check_user(&platform, &asked.app, &asked.user)?;
        Ok(HttpResponse::Ok().json(platform.open_data(&asked.app, &asked.user, asked.data)))
    })
}

async fn rotate(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wx0123456789abcdef", "user": "alice" });
    carried_out(&body, &example, |RotateRequest { app, user }| {
        check_user(&platform, &app, &user)?;
        platform.rotate(&app, &user);
        Ok(HttpResponse::Ok().json(json!({
            "openid": users::openid(&app, &user),
            "session_key": platform.session_key(&app, &user).expose(),
        })))
    })
}

async fn end_tokens(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wx0123456789abcdef" });
    carried_out(&body, &example, |AppRequest { app }| {
        check_app(&platform, &app)?;
        Ok(HttpResponse::Ok().json(json!({ "ended": platform.end_tokens(&app) })))
    })
}

async fn addresses(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wx0123456789abcdef", "addresses": ["203.0.113.7"] });
    carried_out(&body, &example, |asked: AddressesRequest| {
        check_app(&platform, &asked.app)?;
        platform.allow_addresses(&asked.app, asked.addresses);
        Ok(HttpResponse::NoContent().finish())
    })
}

async fn faults(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "api": "jscode2session", "times": 2, "body": { "errcode": -1, "errmsg": "system error" } });
    carried_out(&body, &example, |asked| {
        let (api, fault) = fault_of(asked)?;
        platform.order(api, fault);
        Ok(HttpResponse::NoContent().finish())
    })
}

async fn calls(platform: web::Data<Platform>) -> HttpResponse {
    HttpResponse::Ok().json(
        apis()
            .map(|api| (api, platform.calls(api)))
            .collect::<BTreeMap<_, _>>(),
    )
}

/// Does what is asked, or says what is wrong with it.
fn carried_out<T: DeserializeOwned>(
    body: &[u8],
    example: &Value,
    act: impl FnOnce(T) -> Result<HttpResponse, String>,
) -> HttpResponse {
    answered(parsed(body).and_then(act), example)
}

/// What is asked, or what is wrong with it.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| {
        if body.is_empty() {
            "the body is empty; it must be a JSON object".to_owned()
        } else {
            format!("the body: {error}")
        }
    })
}

/// The answer, or what is wrong and one request that works.
pub(super) fn answered(outcome: Result<HttpResponse, String>, example: &Value) -> HttpResponse {
    outcome.unwrap_or_else(|wrong| {
        HttpResponse::BadRequest().json(json!({ "error": wrong, "example": example }))
    })
}

fn check_user(platform: &Platform, app: &str, user: &str) -> Result<(), String> {
    if user.is_empty() {
        return Err("user is empty; any name will do".to_owned());
    }
    check_app(platform, app)
}

pub(super) fn check_app(platform: &Platform, app: &str) -> Result<(), String> {
    if platform.knows(app) {
        return Ok(());
    }
    Err(
        if let AcceptedApps::Only(apps) = &platform.settings().apps {
            let known: Vec<&str> = apps.iter().map(|app| &*app.appid).collect();
            format!("app {app:?} is unknown here; app is an appid, one of {known:?}")
        } else {
            "app is empty; it is an appid, any will do".to_owned()
        },
    )
}

fn fault_of(request: FaultRequest) -> Result<(&'static str, Fault), String> {
    let Some(api) = apis().find(|api| *api == request.api) else {
        return Err(format!(
            "api {:?} is none of {:?}",
            request.api,
            apis().collect::<Vec<_>>()
        ));
    };
    if request.times == 0 {
        return Err("times must be at least 1".to_owned());
    }
    if request.delay_ms > DELAY_MAX_MS {
        return Err(format!("delay_ms must be at most {DELAY_MAX_MS}"));
    }
    if request.reset && (request.status.is_some() || request.body.is_some()) {
        return Err("reset cuts the connection, so there can be no status and no body".to_owned());
    }
    let status = request.status.unwrap_or(200);
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..=599).contains(&status))
        .ok_or("status must be 200 to 599")?;
    if request.status.is_none() && request.body.is_none() && request.delay_ms == 0 && !request.reset
    {
        return Err(
            "nothing goes wrong: give at least one of status, body, delay_ms and reset".to_owned(),
        );
    }
    let answer = (request.status.is_some() || request.body.is_some())
        .then(|| (status, text_of(request.body)));
    Ok((
        api,
        Fault {
            times: request.times,
            answer,
            delay: Duration::from_millis(request.delay_ms),
            reset: request.reset,
        },
    ))
}

/// A text goes out as it is, so that HTML and broken JSON can be ordered; anything else as JSON.
fn text_of(body: Option<Value>) -> String {
    match body {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    }
}
