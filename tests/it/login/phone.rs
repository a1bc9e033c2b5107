//! Phone numbers: one call for each code, whatever its clients repeat and whoever dies meanwhile.

use futures_util::future::join_all;
use hufu::sandbox::SandboxSettings;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::open_data::{asked, fault};
use crate::helpers::{APPID, Gateway, RedisServer, sandbox, until};

pub(super) const API: &str = "getuserphonenumber";

pub(super) async fn phone(gateway: &Gateway, token: &str, code: &str) -> (u16, Value) {
    let body = json!({ "code": code });
    asked(gateway, "POST", "/auth/phone", token, Some(&body)).await
}

pub(super) fn code(gateway: &Gateway) -> String {
    gateway.wechat.platform.phone_code(APPID, "alice")
}

pub(super) fn calls(gateway: &Gateway) -> u64 {
    gateway.wechat.platform.calls(API)
}

#[tokio::test]
async fn a_code_goes_out_once_however_often_it_comes_in() {
    let redis = RedisServer::start(&[]);
    let one = Gateway::on(&redis.url(""), "");
    let other = one.sibling();
    let (token, device) = (one.token("alice").await, other.token("alice").await);
    let code = code(&one);
    fault(&one, API, &json!({ "times": 1, "delay_ms": 200 })).await;
    let asked = (0..20).map(|n| {
        let (gateway, token) = if n % 2 == 0 {
            (&one, &token)
        } else {
            (&other, &device)
        };
        phone(gateway, token, &code)
    });
    let mut answers = join_all(asked).await;
    answers.push(phone(&one, &token, &code).await);
    let first = answers[0].clone();
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(
        (&first.1["phone_number"], &first.1["country_code"]),
        (&first.1["pure_phone_number"], &json!("86"))
    );
    assert!(answers.iter().all(|answer| *answer == first), "{answers:?}");
    assert_eq!(
        (calls(&one), one.wechat.platform.calls("stable_token")),
        (1, 1)
    );
    let labels = "app=\"shop\",operation=\"phone\",outcome=\"ok\"";
    let series = format!("hufu_open_data_total{{{labels}}}");
    assert_eq!(one.counted(&series).await + other.counted(&series).await, 1);
}

#[tokio::test]
async fn a_stolen_code_gets_nothing_under_another_session() {
    let gateway = Gateway::start("");
    let (alice, eve) = (gateway.token("alice").await, gateway.token("eve").await);
    let code = code(&gateway);
    for _ in 0..2 {
        let (status, answer) = phone(&gateway, &eve, &code).await;
        assert_eq!((status, &answer["code"]), (400, &json!("code_invalid")));
    }
    assert_eq!(calls(&gateway), 1, "what the platform said of it is kept");
    assert_eq!(phone(&gateway, &alice, &code).await.0, 200);
    // Nor does the answer that is kept for its owner.
    assert_eq!(phone(&gateway, &eve, &code).await.0, 400);
}

#[tokio::test]
async fn a_code_of_another_button_is_refused_with_its_reason() {
    let gateway = Gateway::start("");
    let token = gateway.token("alice").await;
    let login = gateway.wechat.platform.login_code(APPID, "alice");
    let (status, answer) = phone(&gateway, &token, &login).await;
    assert_eq!((status, &answer["platform_code"]), (400, &json!(40029)));
    assert!(answer["detail"].as_str().unwrap().contains("wx.login"));
    let body = json!({ "errcode": 1007, "errmsg": "wrong code" });
    fault(&gateway, API, &json!({ "times": 1, "body": body })).await;
    let (status, answer) = phone(&gateway, &token, &code(&gateway)).await;
    assert_eq!((status, &answer["platform_code"]), (400, &json!(1007)));
    assert!(
        answer["detail"]
            .as_str()
            .unwrap()
            .contains("wx.pluginLogin")
    );
    let before = calls(&gateway);
    for wrong in ["", "a b", "the code is a mock one"] {
        let (status, answer) = phone(&gateway, &token, wrong).await;
        assert_eq!((status, &answer["code"]), (400, &json!("code_invalid")));
    }
    assert_eq!(calls(&gateway), before, "what is no code stays here");
}

#[tokio::test]
async fn after_half_an_answer_there_is_no_second_call() {
    let gateway = Gateway::start("apps.shop.timeout = \"3s\"\n");
    let token = gateway.token("alice").await;
    for trouble in [
        json!({ "times": 1, "reset": true }),
        json!({ "times": 1, "delay_ms": 60_000 }),
        json!({ "times": 1, "status": 502, "body": "<html>" }),
        json!({ "times": 1, "body": "{\"errcode\":0,\"phone_in" }),
        json!({ "times": 1, "body": { "errcode": 0, "errmsg": "ok" } }),
    ] {
        let (code, before) = (code(&gateway), calls(&gateway));
        fault(&gateway, API, &trouble).await;
        for _ in 0..2 {
            let request = gateway.post("/auth/phone").bearer_auth(&token);
            let answer = request.json(&json!({ "code": code })).await;
            assert_eq!(answer.status(), 503, "{trouble}");
            assert!(!answer.headers().contains_key("retry-after"));
            let answer = answer.json();
            assert_eq!(answer["code"], "platform_unavailable");
            assert!(
                answer["detail"]
                    .as_str()
                    .unwrap()
                    .contains("press the button again")
            );
        }
        assert_eq!(calls(&gateway), before + 1, "{trouble}");
    }
}

