//! What is refused, in the shape that its caller understands; and limits.

use std::time::Duration;

use hufu::clock::{Clock as _, SystemClock};
use hufu::crypto::encoding;
use hufu::crypto::hash::{self, KeyedHash};
use hufu::sandbox::SandboxSettings;
use hufu::secret::Secret;
use serde_json::{Value, json};

use super::{OTHER_SECRET, SECRET, calls, client, client_with, gateway, gateway_at, wechat};
use crate::helpers::script::{Script, Step};
use crate::helpers::{
    APPID, Gateway, GatewayBuilder, HttpAnswer, RedisServer, Upstream, http, until,
};
use crate::platforms::PATIENT;

/// An app beside the usual one.
const GAME: &str = "wxfedcba9876543210";

/// A refusal in the platform's words.
#[track_caller]
fn says(answer: &HttpAnswer, errcode: i64, code: &str) {
    let body: Value = answer.json();
    assert_eq!(
        (answer.status(), body["errcode"].as_i64(), answer.code()),
        (200, Some(errcode), Some(code)),
        "{body}"
    );
    assert!(
        body["errmsg"].as_str().unwrap().contains(": hufu: "),
        "{body}"
    );
}

async fn with_token(gateway: &Gateway, path: &str, token: &str) -> HttpAnswer {
    let called = http()
        .post(gateway.api(path))
        .query(&[("access_token", token)]);
    called.json(&json!({ "content": "hello" })).await
}

#[tokio::test]
async fn an_sdk_reads_numbers_that_it_does_not_repeat_a_call_for() {
    let gateway = gateway(&client(""));
    let wrong = gateway.asked_for_token(APPID, OTHER_SECRET).await;
    says(&wrong, 40125, "client_secret_invalid");
    let other_app = gateway.asked_for_token("wxffffffffffffffff", SECRET).await;
    says(&other_app, 40125, "client_secret_invalid");
    let token = gateway.sdk_token().await;
    for path in [
        "/wxa/getwxacode",
        "/cgi-bin/openapi/rid/get",
        "/sns/jscode2session",
    ] {
        says(
            &with_token(&gateway, path, &token).await,
            48001,
            "api_not_allowed",
        );
    }
    let refused = with_token(&gateway, "/wxa/getwxacode", &token).await;
    assert!(refused.text().contains("platform_api.clients.orders.allow"));
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    for dead in [forged.as_str(), "hufu_at_x", "hufu_at_"] {
        let refused = with_token(&gateway, "/wxa/msg_sec_check", dead).await;
        says(&refused, 42001, "gateway_token_expired");
    }
    // A token of WeChat's own would be fetched again and again if it were called expired.
    let foreign = with_token(&gateway, "/wxa/msg_sec_check", "81_abc").await;
    says(&foreign, 48001, "api_not_allowed");
    let refused = r#"hufu_platform_api_calls_total{app="",client="",path="/cgi-bin/token",outcome="client_secret_invalid"}"#;
    assert_eq!(gateway.counted(refused).await, 2);
    assert_eq!(
        calls(&gateway, "stable_token"),
        0,
        "nothing of it reached the platform"
    );
}

/// A token as the gateway makes it, which ends in so many seconds.
fn token_that_ends_in(seconds: i64) -> String {
    let ends = (SystemClock.unix_now().0 / 1000).saturating_add_signed(seconds);
    let mut bytes = vec![1];
    bytes.extend_from_slice(&ends.to_be_bytes());
    bytes.push(6);
    bytes.extend_from_slice(b"ordersshop");
    let key = hash::hmac_sha256(SECRET.as_bytes(), b"hufu gateway token 1");
    let mac = KeyedHash::new(&Secret::new(key)).of([bytes.as_slice()]);
    bytes.extend_from_slice(&mac);
    format!("hufu_at_{}", encoding::base64url(&bytes))
}

