//! Logging in, using the session, logging out: over real HTTP, with the answers and words of
//! docs/http-api.md.

mod refusals;

use std::time::Duration;

use hufu::clock::monotonic_now;
use serde_json::{Value, json};

use crate::helpers::{APPID, Gateway, HttpAnswer, echo_upstream, until};

async fn problem(answer: HttpAnswer) -> (u16, Value) {
    let status = answer.status();
    let word = answer.code().map(str::to_owned);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body: Value = answer.json();
    assert_eq!(body["code"].as_str(), word.as_deref());
    assert_eq!(body["status"], status);
    assert!(
        body["request_id"].as_str().is_some_and(|id| id.len() == 32),
        "{body}"
    );
    (status, body)
}

#[tokio::test]
async fn a_code_becomes_a_token_that_opens_the_backend_until_logout() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/api", "required"));
    let login = gateway.login("alice").await;
    let token = login["token"].as_str().unwrap();
    assert_eq!(
        (
            login["token_type"].as_str(),
            &login["expires_in"],
            &login["absolute_expires_in"]
        ),
        (Some("Bearer"), &json!(86400), &json!(259_200))
    );
    assert_eq!(token.len(), 56);

    let seen: Value = gateway
        .get("/api/orders?x=1")
        .bearer_auth(token)
        .await
        .json();
    let headers: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    let one = |name: &str| {
        headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(one("x-wx-openid"), [hufu::sandbox::openid(APPID, "alice")]);
    assert_eq!(one("x-wx-appid"), [APPID]);
    assert_eq!(
        one("x-wx-unionid"),
        [hufu::sandbox::unionid("alice").unwrap()]
    );
    assert_eq!(one("x-wx-source"), ["hufu"]);
    assert_eq!(one("x-hufu-app"), ["shop"]);
    assert_eq!(one("x-hufu-provider"), ["wechat-mini-program"]);
    assert_eq!(
        one("x-hufu-session"),
        [login["session_id"].as_str().unwrap()]
    );
    assert_eq!(
        (&seen["path"], &seen["query"]),
        (&json!("/api/orders"), &json!("x=1"))
    );
    assert!(one("authorization").is_empty() && !seen.to_string().contains(token));

    let session: Value = gateway.get("/auth/session").bearer_auth(token).await.json();
    assert_eq!(
        (&session["session_id"], &session["app"]),
        (&login["session_id"], &json!("shop"))
    );
    assert!(session.get("openid").is_none());

    for _ in 0..2 {
        let out = gateway.post("/auth/logout").bearer_auth(token).await;
        assert_eq!((out.status(), out.text().as_str()), (204, ""));
    }
    let (status, body) = problem(gateway.get("/api/orders").bearer_auth(token).await).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (401, Some("session_expired"))
    );
}

#[tokio::test]
async fn a_code_is_good_once_and_its_answer_for_ten_seconds() {
    // All of them come within this time, also where the machine stalls.
    let gateway = Gateway::start("login.replay_window = \"5s\"\n");
    let code = gateway.code("carol");
    let body = json!({ "code": code });
    let all =
        futures_util::future::join_all((0..50).map(|_| gateway.login_with(body.clone()))).await;
    let mut tokens = std::collections::HashSet::new();
    for answer in all {
        assert_eq!(answer.status(), 200);
        tokens.insert(answer.json()["token"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        (
            tokens.len(),
            gateway.wechat.platform.calls("jscode2session")
        ),
        (1, 1)
    );
    let refused = until("the replay window to pass", async || {
        let answer = gateway.login_with(body.clone()).await;
        (answer.status() != 200).then_some(answer)
    })
    .await;
    let (status, body) = problem(refused).await;
    assert_eq!(
        (
            status,
            body["code"].as_str(),
            body["platform_code"].as_i64()
        ),
        (400, Some("code_used"), Some(40163))
    );
}

#[tokio::test]
async fn a_replay_does_not_bring_a_session_back() {
    let gateway = Gateway::start("");
    let body = json!({ "code": gateway.code("dave") });
    let login: Value = gateway.login_with(body.clone()).await.json();
    gateway
        .post("/auth/logout")
        .bearer_auth(login["token"].as_str().unwrap())
        .await;
    let (status, problem) = problem(gateway.login_with(body).await).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("code_used")));
}

