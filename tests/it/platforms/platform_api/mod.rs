//! The platform's API for the team's own backends: who may call what, and what reaches the platform.

mod attacks;
pub(crate) mod authorizers;
mod forwarding;
mod listeners;
mod official_accounts;
mod own_endpoints;
mod page;
mod paths;
mod refusals;
mod sdks;
mod upgrades;
mod ways;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use base64::Engine as _;
use futures_util::StreamExt as _;
use futures_util::stream;
use hufu::clock::{ManualClock, SystemClock, UnixMillis};
use hufu::sandbox::{Platform, SandboxSettings};
use serde_json::{Value, json};

use crate::helpers::{
    APPID, Answer, Gateway, GatewayBuilder, HttpAnswer, Running, Sandbox, http, probe,
};

/// The client's secrets: the present one, and another.
pub(crate) const SECRET: &str = "orders-secret-that-nobody-may-see-1";
pub(crate) const OTHER_SECRET: &str = "orders-secret-that-nobody-may-see-2";

/// A client that may call a few things.
pub(crate) fn client(more: &str) -> String {
    client_with(SECRET, more)
}

pub(crate) fn client_with(secret: &str, more: &str) -> String {
    format!(
        "[platform_api]\nlisten = \"127.0.0.1:0\"\n[platform_api.clients.orders]\nsecrets = [\"{secret}\"]\n\
         apps = [\"shop\"]\nallow = [\"/wxa/msg_sec_check\", \"/cgi-bin/message/*\", \"/wxa/test/*\"]\n{more}"
    )
}

/// A gateway with such a client, and a WeChat with APIs of the test's own.
pub(crate) fn gateway(config: &str) -> Gateway {
    gateway_at(wechat(SandboxSettings::default()), config)
}

pub(crate) fn gateway_at(wechat: Arc<Sandbox>, config: &str) -> Gateway {
    GatewayBuilder::new().config(config).start_with(wechat)
}

/// The simulator on the time of this machine, with a few APIs more under `/wxa/test/`.
pub(crate) fn wechat(settings: SandboxSettings) -> Arc<Sandbox> {
    let platform = Platform::new(settings, Arc::new(SystemClock));
    let shared = platform.clone();
    let serve = move |listener| {
        let app = move || {
            App::new()
                .service(
                    web::scope("/wxa/test")
                        .route("/echo", web::to(echo))
                        .route("/leak", web::to(leak))
                        .route("/leak-escaped", web::to(leak_escaped))
                        .route("/leak-header", web::to(leak_in_header))
                        .route("/redirect", web::to(redirect))
                        .route("/switch", web::to(switch))
                        .route("/large", web::to(large))
                        .route("/whole", web::to(whole))
                        .route("/break", web::to(broken)),
                )
                .route(official_accounts::MENU, web::to(echo))
                .configure(hufu::sandbox::configure(shared.clone()))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            // No 408 on a connection that a pool has opened ahead of time.
            .client_request_timeout(Duration::ZERO);
        Ok(server.listen(listener)?.run())
    };
    Arc::new(Sandbox {
        server: Running::start(serve),
        platform,
        clock: ManualClock::at(UnixMillis(0)),
    })
}

fn token_of(request: &HttpRequest) -> String {
    let mut pairs = request.query_string().split('&');
    let token = pairs.find_map(|pair| pair.strip_prefix("access_token="));
    token.unwrap_or_default().to_owned()
}

/// What has come, but for the token itself; the body as it comes, however long it is.
async fn echo(
    request: HttpRequest,
    mut payload: web::Payload,
    platform: web::Data<Platform>,
) -> HttpResponse {
    let token = token_of(&request);
    let is_known = platform.knows_token(&token);
    // Also of one that it refuses: this server cuts a connection with a body that it has not read.
    let (mut length, mut body) = (0, Vec::new());
    while let Some(Ok(piece)) = payload.next().await {
        length += piece.len();
        if body.len() < 1000 {
            body.extend_from_slice(&piece);
        }
    }
    if !is_known {
        return HttpResponse::Ok()
            .json(json!({ "errcode": 40001, "errmsg": "invalid credential" }));
    }
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    HttpResponse::Ok()
        .insert_header(("wechatmp-sign", "back"))
        .insert_header(("set-cookie", "a=b"))
        .insert_header(("x-other", "1"))
        .json(json!({
            "errcode": 0,
            "method": request.method().as_str(),
            "path": request.path(),
            "query": request.query_string().replace(&token, "TOKEN"),
            "headers": headers,
            "length": length,
            "body": String::from_utf8_lossy(&body[..body.len().min(1000)]),
        }))
}

async fn leak(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "errcode": 1, "errmsg": format!("at {}", request.uri()) }))
}

