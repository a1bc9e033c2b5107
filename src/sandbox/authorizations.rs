//! The control side of third-party platforms: their tickets, and what administrators of apps do. If the
//! platform's URL is entered, the event is pushed there too.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{answered, check_app, parsed};
use super::endpoint::Endpoint;
use super::platform::Platform;
use super::push::announce;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::control("POST", "/sandbox/ticket", || web::post().to(ticket)),
    Endpoint::control("POST", "/sandbox/authorize", || web::post().to(authorize)),
    Endpoint::control("POST", "/sandbox/withdraw", || web::post().to(withdraw)),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    app: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizationRequest {
    component: String,
    app: String,
}

async fn ticket(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    let example = json!({ "app": "wxc0123456789abcde" });
    answered(make_ticket(&body, &platform).await, &example)
}

async fn make_ticket(body: &[u8], platform: &Platform) -> Result<HttpResponse, String> {
    let TicketRequest { app } = parsed(body)?;
    check_app(platform, &app)?;
    let (ticket, pushed) = push_ticket(platform, &app).await;
    Ok(done(json!({ "ticket": ticket }), pushed))
}

/// A new ticket, and what became of its event.
pub(super) async fn push_ticket(platform: &Platform, app: &str) -> (String, Option<Value>) {
    let ticket = platform.ticket(app);
    let event = [("ComponentVerifyTicket", &*ticket)];
    let pushed = push(platform, app, "component_verify_ticket", &event).await;
    (ticket, pushed)
}

async fn authorize(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    answered(give_authorization(&body, &platform).await, &example())
}

async fn give_authorization(body: &[u8], platform: &Platform) -> Result<HttpResponse, String> {
    let AuthorizationRequest { component, app } = asked(body, platform)?;
    let code = platform.authorize(&component, &app);
    let event = [("AuthorizerAppid", &*app), ("AuthorizationCode", &*code)];
    let pushed = push(platform, &component, "authorized", &event).await;
    Ok(done(json!({ "authorization_code": code }), pushed))
}

async fn withdraw(body: web::Bytes, platform: web::Data<Platform>) -> HttpResponse {
    answered(end_authorization(&body, &platform).await, &example())
}

async fn end_authorization(body: &[u8], platform: &Platform) -> Result<HttpResponse, String> {
    let AuthorizationRequest { component, app } = asked(body, platform)?;
    let had_one = platform.withdraw(&component, &app);
    let pushed = push(
        platform,
        &component,
        "unauthorized",
        &[("AuthorizerAppid", &app)],
    )
    .await;
    Ok(done(json!({ "had_one": had_one }), pushed))
}

fn example() -> Value {
    json!({ "component": "wxc0123456789abcde", "app": "wx0123456789abcdef" })
}

fn asked(body: &[u8], platform: &Platform) -> Result<AuthorizationRequest, String> {
    let asked: AuthorizationRequest = parsed(body)?;
    check_app(platform, &asked.component)?;
    check_app(platform, &asked.app)?;
    Ok(asked)
}

/// What the URL answered; `None`: none is entered.
async fn push(
    platform: &Platform,
    component: &str,
    kind: &str,
    more: &[(&str, &str)],
) -> Option<Value> {
    let time = (platform.now().0 / 1000).to_string();
    let mut event = String::from("<xml>");
    let fields = [
        ("AppId", component),
        ("CreateTime", &time),
        ("InfoType", kind),
    ];
    for (name, text) in fields.iter().chain(more) {
        event.push_str(&format!("<{name}><![CDATA[{text}]]></{name}>"));
    }
    event.push_str("</xml>");
    announce(platform, component, &event).await
}

fn done(mut answer: Value, pushed: Option<Value>) -> HttpResponse {
    if let Some(pushed) = pushed {
        answer["pushed"] = pushed;
    }
    HttpResponse::Ok().json(answer)
}