#[tokio::test]
async fn what_the_platform_says_has_its_word() {
    let gateway = Gateway::start("");
    let fault = async |status: u16, body: &str, times: u32| {
        let order =
            json!({ "api": "jscode2session", "times": times, "status": status, "body": body });
        gateway.fault(order).await;
    };
    for (n, (status, body, times, expected, code, platform_code)) in [
        (
            200,
            r#"{"errcode":40029,"errmsg":"invalid code, rid: 623ea70a-74b9b592-3e3d489a"}"#,
            1,
            400,
            "code_invalid",
            Some(40029),
        ),
        (
            200,
            r#"{"errcode":"40163","errmsg":"code been used"}"#,
            1,
            400,
            "code_used",
            Some(40163),
        ),
        (
            200,
            r#"{"errcode":40226,"errmsg":"code blocked"}"#,
            1,
            403,
            "user_blocked",
            Some(40226),
        ),
        (
            200,
            r#"{"errcode":45011,"errmsg":"api minute-quota reach limit"}"#,
            1,
            429,
            "rate_limited",
            Some(45011),
        ),
        (
            200,
            r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#,
            1,
            500,
            "misconfigured",
            None,
        ),
        (200, r#"{"openid":"o123"}"#, 1, 502, "platform_error", None),
        (200, "null", 1, 502, "platform_error", None),
        (200, "<html>", 1, 502, "platform_error", None),
        (
            200,
            r#"{"errcode":-1,"errmsg":"system error"}"#,
            20,
            503,
            "platform_unavailable",
            None,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        fault(status, body, times).await;
        let answer = gateway
            .login_with(json!({ "code": format!("user-{n}") }))
            .await;
        let retry = answer.get("retry-after").map(str::to_owned);
        let (got, problem) = problem(answer).await;
        assert_eq!(
            (
                got,
                problem["code"].as_str(),
                problem["platform_code"].as_i64()
            ),
            (expected, Some(code), platform_code),
            "{body}"
        );
        assert_eq!(retry.is_some(), matches!(got, 429 | 503), "{body}");
        if got >= 500 {
            // What the client got is found in the log by the id that it got too.
            let line = gateway
                .stderr()
                .lines()
                .find(|line| line.contains(problem["request_id"].as_str().unwrap()))
                .unwrap_or_default()
                .to_owned();
            let words = if got == 503 {
                "WeChat says that it is busy"
            } else {
                "login: "
            };
            assert!(line.contains(words), "{body}: {}", gateway.stderr());
        }
        let line = gateway.access_line("the line", |line| {
            line["request_id"] == problem["request_id"]
        });
        let reason = if code == "rate_limited" {
            json!("platform")
        } else {
            Value::Null
        };
        assert_eq!(
            (&line["app"], &line["error"], &line["reason"]),
            (&json!("shop"), &json!(code), &reason),
            "{body}"
        );
    }
    assert!(
        gateway.stderr().contains("apps.shop.secret"),
        "the operator is told what to fix: {}",
        gateway.stderr()
    );
}

#[tokio::test]
async fn the_app_is_named_where_there_are_several() {
    let second = "[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"other\"\nbase_url = \"http://127.0.0.1:9\"\n";
    let gateway = Gateway::start(second);
    let code = || gateway.code("erin");
    assert_eq!(
        problem(gateway.login_with(json!({ "code": code() })).await)
            .await
            .1["code"],
        "app_required"
    );
    assert_eq!(
        problem(
            gateway
                .login_with(json!({ "code": code(), "app": "nope" }))
                .await
        )
        .await
        .1["code"],
        "app_unknown"
    );
    assert_eq!(
        gateway
            .login_with(json!({ "code": code(), "app": "shop", "token": "mine" }))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn a_refused_code_with_the_referer_of_another_app_says_so() {
    let gateway = Gateway::start("");
    let order = json!({ "api": "jscode2session", "times": 1, "body": r#"{"errcode":40029,"errmsg":"invalid code"}"# });
    gateway.fault(order).await;
    let answer = gateway
        .post("/auth/login")
        .header(
            "referer",
            "https://servicewechat.com/wxothersother1234/0/page-frame.html",
        )
        .json(&json!({ "code": "zoe" }))
        .await;
    assert_eq!(problem(answer).await.1["code"], "app_mismatch");
    gateway.logs("wxothersother1234").await;
}

#[tokio::test]
async fn idle_sessions_end_and_used_ones_go_on_to_the_absolute_end() {
    let echo = echo_upstream();
    let config = format!(
        "session.idle_timeout = \"1s\"\nsession.absolute_timeout = \"3s\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::start(&config);
    let status = async |token: &str| gateway.get("/api").bearer_auth(token).await.status();
    // Between two uses there is less than what ends a session, unless the machine stalls.
    until("a run without a stall", async || {
        let idle = gateway.token("frank").await;
        let started = monotonic_now();
        let busy = gateway.token("grace").await;
        let (mut used, mut longest) = (started, Duration::ZERO);
        loop {
            let began = monotonic_now();
            let alive = status(&busy).await == 200;
            longest = longest.max(used.elapsed());
            if !alive {
                break;
            }
            used = began;
        }
        let lived = started.elapsed();
        assert_eq!(status(&idle).await, 401);
        // It is renewed when a tenth of its time is over.
        if longest > Duration::from_millis(800) {
            return false;
        }
        // The clock of the sessions is the time of day, which may be set a little meanwhile.
        assert!(
            lived > Duration::from_millis(2700),
            "ended early: {lived:?}"
        );
        true
    })
    .await;
}