/// The token as JSON may write it too.
async fn leak_escaped(request: HttpRequest) -> HttpResponse {
    let token = token_of(&request);
    let escaped: String = token.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
    HttpResponse::Ok()
        .content_type("application/json")
        .body(format!(r#"{{"errcode":0,"token":"{escaped}"}}"#))
}

async fn leak_in_header(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("wechatmp-token", token_of(&request)))
        .json(json!({ "errcode": 0 }))
}

async fn redirect(request: HttpRequest) -> HttpResponse {
    HttpResponse::Found()
        .insert_header((
            "location",
            format!("/wxa/test/echo?{}", request.query_string()),
        ))
        .finish()
}

/// Another protocol, which nobody asked for.
async fn switch() -> HttpResponse {
    HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .finish()
}

/// So many bytes, with a length unless they are chunked.
async fn whole(query: web::Query<std::collections::HashMap<String, String>>) -> HttpResponse {
    let bytes = Bytes::from(bytes(query["bytes"].parse().unwrap()));
    let mut answer = HttpResponse::Ok();
    if query.contains_key("chunked") {
        answer.streaming(stream::iter([Ok::<_, std::io::Error>(bytes)]))
    } else {
        answer.body(bytes)
    }
}

/// So many bytes; none of their 64 KiB is like the next.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|at| (at % 251 + at / 65_536) as u8)
        .collect()
}

/// So many pieces of 64 KiB, without a length.
async fn large(query: web::Query<std::collections::HashMap<String, String>>) -> HttpResponse {
    let count: usize = query["pieces"].parse().unwrap();
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let pieces = stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    HttpResponse::Ok()
        .content_type("image/png")
        .streaming(pieces)
}

/// Breaks off behind 100 KiB.
async fn broken() -> HttpResponse {
    let pieces = [
        Ok(Bytes::from(vec![b'x'; 100 * 1024])),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    HttpResponse::Ok().streaming(stream::iter(pieces))
}

impl Gateway {
    /// A URL on the listener for backends.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://{}{path}", self.platform_api())
    }

    /// A call with the client's secret.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> HttpAnswer {
        http()
            .post(self.api(path))
            .bearer_auth(SECRET)
            .json(body)
            .await
    }

    /// What the listener for backends answers to these bytes, which ask it to close.
    pub(crate) async fn raw_api(&self, bytes: impl AsRef<[u8]>) -> Answer {
        probe::send_to_the_end(self.platform_api(), bytes).await
    }

    /// What an SDK is given for a token.
    pub(crate) async fn asked_for_token(&self, appid: &str, secret: &str) -> HttpAnswer {
        let query = [
            ("grant_type", "client_credential"),
            ("appid", appid),
            ("secret", secret),
        ];
        http().get(self.api("/cgi-bin/token")).query(&query).await
    }

    /// A token of the gateway's.
    pub(crate) async fn sdk_token(&self) -> String {
        let answer = self.asked_for_token(APPID, SECRET).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// A request with the client's secret, as bytes.
pub(crate) fn with_secret(line: &str, more: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n{more}Connection: close\r\n\r\n"
    )
}

/// The value of a header that logs a client in at its proxy.
pub(crate) fn basic(client: &str, secret: &str) -> String {
    let login = format!("{client}:{secret}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(login)
    )
}

/// How often the platform was called, fetches of tokens aside.
pub(crate) fn calls(gateway: &Gateway, api: &str) -> u64 {
    gateway.wechat.platform.calls(api)
}
