//! Open data: what opens, what does not, and that nothing tells the two apart but that; and the
//! session_key at the platform.

use std::collections::BTreeSet;
use std::sync::Arc;

use hufu::clock::{Clock as _, SystemClock};
use hufu::crypto::open_data;
use hufu::sandbox::SandboxSettings;
use serde_json::{Map, Value, json};

use crate::helpers::{APPID, Gateway, GatewayBuilder, RedisServer, http, live_sandbox, until};

/// Status and body of an answer.
pub(super) async fn asked(
    gateway: &Gateway,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    let mut request = http().request(method, gateway.at(path)).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.await;
    let body = serde_json::from_slice(answer.bytes());
    (answer.status(), body.unwrap_or_default())
}

/// Orders trouble at an API of the platform.
pub(super) async fn fault(gateway: &Gateway, api: &str, fault: &Value) {
    let mut order = fault.clone();
    order["api"] = api.into();
    gateway.fault(order).await;
}

/// A gateway whose WeChat has the time of this machine: the age of its data counts.
fn start(built: &GatewayBuilder) -> Gateway {
    built.start_with(Arc::new(live_sandbox(SandboxSettings::default())))
}

async fn decrypt(gateway: &Gateway, token: &str, body: &Value) -> (u16, Value) {
    asked(gateway, "POST", "/auth/decrypt", token, Some(body)).await
}

/// What WeChat's client gives to the page of a user.
fn sealed(gateway: &Gateway, user: &str, data: &Value) -> Value {
    let data: Map<String, Value> = data.as_object().unwrap().clone();
    json!(gateway.wechat.platform.open_data(APPID, user, data))
}

/// A text of any kind under the user's present key.
fn sealed_text(gateway: &Gateway, user: &str, text: &str) -> Value {
    let key = gateway.wechat.platform.session_key(APPID, user);
    let sealed = open_data::encrypt(key.expose(), [7; 16], text.as_bytes());
    let (encrypted_data, iv) = sealed.unwrap();
    json!({ "encryptedData": encrypted_data, "iv": iv })
}

fn now() -> u64 {
    SystemClock.unix_now().0 / 1000
}

async fn counted(gateway: &Gateway, operation: &str, outcome: &str) -> u64 {
    let labels = format!("app=\"shop\",operation=\"{operation}\",outcome=\"{outcome}\"");
    gateway
        .counted(&format!("hufu_open_data_total{{{labels}}}"))
        .await
}