#[tokio::test]
async fn a_gateway_that_dies_takes_the_code_with_it() {
    let redis = RedisServer::start(&[]);
    let patience = "apps.shop.timeout = \"30s\"\n";
    let leader = Gateway::on(&redis.url(""), patience);
    // It waits as long as the platform may take.
    let short = "apps.shop.timeout = \"500ms\"\n";
    leader.write(
        "hufu.toml",
        &leader.stored("hufu.toml").replace(patience, short),
    );
    let follower = leader.sibling();
    let (token, code) = (leader.token("alice").await, code(&leader));
    fault(&leader, API, &json!({ "times": 1, "delay_ms": 60_000 })).await;
    let request = leader
        .post("/auth/phone")
        .bearer_auth(&token)
        .json(&json!({ "code": code }));
    let request = tokio::spawn(request.try_send());
    until("the call", async || calls(&leader) == 1).await;
    leader.signal(Signal::SIGKILL);
    let _ = request.await.unwrap();
    let (status, answer) = phone(&follower, &token, &code).await;
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!("platform_unavailable"))
    );
    assert_eq!(calls(&follower), 1);
}

#[tokio::test]
async fn what_was_not_taken_may_be_sent_again() {
    let gateway = Gateway::start("");
    let token = gateway.token("alice").await;
    let first = code(&gateway);
    // No token, so no call.
    fault(
        &gateway,
        "stable_token",
        &json!({ "times": 1, "status": 502 }),
    )
    .await;
    let (status, answer) = phone(&gateway, &token, &first).await;
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!("platform_unavailable")),
        "{answer}"
    );
    assert!(answer["retry_after"].is_number());
    assert_eq!(calls(&gateway), 0);
    let number = until("a token", async || {
        let (status, answer) = phone(&gateway, &token, &first).await;
        (status == 200).then_some(answer)
    })
    .await;
    assert!(number["phone_number"].is_string());
    // Busy is an answer: one call, and the client decides.
    let second = code(&gateway);
    let busy = json!({ "errcode": -1, "errmsg": "system error" });
    fault(&gateway, API, &json!({ "times": 1, "body": busy })).await;
    let before = calls(&gateway);
    assert_eq!(phone(&gateway, &token, &second).await.0, 503);
    assert_eq!(calls(&gateway), before + 1);
    assert_eq!(phone(&gateway, &token, &second).await.0, 200);
    // Nor does a refused token cost the code.
    let third = code(&gateway);
    let stale = json!({ "errcode": 40001, "errmsg": "invalid credential" });
    fault(&gateway, API, &json!({ "times": 1, "body": stale })).await;
    let (status, answer) = phone(&gateway, &token, &third).await;
    // A token that was fetched a moment ago is not replaced at once.
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!("platform_unavailable"))
    );
    assert!(answer["retry_after"].is_number());
    assert_eq!(phone(&gateway, &token, &third).await.0, 200);
}

#[tokio::test]
async fn a_user_has_so_many_numbers_a_day() {
    let gateway = Gateway::start("open_data.phone_limit = \"2/1d\"\n");
    let (token, other) = (gateway.token("alice").await, gateway.token("bob").await);
    let first = code(&gateway);
    for code in [&first, &code(&gateway)] {
        assert_eq!(phone(&gateway, &token, code).await.0, 200);
    }
    let (status, answer) = phone(&gateway, &token, &code(&gateway)).await;
    assert_eq!((status, &answer["code"]), (429, &json!("rate_limited")));
    assert_eq!(calls(&gateway), 2);
    assert_eq!(phone(&gateway, &token, &first).await.0, 200, "no call");
    let bobs = gateway.wechat.platform.phone_code(APPID, "bob");
    assert_eq!(phone(&gateway, &other, &bobs).await.0, 200);
}

#[tokio::test]
async fn numbers_are_read_in_each_spelling() {
    let gateway = Gateway::start("");
    let token = gateway.token("alice").await;
    for country in [json!(49), json!("49")] {
        let info = json!({ "phoneNumber": "+4915112345678", "purePhoneNumber": "15112345678", "countryCode": country });
        let body = json!({ "errcode": 0, "errmsg": "ok", "phone_info": info });
        fault(&gateway, API, &json!({ "times": 1, "body": body })).await;
        let expected = json!({ "phone_number": "+4915112345678", "pure_phone_number": "15112345678", "country_code": "49" });
        assert_eq!(
            phone(&gateway, &token, &code(&gateway)).await,
            (200, expected)
        );
    }
}

#[tokio::test]
async fn a_platform_without_it_says_so() {
    let douyin = sandbox(SandboxSettings::default());
    let appid = "tt0123456789abcdef";
    let gateway = Gateway::start(&format!(
        "[apps.dy]\nprovider = \"douyin\"\nappid = \"{appid}\"\nsecret = \"s\"\nbase_url = \"{}\"\n",
        douyin.server.url
    ));
    let code = douyin.platform.login_code(appid, "alice");
    let body = json!({ "code": code, "app": "dy" });
    let login = gateway.login_with(body).await;
    let login = login.json();
    let token = login["token"].as_str().unwrap();
    let body = json!({ "code": "x" });
    for (method, path, body) in [
        ("POST", "/auth/phone", Some(&body)),
        ("GET", "/auth/session-key/status", None),
        ("POST", "/auth/session-key/reset", None),
    ] {
        let (status, answer) = asked(&gateway, method, path, token, body).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("unsupported_by_platform"))
        );
    }
}