#[tokio::test]
async fn a_token_is_good_for_its_two_hours_and_five_minutes_more() {
    let gateway = gateway(&client(""));
    let given = gateway.asked_for_token(APPID, SECRET).await.json();
    assert_eq!(given["expires_in"], 7200);
    let text = given["access_token"].as_str().unwrap();
    let text = text.strip_prefix("hufu_at_").unwrap();
    let bytes = encoding::from_base64url_of_any_length(text).unwrap();
    let ends = u64::from_be_bytes(bytes[1..9].try_into().unwrap());
    let left = ends - SystemClock.unix_now().0 / 1000;
    assert!((7440..=7500).contains(&left), "{left}");

    let path = "/wxa/msg_sec_check";
    let good = with_token(&gateway, path, &token_that_ends_in(60)).await;
    assert_eq!(good.json()["errcode"], 0, "{}", good.text());
    let ended = with_token(&gateway, path, &token_that_ends_in(0)).await;
    says(&ended, 42001, "gateway_token_expired");
    // And one that ends between two calls.
    // A machine that stalls may let it end before the first.
    let token = until("a call with a token that ends soon", async || {
        let token = token_that_ends_in(2);
        let called = with_token(&gateway, path, &token).await;
        (called.json()["errcode"] == 0).then_some(token)
    })
    .await;
    until("the token's end", async || {
        with_token(&gateway, path, &token).await.json()["errcode"] == 42001
    })
    .await;
}

#[tokio::test]
async fn a_backend_reads_statuses() {
    let gateway = gateway(&client(""));
    let call = |secret: &str, path: &str| http().get(gateway.api(path)).bearer_auth(secret);
    for (secret, path, status, code) in [
        (OTHER_SECRET, "/wxa/test/echo", 401, "client_secret_invalid"),
        ("", "/wxa/test/echo", 401, "client_secret_invalid"),
        (SECRET, "/wxa/getwxacode", 403, "api_not_allowed"),
        (SECRET, "/cgi-bin/clear_quota", 403, "api_not_allowed"),
        (SECRET, "/cgi-bin/stable_token", 405, "method_not_allowed"),
    ] {
        let answer = call(secret, path).await;
        assert_eq!(
            (answer.status(), answer.code()),
            (status, Some(code)),
            "{path}"
        );
    }
    assert_eq!(http().get(gateway.api("/")).await.status(), 401);
    let deleted = http()
        .request("DELETE", gateway.api("/wxa/test/echo"))
        .bearer_auth(SECRET);
    let deleted = deleted.await;
    assert_eq!(
        (deleted.status(), deleted.header("allow")),
        (405, "GET, POST")
    );
    assert_eq!(calls(&gateway, "stable_token"), 0);
}

#[tokio::test]
async fn a_platform_that_is_down_or_silent_costs_few_calls() {
    let settings = "apps.shop.timeout = \"1s\"\n";
    let gateway = gateway(&(settings.to_owned() + &client("")));
    let token = gateway.sdk_token().await;
    let down = json!({ "api": "stable_token", "times": 100, "status": 503 });
    gateway.fault(down).await;
    for _ in 0..3 {
        let answer = with_token(&gateway, "/wxa/msg_sec_check", &token).await;
        assert_eq!(
            (answer.status(), answer.code()),
            (503, Some("platform_unavailable"))
        );
        assert!(answer.get("retry-after").is_some());
    }
    let fetches = calls(&gateway, "stable_token");
    assert!((1..=3).contains(&fetches), "{fetches}");
    assert_eq!(calls(&gateway, "msg_sec_check"), 0);
}

/// What has not gone out may be repeated without a thought.
#[tokio::test]
async fn a_call_that_waits_for_a_token_in_vain_was_not_made() {
    let redis = RedisServer::start(&[]);
    let settings = "apps.shop.timeout = \"1s\"\n";
    let gateway = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(settings.to_owned() + &client(""))
        .start_with(wechat(SandboxSettings::default()));
    // Another gateway fetches the token, or has died doing so.
    let lease = format!("hufu:t:{{{APPID}}}:access:lease");
    redis
        .ask::<()>(&["SET", &lease, "Psomebody", "PX", "60000"])
        .unwrap();
    let body = json!({ "content": "x" });
    let token = gateway.sdk_token().await;
    for answer in [
        gateway.call("/wxa/msg_sec_check", &body).await,
        with_token(&gateway, "/wxa/msg_sec_check", &token).await,
    ] {
        assert_eq!(
            (answer.status(), answer.code()),
            (503, Some("platform_unavailable"))
        );
        assert!(answer.get("retry-after").is_some());
        assert!(answer.text().contains("has not acted"), "{}", answer.text());
    }
    assert_eq!(calls(&gateway, "msg_sec_check"), 0);
}