#[tokio::test]
async fn data_opens_for_the_user_whose_it_is() {
    let gateway = start(&GatewayBuilder::new());
    let token = gateway.token("alice").await;
    let body = sealed(&gateway, "alice", &json!({ "nickName": "Alice+虎" }));
    let (status, answer) = decrypt(&gateway, &token, &body).await;
    assert_eq!(
        (status, &answer["data"]["nickName"]),
        (200, &json!("Alice+虎"))
    );
    assert_eq!(answer["data"]["watermark"]["appid"], APPID);
    // As old clients and form decoders leave it.
    let mut worn = body.clone();
    for field in ["encryptedData", "iv"] {
        let text = body[field].as_str().unwrap();
        worn[field] = text.trim_end_matches('=').replace('+', " ").into();
    }
    assert_eq!(decrypt(&gateway, &token, &worn).await.0, 200);
    let openid = hufu::sandbox::openid(APPID, "alice");
    let own = sealed(&gateway, "alice", &json!({ "openId": openid }));
    assert_eq!(decrypt(&gateway, &token, &own).await.0, 200);
    assert_eq!(counted(&gateway, "decrypt", "ok").await, 3);
    // Of the signature both parts, or none.
    let mut half = body.clone();
    half.as_object_mut().unwrap().remove("signature");
    let (status, answer) = decrypt(&gateway, &token, &half).await;
    assert_eq!((status, &answer["code"]), (400, &json!("request_invalid")));
    let (_, answer) = decrypt(&gateway, &token, &json!([])).await;
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("such as {\"encryptedData\""), "{detail}");
    let (status, _) = decrypt(&gateway, "hufu_x", &body).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn what_was_sealed_before_the_last_login_opens_on_any_device() {
    let redis = RedisServer::start(&[]);
    let one = start(&GatewayBuilder::new().store(redis.url("")));
    let other = one.sibling();
    let phone = one.token("alice").await;
    let data = |name: &str| sealed(&one, "alice", &json!({ "nickName": name }));
    let first = data("first");
    one.wechat.platform.rotate(APPID, "alice");
    let tablet = other.token("alice").await;
    let second = data("second");
    for (gateway, token) in [(&one, &phone), (&other, &phone), (&one, &tablet)] {
        for (body, name) in [(&first, "first"), (&second, "second")] {
            let (status, answer) = decrypt(gateway, token, body).await;
            assert_eq!((status, &answer["data"]["nickName"]), (200, &json!(name)));
        }
    }
    assert_eq!(counted(&one, "decrypt", "ok_older_key").await, 2);
    one.wechat.platform.rotate(APPID, "alice");
    one.token("alice").await;
    let (status, answer) = decrypt(&one, &phone, &first).await;
    assert_eq!(
        (status, &answer["code"]),
        (400, &json!("open_data_invalid"))
    );
    assert_eq!(decrypt(&one, &phone, &second).await.0, 200);
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let gateway = start(&GatewayBuilder::new());
    let token = gateway.token("alice").await;
    gateway.token("bob").await;
    let stamped =
        |appid: &str, at: u64| json!({ "watermark": { "appid": appid, "timestamp": at } });
    let good = sealed(&gateway, "alice", &json!({ "nickName": "Alice" }));
    let cut = |field: &str, by: usize| {
        let mut other = good.clone();
        let text = good[field].as_str().unwrap();
        other[field] = text[..text.len() - by].into();
        other
    };
    let with = |field: &str, value: &str| {
        let mut other = good.clone();
        other[field] = value.into();
        other
    };
    let own = |data: Value| sealed(&gateway, "alice", &data);
    let openid = hufu::sandbox::openid(APPID, "bob");
    let refused = [
        sealed(&gateway, "bob", &json!({ "nickName": "Bob" })),
        own(json!({ "openId": openid })),
        own(stamped("wxfedcba9876543210", now())),
        own(stamped(APPID, now() - 700)),
        own(stamped(APPID, now() + 120)),
        own(json!({ "watermark": null })),
        sealed_text(&gateway, "alice", "not JSON"),
        sealed_text(&gateway, "alice", "[1]"),
        sealed_text(&gateway, "alice", ""),
        cut("encryptedData", 4),
        cut("encryptedData", 24),
        cut("iv", 4),
        with("iv", "AAAAAAAAAAAAAAAAAAAAAA=="),
        with("encryptedData", "?"),
        with("encryptedData", ""),
        with("signature", "75e81ceda165f4ffa64f4068af58c64b8f54b88c"),
        with("rawData", "{}"),
    ];
    let count = refused.len() as u64;
    let mut answers = BTreeSet::new();
    for body in refused {
        let (status, mut answer) = decrypt(&gateway, &token, &body).await;
        assert_eq!(status, 400, "{body} {answer}");
        answer.as_object_mut().unwrap().remove("request_id");
        answers.insert(answer.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.pop_first().unwrap().contains("open_data_invalid"));
    assert_eq!(
        counted(&gateway, "decrypt", "open_data_invalid").await,
        count
    );
    // The operator is told.
    for why in ["another app", "open_data.max_age", "another user"] {
        assert!(gateway.stderr().contains(why), "{}", gateway.stderr());
    }
    assert_eq!(decrypt(&gateway, &token, &good).await.0, 200);
}

#[tokio::test]
async fn the_age_is_the_operators() {
    let gateway = Gateway::start("open_data.max_age = \"0s\"\n");
    let token = gateway.token("alice").await;
    let old = json!({ "watermark": { "appid": APPID, "timestamp": 1 } });
    let body = sealed(&gateway, "alice", &old);
    assert_eq!(decrypt(&gateway, &token, &body).await.0, 200);
}

#[tokio::test]
async fn who_tries_again_and_again_is_stopped() {
    let gateway = start(&GatewayBuilder::new());
    let (token, other) = (gateway.token("alice").await, gateway.token("bob").await);
    let bad =
        json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    // Each of them takes one from the same quota, which gives one back every second.
    let limited = until("the limit", async || {
        let request = gateway.post("/auth/decrypt").bearer_auth(&token);
        let answer = request.json(&bad).await;
        (answer.status() != 400).then_some(answer)
    })
    .await;
    assert_eq!(limited.status(), 429);
    let policy = limited.header("ratelimit-policy");
    assert_eq!(policy, "\"open_data\";q=60;w=60");
    let admitted = counted(&gateway, "decrypt", "open_data_invalid").await;
    assert!(admitted >= 60, "{admitted}");
    // Also with data that would open, and on the endpoints beside it; nobody else is bothered.
    let good = sealed(&gateway, "alice", &json!({}));
    until("the limit of good data", async || {
        decrypt(&gateway, &token, &good).await.0 == 429
    })
    .await;
    until("the limit beside it", async || {
        let asked = asked(&gateway, "GET", "/auth/session-key/status", &token, None);
        asked.await.0 == 429
    })
    .await;
    let good = sealed(&gateway, "bob", &json!({}));
    assert_eq!(decrypt(&gateway, &other, &good).await.0, 200);
}

#[tokio::test]
async fn bodies_have_a_limit_of_their_own() {
    let gateway = start(&GatewayBuilder::new());
    let token = gateway.token("alice").await;
    let steps: Vec<Value> = (0..700)
        .map(|day| json!({ "timestamp": 1_700_000_000 + day, "step": 10_000 }))
        .collect();
    let long = sealed(&gateway, "alice", &json!({ "stepInfoList": steps }));
    let mut long = json!({ "encryptedData": long["encryptedData"], "iv": long["iv"] });
    assert!(long.to_string().len() > 32 * 1024);
    assert_eq!(decrypt(&gateway, &token, &long).await.0, 200);
    long["more"] = "x".repeat(64 * 1024).into();
    let (status, answer) = decrypt(&gateway, &token, &long).await;
    assert_eq!((status, &answer["code"]), (413, &json!("body_too_large")));
    let (status, _) = asked(&gateway, "POST", "/auth/phone", &token, Some(&long)).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn without_a_key_the_client_is_told_to_log_in() {
    let redis = RedisServer::start(&[]);
    let gateway = Gateway::on(&redis.url(""), "");
    let token = gateway.token("alice").await;
    let users: Vec<String> = redis.ask(&["KEYS", "hufu:u:*"]).unwrap();
    let gone: u64 = redis.ask(&["HDEL", &users[0], "k0"]).unwrap();
    assert_eq!(gone, 1);
    let body = sealed(&gateway, "alice", &json!({}));
    let answers = [
        decrypt(&gateway, &token, &body).await,
        asked(&gateway, "GET", "/auth/session-key/status", &token, None).await,
        asked(&gateway, "POST", "/auth/session-key/reset", &token, None).await,
    ];
    for (status, answer) in answers {
        assert_eq!((status, &answer["code"]), (409, &json!("session_key_gone")));
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("call wx.login, log in, ask for the data again"));
    }
}

#[tokio::test]
async fn the_platform_says_whether_the_key_holds() {
    let gateway = Gateway::start("");
    let token = gateway.token("alice").await;
    let status = async || asked(&gateway, "GET", "/auth/session-key/status", &token, None).await;
    assert_eq!(status().await, (200, json!({ "valid": true })));
    gateway.wechat.platform.rotate(APPID, "alice");
    assert_eq!(status().await, (200, json!({ "valid": false })));
    gateway.token("alice").await;
    assert_eq!(status().await, (200, json!({ "valid": true })));
    assert_eq!(gateway.wechat.platform.calls("stable_token"), 1);
    assert_eq!(counted(&gateway, "status", "stale").await, 1);
    for (body, expected) in [
        (
            json!({ "errcode": 45011, "errmsg": "slow down" }),
            (429, "rate_limited"),
        ),
        (
            json!({ "errcode": 87008, "errmsg": "?" }),
            (502, "platform_error"),
        ),
        (json!("<html>"), (502, "platform_error")),
        // Only a 0 is a yes.
        (json!({}), (502, "platform_error")),
    ] {
        fault(
            &gateway,
            "checksession",
            &json!({ "times": 1, "body": body }),
        )
        .await;
        let (code, answer) = status().await;
        assert_eq!(
            (code, answer["code"].as_str().unwrap()),
            expected,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_reset_leaves_one_key_at_both_ends() {
    let gateway = start(&GatewayBuilder::new());
    let phone = gateway.token("alice").await;
    let before = sealed(&gateway, "alice", &json!({ "nickName": "before" }));
    gateway.wechat.platform.rotate(APPID, "alice");
    let tablet = gateway.token("alice").await;
    let between = sealed(&gateway, "alice", &json!({ "nickName": "between" }));
    let (status, answer) = asked(&gateway, "POST", "/auth/session-key/reset", &phone, None).await;
    assert_eq!((status, answer), (204, Value::Null));
    for body in [before, between] {
        let (status, answer) = decrypt(&gateway, &phone, &body).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("open_data_invalid"))
        );
    }
    let after = sealed(&gateway, "alice", &json!({ "nickName": "after" }));
    for token in [&phone, &tablet] {
        assert_eq!(decrypt(&gateway, token, &after).await.0, 200);
    }
    // The platform has another key now, and does not say to whom.
    gateway.wechat.platform.rotate(APPID, "alice");
    let (status, answer) = asked(&gateway, "POST", "/auth/session-key/reset", &phone, None).await;
    assert_eq!((status, &answer["code"]), (409, &json!("session_key_gone")));
    gateway.token("alice").await;
    fault(
        &gateway,
        "resetusersessionkey",
        &json!({ "times": 1, "reset": true }),
    )
    .await;
    let (status, answer) = asked(&gateway, "POST", "/auth/session-key/reset", &phone, None).await;
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!("platform_unavailable"))
    );
    assert!(answer["detail"].as_str().unwrap().contains("call wx.login"));
}

