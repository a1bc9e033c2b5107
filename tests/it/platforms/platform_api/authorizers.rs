//! Calls for the apps that have authorised a third-party platform.

use std::time::Duration;

use hufu::crypto::hash;
use hufu::sandbox::SandboxSettings;
use serde_json::{Value, json};

use super::{SECRET, basic, calls, gateway_at, wechat, with_secret};
use crate::helpers::{APPID, Gateway, GatewayBuilder, HttpAnswer, RedisServer, http, until};
use crate::platforms::PATIENT;
use crate::platforms::push::AES_KEY;

pub(crate) const COMPONENT: &str = "wxc0123456789abcde";
/// Has authorised the platform.
pub(crate) const AUTHORIZER: &str = "wx00000000000000a1";
/// Has it, too.
pub(crate) const OTHER: &str = "wx00000000000000a2";
/// Has not.
pub(crate) const STRANGER: &str = "wx00000000000000a3";
const SEND: &str = "/cgi-bin/message/custom/send";

/// A third-party platform, and a client that may call for these.
fn config(apps: &str, more: &str) -> String {
    let push = format!("{{ token = \"t0ken-of-the-events\", aes_key = \"{AES_KEY}\" }}");
    let component = |name: &str, appid: &str| {
        format!(
            "apps.{name} = {{ provider = \"wechat-component\", appid = \"{appid}\", secret = \"any\", base_url = \"BASE\", push = {push} }}\n"
        )
    };
    format!(
        "{}{}[platform_api]\nlisten = \"127.0.0.1:0\"\n[platform_api.clients.orders]\nsecrets = [\"{SECRET}\"]\n\
         apps = [{apps}]\nallow = [\"/wxa/*\", \"/cgi-bin/*\", \"/hufu/*\"]\nsign = true\n{more}",
        component("open", COMPONENT),
        component("open2", "wxc0123456789abcdf"),
    )
}

/// A gateway that knows the platform's ticket, and of two authorizations.
pub(crate) async fn gateway(settings: SandboxSettings, apps: &str, more: &str) -> Gateway {
    let wechat = wechat(settings);
    let config = config(apps, more).replace("BASE", &wechat.server.url);
    let gateway = gateway_at(wechat, &config);
    authorised(&gateway).await;
    gateway
}

/// One whose store others may share.
async fn gateway_on(redis: &RedisServer, settings: SandboxSettings) -> Gateway {
    let wechat = wechat(settings);
    let config = config("\"open\"", "").replace("BASE", &wechat.server.url);
    let gateway = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start_with(wechat);
    authorised(&gateway).await;
    gateway
}

async fn authorised(gateway: &Gateway) {
    let control = async |path: &str, body: Value| {
        let url = gateway.wechat.server.at(&format!("/sandbox/{path}"));
        let answer = http().post(url).json(&body).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    };
    let url = gateway.at("/auth/push/open");
    let console =
        json!({ "app": COMPONENT, "url": url, "token": "t0ken-of-the-events", "aes_key": AES_KEY });
    control("push-settings", console).await;
    let mut said = vec![control("ticket", json!({ "app": COMPONENT })).await];
    for app in [AUTHORIZER, OTHER] {
        said.push(control("authorize", json!({ "component": COMPONENT, "app": app })).await);
    }
    for said in said {
        assert_eq!(said["pushed"]["answer"], "success", "{said}");
    }
}

/// A message to a user: the platform takes it with the token of the user's app only.
fn message(authorizer: &str) -> Value {
    let openid = hufu::sandbox::openid(authorizer, "alice");
    json!({ "touser": openid, "msgtype": "text", "text": { "content": "hello" } })
}

/// Makes alice a user of the authorizer.
pub(crate) async fn user_of(gateway: &Gateway, authorizer: &str) -> String {
    let code = gateway.wechat.platform.login_code(authorizer, "alice");
    let body = json!({ "app": "open", "authorizer_appid": authorizer, "code": code });
    let answer = gateway.login_with(body).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn sdk_token(gateway: &Gateway, authorizer: &str) -> String {
    let answer = gateway.asked_for_token(authorizer, SECRET).await.json();
    let token = answer["access_token"].as_str();
    let token = token.unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert!(token.starts_with("hufu_at_") && token.len() <= 512);
    token
}

async fn by_sdk(gateway: &Gateway, token: &str, authorizer: &str) -> HttpAnswer {
    let request = http()
        .post(gateway.api(SEND))
        .query(&[("access_token", token)]);
    request.json(&message(authorizer)).await
}

async fn by_bearer(gateway: &Gateway, app: &str, authorizer: &str) -> HttpAnswer {
    let request = http().post(gateway.api(SEND)).bearer_auth(SECRET);
    let request = request.header("X-Hufu-App", app);
    request.json(&message(authorizer)).await
}

#[track_caller]
fn assert_sent(answer: &HttpAnswer) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["errcode"], 0, "{}", answer.text());
}