#[tokio::test]
async fn one_deadline_covers_the_call_with_all_that_belongs_to_it() {
    // Long enough for a busy machine to stall before the call goes out.
    let settings = "apps.shop.timeout = \"4s\"\n";
    let gateway = gateway(&(settings.to_owned() + &client("")));
    gateway
        .call("/wxa/msg_sec_check", &json!({ "content": "x" }))
        .await;
    let slow = json!({ "api": "msg_sec_check", "times": 1, "delay_ms": 60_000 });
    gateway.fault(slow).await;
    let answer = gateway
        .call("/wxa/msg_sec_check", &json!({ "content": "x" }))
        .await;
    assert_eq!(
        (answer.status(), answer.code()),
        (504, Some("platform_timeout"))
    );
    let cut = json!({ "api": "msg_sec_check", "times": 1, "reset": true });
    gateway.fault(cut).await;
    let answer = gateway
        .call("/wxa/msg_sec_check", &json!({ "content": "x" }))
        .await;
    assert_eq!(
        (answer.status(), answer.code()),
        (502, Some("platform_error"))
    );
    assert_eq!(calls(&gateway, "msg_sec_check"), 3, "none is repeated");
}

/// A backend that repeats what is 503 would send a message twice.
#[tokio::test]
async fn a_call_that_may_have_been_acted_on_is_never_503() {
    let token = r#"{"access_token":"real-token-1","expires_in":7200}"#;
    let platform = Upstream::start(Script::answers("200 OK", token));
    let config = |url: &str| {
        let game =
            format!("[apps.game]\nappid = \"{GAME}\"\nsecret = \"s\"\nbase_url = \"{url}\"\n");
        client("").replace("\"shop\"", "\"game\"") + &game
    };
    let gateway = gateway(&config(&platform.url));
    let path = "/cgi-bin/message/custom/send";
    let message = json!({ "touser": "x", "msgtype": "text" });
    // The answer to this is no matter: it is about the access token.
    gateway.call(path, &message).await;
    let sdk = gateway.asked_for_token(GAME, SECRET).await.json();
    let sdk = sdk["access_token"].as_str().unwrap();

    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"errc";
    for (script, what) in [
        (Script::cut(), "closed"),
        (Script::new([Step::Whole, Step::Reset]), "reset"),
        (Script::at_end(begun).then_close(), "cut within the answer"),
        (Script::at_end("nonsense\r\n\r\n").then_close(), "no HTTP"),
    ] {
        platform.set(script);
        let before = platform.count("POST /cgi-bin/message/custom/send");
        let answers = [
            gateway.call(path, &message).await,
            with_token(&gateway, path, sdk).await,
        ];
        for answer in answers {
            let text = answer.text();
            assert_eq!(
                (answer.status(), answer.code()),
                (502, Some("platform_error")),
                "{what}: {text}"
            );
            assert!(text.contains("may have acted"), "{what}: {text}");
            assert!(answer.get("retry-after").is_none(), "{what}");
        }
        let sent = platform.count("POST /cgi-bin/message/custom/send") - before;
        assert_eq!(sent, 2, "{what}: each once");
    }

    // Where nothing listens nothing was sent. The token is still there.
    gateway
        .reload(&config("http://127.0.0.1:1"), "applied")
        .await;
    let answer = gateway.call(path, &message).await;
    assert_eq!(
        (answer.status(), answer.code()),
        (503, Some("platform_unavailable"))
    );
    assert!(answer.text().contains("has not got the call"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_repeated_once() {
    let gateway = gateway_at(
        wechat(SandboxSettings {
            // A token rests after its fetch for a tenth of its life.
            token_life: Duration::from_secs(20),
            ..SandboxSettings::default()
        }),
        &client(""),
    );
    let call = async || {
        gateway
            .call("/wxa/msg_sec_check", &json!({ "content": "x" }))
            .await
    };
    assert_eq!(call().await.json()["errcode"], 0);
    // Time itself is the matter: the token must not be new.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(gateway.wechat.platform.end_tokens(APPID) > 0);
    assert_eq!(call().await.json()["errcode"], 0, "nobody notices");
    assert_eq!(calls(&gateway, "stable_token"), 2);
    assert_eq!(calls(&gateway, "msg_sec_check"), 3);

    // One that is new and refused all the same is no reason to fetch another.
    let refused = json!({ "errcode": 40001, "errmsg": "invalid credential" });
    gateway
        .fault(json!({ "api": "msg_sec_check", "times": 100, "body": refused }))
        .await;
    for _ in 0..5 {
        let answer = call().await;
        assert_eq!(
            (answer.status(), answer.code()),
            (503, Some("platform_unavailable"))
        );
        assert!(!answer.text().contains("40001"));
    }
    assert!(calls(&gateway, "stable_token") <= 3);
}

#[tokio::test]
async fn rate_and_concurrency_have_limits_of_the_clients_own() {
    let gateway = gateway(&client("rate = \"2/1h\"\n"));
    let token = gateway.sdk_token().await;
    assert_eq!(
        gateway.call("/wxa/test/echo", &json!({})).await.status(),
        200
    );
    let limited = gateway.call("/wxa/test/echo", &json!({})).await;
    assert_eq!(
        (limited.status(), limited.code()),
        (429, Some("rate_limited"))
    );
    assert!(limited.get("retry-after").is_some());
    says(
        &with_token(&gateway, "/wxa/test/echo", &token).await,
        45011,
        "rate_limited",
    );

    let config = "apps.shop.timeout = \"30s\"\n".to_owned() + &client("max_concurrent = 1\n");
    let gateway = super::gateway(&config);
    gateway.call("/wxa/test/echo", &json!({})).await;
    let slow = json!({ "api": "msg_sec_check", "times": 1, "delay_ms": 60_000 });
    gateway.fault(slow).await;
    let body = json!({ "content": "x" });
    let first = async {
        // The call before has its place until its answer is out.
        until("the one place", async || {
            let answer = gateway.call("/wxa/msg_sec_check", &body).await;
            answer.code() != Some("rate_limited")
        })
        .await;
    };
    let second = async {
        until("the first call", async || {
            calls(&gateway, "msg_sec_check") == 1
        })
        .await;
        gateway.call("/wxa/test/echo", &json!({})).await
    };
    tokio::select! {
        _ = first => panic!("the first call is slow"),
        refused = second => assert_eq!(refused.code(), Some("rate_limited")),
    }
    let left = r#"hufu_platform_api_calls_total{app="shop",client="orders",path="/wxa/msg_sec_check",outcome="client_left"}"#;
    gateway.counts(left, 1).await;
    // Its place is free again once its client has left.
    until("a free place", async || {
        gateway.call("/wxa/test/echo", &json!({})).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_changed_secret_and_a_removed_client_hold_at_the_reload() {
    let gateway = gateway(&client(""));
    let token = gateway.sdk_token().await;
    let by_bearer = async |secret: &str| {
        let call = http()
            .get(gateway.api("/wxa/test/echo"))
            .bearer_auth(secret);
        call.await.status()
    };
    assert_eq!(by_bearer(SECRET).await, 200);
    // Both hold while one is exchanged for the other.
    let both = format!("{OTHER_SECRET}\", \"{SECRET}");
    gateway.reload(&client_with(&both, ""), "applied").await;
    assert_eq!(
        (by_bearer(SECRET).await, by_bearer(OTHER_SECRET).await),
        (200, 200)
    );
    assert_eq!(
        with_token(&gateway, "/wxa/test/echo", &token).await.json()["errcode"],
        0
    );

    gateway
        .reload(&client_with(OTHER_SECRET, ""), "applied")
        .await;
    assert_eq!(
        (by_bearer(SECRET).await, by_bearer(OTHER_SECRET).await),
        (401, 200)
    );
    let dead = with_token(&gateway, "/wxa/test/echo", &token).await;
    says(&dead, 42001, "gateway_token_expired");

    gateway
        .reload(
            &client_with(SECRET, "").replace("/wxa/test/*", "/wxa/a"),
            "applied",
        )
        .await;
    assert_eq!(by_bearer(SECRET).await, 403, "so does the list");
    gateway
        .reload("[platform_api]\nlisten = \"127.0.0.1:0\"\n", "applied")
        .await;
    assert_eq!(
        (by_bearer(SECRET).await, by_bearer(OTHER_SECRET).await),
        (401, 401)
    );
}