#[tokio::test]
async fn a_reset_takes_nothing_away_while_it_has_no_access_token() {
    let gateway = start(&GatewayBuilder::new());
    let token = gateway.token("alice").await;
    let body = sealed(&gateway, "alice", &json!({}));
    // Longer than the app's timeout.
    fault(
        &gateway,
        "stable_token",
        &json!({ "times": 9, "delay_ms": 60_000 }),
    )
    .await;
    let reset = asked(&gateway, "POST", "/auth/session-key/reset", &token, None);
    let opened = async {
        until("the token to be asked for", async || {
            gateway.wechat.platform.calls("stable_token") > 0
        })
        .await;
        decrypt(&gateway, &token, &body).await.0
    };
    let ((status, answer), opened) = tokio::join!(reset, opened);
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!("platform_unavailable"))
    );
    assert_eq!(opened, 200);
    assert_eq!(gateway.wechat.platform.calls("resetusersessionkey"), 0);
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let gateway = Gateway::start("session.carriers = [\"bearer\", \"cookie:sid\"]\n");
    let token = gateway.token("alice").await;
    for path in ["/auth/decrypt", "/auth/phone", "/auth/session-key/reset"] {
        let answer = gateway
            .post(path)
            .header("cookie", format!("sid={token}"))
            .header("origin", "https://evil.test")
            .json(&json!({ "encryptedData": "", "iv": "", "code": "x" }))
            .await;
        assert_eq!(answer.status(), 403, "{path}");
    }
    assert_eq!(gateway.wechat.platform.calls("getuserphonenumber"), 0);
}