#[tokio::test]
async fn each_way_in_names_the_authorizer_and_calls_with_its_token() {
    let gateway = gateway(SandboxSettings::default(), "\"open\"", "").await;
    for authorizer in [AUTHORIZER, OTHER] {
        user_of(&gateway, authorizer).await;
        let token = sdk_token(&gateway, authorizer).await;
        assert_sent(&by_sdk(&gateway, &token, authorizer).await);
        let named = format!("open/{authorizer}");
        assert_sent(&by_bearer(&gateway, &named, authorizer).await);
        // The token says for whom; a header may say the same.
        for app in ["open", &named] {
            let line = format!("GET /wxa/test/echo?access_token={token}");
            let request = format!(
                "{line} HTTP/1.1\r\nHost: x\r\nX-Hufu-App: {app}\r\nConnection: close\r\n\r\n"
            );
            let answer = gateway.raw_api(&request).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        let login = basic("orders", SECRET);
        let body = message(authorizer).to_string();
        let proxied = format!(
            "POST http://api.weixin.qq.com{SEND} HTTP/1.1\r\nHost: api.weixin.qq.com\r\nProxy-Authorization: {login}\r\n\
             X-Hufu-App: {named}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = gateway.raw_api(&proxied).await;
        assert!(answer.body().contains("\"errcode\":0"), "{}", answer.text);
    }
    // The token of one is not for the users of the other.
    let token = sdk_token(&gateway, AUTHORIZER).await;
    let crossed = by_sdk(&gateway, &token, OTHER).await;
    assert_ne!(crossed.json()["errcode"], 0);
    let answered = r#"hufu_platform_api_calls_total{app="open",client="orders",path="/cgi-bin/*",outcome="answered"}"#;
    assert_eq!(gateway.counted(answered).await, 7);
    let metrics = gateway.admin_get("/metrics").await.text();
    assert!(!metrics.contains(AUTHORIZER), "authorizers are no labels");
}

#[tokio::test]
async fn a_client_of_one_authorizer_needs_to_name_none() {
    let only = format!("\"open/{AUTHORIZER}\"");
    let gateway = gateway(SandboxSettings::default(), &only, "").await;
    user_of(&gateway, AUTHORIZER).await;
    assert_sent(&gateway.call(SEND, &message(AUTHORIZER)).await);
}

/// What somebody tries who has the client's secret.
#[tokio::test]
async fn a_client_calls_for_its_authorizers_alone() {
    let apps = format!("\"shop\", \"open/{AUTHORIZER}\", \"open2/{STRANGER}\"");
    let gateway = gateway(SandboxSettings::default(), &apps, "").await;
    for (app, status, code) in [
        // The other authorizer, another platform's, and what is none.
        (format!("open/{OTHER}"), 403, "api_not_allowed"),
        (format!("open2/{AUTHORIZER}"), 403, "api_not_allowed"),
        (format!("open/{COMPONENT}"), 403, "api_not_allowed"),
        (format!("open/{AUTHORIZER}/x"), 403, "api_not_allowed"),
        (format!("OPEN/{AUTHORIZER}"), 403, "api_not_allowed"),
        (format!("shop/{AUTHORIZER}"), 403, "api_not_allowed"),
        (format!("shop/{APPID}"), 403, "api_not_allowed"),
        ("open/".to_owned(), 403, "api_not_allowed"),
        ("/".to_owned(), 403, "api_not_allowed"),
        (AUTHORIZER.to_owned(), 403, "api_not_allowed"),
        // The platform has no API of its own here.
        ("open".to_owned(), 400, "authorizer_required"),
    ] {
        let line = format!("X-Hufu-App: {app}\r\n");
        let answer = gateway
            .raw_api(with_secret("GET /wxa/test/echo", &line))
            .await;
        answer.refuses(status, code, &app);
    }
    let unnamed = gateway.call(SEND, &json!({})).await;
    assert_eq!(
        (unnamed.status(), unnamed.code()),
        (400, Some("app_required"))
    );
    for appid in [OTHER, COMPONENT, "wxc0123456789abcdf", "wx/1", ""] {
        let refused = gateway.asked_for_token(appid, SECRET).await;
        assert_eq!(
            refused.json()["errcode"],
            40125,
            "{appid}: {}",
            refused.text()
        );
    }
    let token = sdk_token(&gateway, AUTHORIZER).await;
    let other_name = format!(
        "GET /wxa/test/echo?access_token={token} HTTP/1.1\r\nHost: x\r\nX-Hufu-App: open/{OTHER}\r\nConnection: close\r\n\r\n"
    );
    let refused = gateway.raw_api(&other_name).await;
    refused.refuses(400, "token_ambiguous", &other_name);
    for path in [
        "/cgi-bin/component/api_authorizer_token",
        "/cgi-bin/component/api_get_authorizer_info",
        "/wxa/resetusersessionkey",
    ] {
        let request = http()
            .post(gateway.api(path))
            .query(&[("access_token", &token)]);
        let refused = request.json(&json!({})).await;
        assert_eq!(refused.json()["errcode"], 48001, "{path}");
    }
    assert_eq!(calls(&gateway, "api_authorizer_token"), 0);

    // The list is what holds, also for a token that was given before.
    let shorter = config("\"shop\"", "").replace("BASE", &gateway.wechat.server.url);
    gateway.reload(&shorter, "applied").await;
    let refused = by_sdk(&gateway, &token, AUTHORIZER).await;
    assert_eq!(refused.json()["errcode"], 48001, "{}", refused.text());
}

/// An app that has not authorised the platform, or has withdrawn: no way in leads to the platform's API,
/// and none asks the platform without end.
#[tokio::test]
async fn what_is_not_authorised_is_told_so() {
    let gateway = gateway(SandboxSettings::default(), "\"open\"", "").await;
    let token = sdk_token(&gateway, STRANGER).await;
    for _ in 0..5 {
        let answer = by_sdk(&gateway, &token, STRANGER).await;
        let said = answer.json();
        assert_eq!(
            (
                answer.status(),
                answer.header("x-hufu-error"),
                &said["errcode"]
            ),
            (200, "app_not_authorized", &json!(61003)),
            "{said}"
        );
        let refused = by_bearer(&gateway, &format!("open/{STRANGER}"), STRANGER).await;
        assert_eq!(
            (refused.status(), refused.code()),
            (403, Some("app_not_authorized"))
        );
    }
    let page = json!({ "url": "https://example.com/" });
    let request = http()
        .post(gateway.api("/hufu/jssdk/sign"))
        .bearer_auth(SECRET);
    let refused = request
        .header("X-Hufu-App", format!("open/{STRANGER}"))
        .json(&page)
        .await;
    assert_eq!(
        refused.code(),
        Some("app_not_authorized"),
        "{}",
        refused.text()
    );
    assert_eq!(calls(&gateway, "api_get_authorizer_info"), 1);
    assert_eq!(calls(&gateway, "message/custom/send"), 0);
    let counted = r#"hufu_platform_api_calls_total{app="open",client="orders",path="/cgi-bin/*",outcome="app_not_authorized"}"#;
    assert_eq!(gateway.counted(counted).await, 10);
}

#[tokio::test]
async fn a_refused_token_of_an_authorizer_is_replaced_on_the_way() {
    let settings = SandboxSettings {
        // A token rests after its fetch for a tenth of its life.
        token_life: Duration::from_secs(20),
        ..SandboxSettings::default()
    };
    let gateway = gateway(settings, "\"open\"", "").await;
    user_of(&gateway, AUTHORIZER).await;
    let token = sdk_token(&gateway, AUTHORIZER).await;
    assert_sent(&by_sdk(&gateway, &token, AUTHORIZER).await);
    // Time itself is the matter: the token must not be new.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let before = calls(&gateway, "api_authorizer_token");
    assert!(gateway.wechat.platform.end_tokens(AUTHORIZER) > 0);
    assert_sent(&by_sdk(&gateway, &token, AUTHORIZER).await);
    assert!(calls(&gateway, "api_authorizer_token") > before);
}

#[tokio::test]
async fn pages_and_data_of_authorizers_are_signed() {
    let redis = RedisServer::start(&[]);
    let gateway = gateway_on(&redis, SandboxSettings::default()).await;
    let asked = async |authorizer: &str, path: &str, body: &Value| {
        let request = http().post(gateway.api(path)).bearer_auth(SECRET);
        let request = request.header("X-Hufu-App", format!("open/{authorizer}"));
        request.json(body).await
    };
    let url = "https://example.com/page?a=1";
    let mut tickets = Vec::new();
    for authorizer in [AUTHORIZER, OTHER] {
        let signed = asked(authorizer, "/hufu/jssdk/sign", &json!({ "url": url })).await;
        let signed = signed.json();
        assert_eq!(signed["appId"], authorizer, "{signed}");
        let token = sdk_token(&gateway, authorizer).await;
        let query = [("access_token", &*token), ("type", "jsapi")];
        let given = http()
            .get(gateway.api("/cgi-bin/ticket/getticket"))
            .query(&query);
        let given = given.await.json();
        let ticket = given["ticket"]
            .as_str()
            .unwrap_or_else(|| panic!("{given}"));
        let facts = format!(
            "jsapi_ticket={ticket}&noncestr={}&timestamp={}&url={url}",
            signed["nonceStr"].as_str().unwrap(),
            signed["timestamp"]
        );
        let expected = hash::to_hex(&hash::sha1(facts.as_bytes()));
        assert_eq!(signed["signature"], expected);
        let key = format!("hufu:t:{{{COMPONENT}}}:{authorizer}/jsapi");
        assert!(redis.ask::<i64>(&["PTTL", &key]).unwrap() > 0, "{key}");
        tickets.push(ticket.to_owned());
    }
    assert_ne!(tickets[0], tickets[1]);

    user_of(&gateway, AUTHORIZER).await;
    let openid = hufu::sandbox::openid(AUTHORIZER, "alice");
    let data = json!({ "openid": openid, "data": "x" });
    let signed = asked(AUTHORIZER, "/hufu/session-key/sign", &data).await;
    let key = gateway.wechat.platform.session_key(AUTHORIZER, "alice");
    let expected = hash::to_hex(&hash::hmac_sha256(key.expose().as_bytes(), b"x"));
    assert_eq!(signed.json(), json!({ "signature": expected }));
    // The same openid under another authorizer is another user.
    let refused = asked(OTHER, "/hufu/session-key/sign", &data).await;
    assert_eq!(refused.code(), Some("session_key_gone"));
}

/// A withdrawal, and a `DELETE`, end what was given before: the tickets, and the signatures.
#[tokio::test]
async fn nothing_is_left_for_an_authorizer_that_has_withdrawn() {
    let redis = RedisServer::start(&[]);
    // Another gateway has its token until then.
    let settings = SandboxSettings {
        token_life: Duration::from_secs(6),
        ..SandboxSettings::default()
    };
    let gateway = gateway_on(&redis, settings).await;
    let other = gateway.sibling();
    user_of(&gateway, AUTHORIZER).await;
    let openid = hufu::sandbox::openid(AUTHORIZER, "alice");
    let codes = async |gateway: &Gateway| {
        let mut codes = Vec::new();
        let getticket = "/cgi-bin/ticket/getticket?type=wx_card";
        for (path, body) in [
            (
                "/hufu/jssdk/sign",
                Some(json!({ "url": "https://example.com/" })),
            ),
            ("/hufu/ticket/jsapi", None),
            (getticket, None),
            (
                "/hufu/session-key/sign",
                Some(json!({ "openid": openid, "data": "x" })),
            ),
        ] {
            let method = if body.is_some() { "POST" } else { "GET" };
            let mut request = http()
                .request(method, gateway.api(path))
                .bearer_auth(SECRET)
                .header("X-Hufu-App", format!("open/{AUTHORIZER}"));
            if let Some(body) = &body {
                request = request.json(body);
            }
            let answer = request.await;
            codes.push(answer.code().unwrap_or("none").to_owned());
        }
        codes
    };
    let tickets = || {
        let keys: Vec<String> = redis.ask(&["KEYS", "hufu:t:*/[jw]*"]).unwrap();
        keys.len()
    };
    for gateway in [&gateway, &other] {
        assert_eq!(codes(gateway).await, ["none"; 4]);
    }
    assert!(tickets() > 0);
    let withdrawn = json!({ "component": COMPONENT, "app": AUTHORIZER });
    let url = gateway.wechat.server.at("/sandbox/withdraw");
    let answer = http().post(url).json(&withdrawn).await;
    assert_eq!(answer.json()["pushed"]["answer"], "success");
    assert_eq!(tickets(), 0);
    assert_eq!(codes(&gateway).await, ["app_not_authorized"; 4]);
    // Another gateway has them no longer than its token.
    until("the other gateway to refuse", async || {
        codes(&other).await == ["app_not_authorized"; 4]
    })
    .await;
    assert_eq!(tickets(), 0);
}

#[tokio::test]
async fn the_real_token_of_an_authorizer_is_given_where_the_operator_says_so() {
    let real = format!("real_token = [\"open/{AUTHORIZER}\"]\n");
    let gateway = gateway(SandboxSettings::default(), "\"open\"", &real).await;
    let given = gateway.asked_for_token(AUTHORIZER, SECRET).await.json();
    let token = given["access_token"].as_str().unwrap();
    assert!(gateway.wechat.platform.knows_token(token), "{given}");
    sdk_token(&gateway, OTHER).await;
    gateway.assert_logged(&format!("access token of an app ({AUTHORIZER})"));
}