#[tokio::test]
async fn a_reset_whose_outcome_is_lost_leaves_no_key_that_may_have_leaked() {
    let redis = RedisServer::start(&[]);
    let config = "apps.shop.timeout = \"3s\"\n";
    let gateway = start(&GatewayBuilder::new().store(redis.url("")).config(config));
    let token = gateway.token("alice").await;
    let reset = async || asked(&gateway, "POST", "/auth/session-key/reset", &token, None).await;
    for trouble in [
        json!({ "times": 1, "delay_ms": 60_000 }),
        json!({ "times": 1, "reset": true }),
        json!({ "times": 1, "body": "{\"errcode\":0,\"open" }),
        json!({ "times": 1, "body": { "errcode": 0, "errmsg": "ok", "session_key": "AAAA" } }),
        json!({ "times": 1, "body": { "errcode": 0, "errmsg": "ok" } }),
    ] {
        let leaked = sealed(&gateway, "alice", &json!({ "nickName": "forged" }));
        assert_eq!(decrypt(&gateway, &token, &leaked).await.0, 200);
        fault(&gateway, "resetusersessionkey", &trouble).await;
        let (status, answer) = reset().await;
        assert_eq!(
            (status, &answer["code"]),
            (503, &json!("platform_unavailable")),
            "{trouble}"
        );
        assert!(answer["detail"].as_str().unwrap().contains("call wx.login"));
        let (status, answer) = decrypt(&gateway, &token, &leaked).await;
        assert_eq!((status, &answer["code"]), (409, &json!("session_key_gone")));
        gateway.wechat.platform.rotate(APPID, "alice");
        gateway.token("alice").await;
        let (status, answer) = decrypt(&gateway, &token, &leaked).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("open_data_invalid")),
            "{trouble}"
        );
    }
    // What the platform has surely not done costs nothing.
    let good = sealed(&gateway, "alice", &json!({ "nickName": "Alice" }));
    let busy = json!({ "errcode": 45011, "errmsg": "slow down" });
    let order = json!({ "times": 1, "body": busy });
    fault(&gateway, "resetusersessionkey", &order).await;
    assert_eq!(reset().await.0, 429);
    assert_eq!(decrypt(&gateway, &token, &good).await.0, 200);
    assert_eq!(reset().await.0, 204);
    assert_eq!(decrypt(&gateway, &token, &good).await.0, 400);
}

#[tokio::test]
async fn a_foreign_page_spends_nothing_of_its_visitor_s() {
    let gateway = start(&GatewayBuilder::new().config("session.carriers = [\"cookie:sid\"]\n"));
    let token = gateway.token("alice").await;
    let request = |site: &str| {
        let request = http().get(gateway.at("/auth/session-key/status"));
        let request = request.header("Cookie", format!("sid={token}"));
        request.header("Sec-Fetch-Site", site)
    };
    let foreign = request("cross-site").await;
    assert_eq!(foreign.status(), 403);
    assert_eq!(foreign.json()["code"], "origin_forbidden");
    assert_eq!(gateway.wechat.platform.calls("checksession"), 0);
    assert_eq!(request("same-origin").await.status(), 200);
}
