//! Logging in, using the session, logging out: over real HTTP, with the answers and words of
//! docs/http-api.md.

use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::gateway::{APPID, Gateway, Setup, route};
use crate::helpers::servers::{echo_upstream, http};
use crate::helpers::wire;

async fn problem(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let word = answer
        .headers()
        .get("x-hufu-error")
        .map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: Value = answer.json().await.unwrap();
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
    let gateway = Gateway::start(&route("/api", &echo.url, "required"));
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

    let seen: Value = http()
        .get(gateway.at("/api/orders?x=1"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
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

    let session: Value = http()
        .get(gateway.at("/auth/session"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&session["session_id"], &session["app"]),
        (&login["session_id"], &json!("shop"))
    );
    assert!(session.get("openid").is_none());

    for _ in 0..2 {
        let out = http()
            .post(gateway.at("/auth/logout"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (out.status().as_u16(), out.text().await.unwrap().as_str()),
            (204, "")
        );
    }
    let (status, body) = problem(
        http()
            .get(gateway.at("/api/orders"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        (status, body["code"].as_str()),
        (401, Some("session_expired"))
    );
}

#[tokio::test]
async fn refusals_have_their_words_and_challenges() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&route("/api", &echo.url, "required"));
    let token = gateway.token("bob").await;
    let ask = async |value: Option<&str>| {
        let head = value.map_or_else(String::new, |v| format!("Authorization: {v}\r\n"));
        wire::send(
            gateway.listen,
            format!("GET /api HTTP/1.1\r\nHost: x\r\n{head}Connection: close\r\n\r\n").as_bytes(),
        )
        .await
    };
    let answer = ask(None).await;
    assert_eq!(
        (
            answer.status,
            answer.code(),
            answer.header("www-authenticate")
        ),
        (401, Some("login_required"), Some("Bearer realm=\"hufu\""))
    );
    let answer = ask(Some("Basic YTpi")).await;
    assert_eq!(
        (answer.status, answer.code()),
        (401, Some("login_required"))
    );
    let flipped = format!(
        "{}{}",
        &token[..55],
        if token.ends_with('A') { "Q" } else { "A" }
    );
    let long = "a".repeat(8000);
    for wrong in [
        "x",
        &long,
        "hufu_",
        &token[..55],
        &format!("{token}A"),
        &flipped,
        &format!("{token},{token}"),
        "{hufu}*?[]",
        "null",
    ] {
        let answer = ask(Some(&format!("Bearer {wrong}"))).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, Some("token_invalid")),
            "{wrong:?}"
        );
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"hufu\", error=\"invalid_token\"")
        );
    }
    for fine in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(ask(Some(&format!("{fine} {token}"))).await.status, 200);
    }
    let two = format!(
        "GET /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let answer = wire::send(gateway.listen, two.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.code()),
        (400, Some("token_ambiguous"))
    );
    let page = http()
        .get(gateway.admin_at("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains(r#"hufu_session_lookups_total{outcome="invalid_token"} 9"#),
        "{page}"
    );
}

#[tokio::test]
async fn bad_login_bodies_are_told_what_is_wrong_with_them() {
    let gateway = Gateway::start("");
    let post = async |content_type: &str, body: Vec<u8>| {
        http()
            .post(gateway.at("/auth/login"))
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap()
    };
    for (content_type, body, status, code, hint) in [
        ("application/json", "", 400, "request_invalid", "EOF"),
        (
            "application/json",
            "{\"code\":",
            400,
            "request_invalid",
            "EOF",
        ),
        (
            "application/json",
            "{\"code\":5}",
            400,
            "request_invalid",
            "string",
        ),
        (
            "application/json",
            "[]",
            400,
            "request_invalid",
            "such as {\"code\"",
        ),
        (
            "application/json",
            "[\"x\",null]",
            400,
            "request_invalid",
            "such as {\"code\"",
        ),
        (
            "application/json",
            "[\"x\",\"shop\"]",
            400,
            "request_invalid",
            "such as {\"code\"",
        ),
        (
            "application/json",
            "[{\"code\":\"x\"}]",
            400,
            "request_invalid",
            "such as {\"code\"",
        ),
        (
            "application/json",
            "{\"cod\":\"x\"}",
            400,
            "request_invalid",
            "missing field `code`",
        ),
        (
            "application/json",
            "{\"code\":null}",
            400,
            "request_invalid",
            "string",
        ),
        (
            "application/json",
            "\"x\"",
            400,
            "request_invalid",
            "such as {\"code\"",
        ),
        (
            "text/plain",
            "{\"code\":\"x\"}",
            415,
            "unsupported_media_type",
            "application/json",
        ),
        (
            "application/x-www-form-urlencoded",
            "code=x",
            415,
            "unsupported_media_type",
            "application/json",
        ),
    ] {
        let (got, problem) = problem(post(content_type, body.into()).await).await;
        assert_eq!(
            (got, problem["code"].as_str()),
            (status, Some(code)),
            "{body}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(hint),
            "{body}: {problem}"
        );
    }
    let deep = format!("{{\"code\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(
        problem(post("application/json", deep.into_bytes()).await)
            .await
            .0,
        400
    );
    // Below what a refusal lingers for; of more a client that does not read while it writes sees a
    // closed connection.
    let (status, body) = problem(post("application/json", vec![b' '; 1 << 19]).await).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (413, Some("body_too_large"))
    );
    assert_eq!(gateway.wechat.platform.calls("jscode2session"), 0);
}

#[tokio::test]
async fn a_login_that_is_too_long_ends_its_connection() {
    let gateway = Gateway::start("");
    let next = "GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let body = "{".repeat(20_000);
    for (framing, body) in [
        ("Content-Length: 20000", body.clone()),
        (
            "Transfer-Encoding: chunked",
            format!("4e20\r\n{body}\r\n0\r\n\r\n"),
        ),
    ] {
        let request = format!(
            "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n{body}{next}"
        );
        let answer = wire::send_to_the_end(gateway.listen, request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code(), answer.header("connection")),
            (413, Some("body_too_large"), Some("close")),
            "{framing}: {}",
            answer.text
        );
        assert!(
            answer.closed && answer.text.matches("HTTP/1.1 ").count() == 1,
            "{framing}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn codes_that_cannot_be_codes_never_go_out() {
    let gateway = Gateway::start("");
    for code in [
        "",
        "a&appid=wxevil",
        "a\"b",
        "a'b",
        "a\r\nX: y",
        "a\0b",
        "a b",
        "a#b",
        "a%26b",
        "虎",
        &"a".repeat(5000),
    ] {
        let (status, body) = problem(gateway.login_with(json!({ "code": code })).await).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some("code_invalid")),
            "{code:?}"
        );
    }
    assert_eq!(gateway.wechat.platform.calls("jscode2session"), 0);
}

#[tokio::test]
async fn a_code_is_good_once_and_its_answer_for_ten_seconds() {
    let gateway = Gateway::with(&Setup {
        config: "login.replay_window = \"1s\"\n".to_owned(),
        ..Setup::default()
    });
    let code = gateway.wechat.platform.login_code(APPID, "carol");
    let body = json!({ "code": code });
    let all =
        futures_util::future::join_all((0..50).map(|_| gateway.login_with(body.clone()))).await;
    let mut tokens = std::collections::HashSet::new();
    for answer in all {
        assert_eq!(answer.status(), 200);
        tokens.insert(
            answer.json::<Value>().await.unwrap()["token"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(
        (
            tokens.len(),
            gateway.wechat.platform.calls("jscode2session")
        ),
        (1, 1)
    );
    let refused = crate::helpers::wait::until("the replay window to pass", async || {
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
    let body = json!({ "code": gateway.wechat.platform.login_code(APPID, "dave") });
    let login: Value = gateway.login_with(body.clone()).await.json().await.unwrap();
    http()
        .post(gateway.at("/auth/logout"))
        .bearer_auth(login["token"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let (status, problem) = problem(gateway.login_with(body).await).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("code_used")));
}

#[tokio::test]
async fn what_the_platform_says_has_its_word() {
    let gateway = Gateway::start("");
    let fault = async |status: u16, body: &str, times: u32| {
        let order =
            json!({ "api": "jscode2session", "times": times, "status": status, "body": body });
        let answer = http()
            .post(gateway.wechat.server.at("/sandbox/faults"))
            .json(&order)
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
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
        let retry = answer.headers().get("retry-after").cloned();
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
async fn a_refusal_has_its_reason_in_the_access_line() {
    let gateway = Gateway::start("login.rate_limit.per_app = \"1/1h\"\n");
    let reason_of = async |answer: reqwest::Response| {
        let (_, problem) = problem(answer).await;
        let line = gateway.access_line("the line", |line| {
            line["request_id"] == problem["request_id"]
        });
        assert_eq!(line["error"], problem["code"]);
        (
            line["reason"].as_str().unwrap_or_default().to_owned(),
            line["app"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let at = |reason: &str, app: &str| (reason.to_owned(), app.to_owned());
    gateway.login("alice").await;
    let limited = gateway
        .login_with(json!({ "code": gateway.wechat.platform.login_code(APPID, "bob") }))
        .await;
    assert_eq!(reason_of(limited).await, at("per_app", "shop"));
    // What the client wrote is not repeated.
    assert_eq!(
        reason_of(gateway.login_with(json!({ "code": ["tiger"] })).await).await,
        at("The body is invalid", "")
    );
    assert_eq!(
        reason_of(
            gateway
                .login_with(json!({ "code": "x", "app": "nope" }))
                .await
        )
        .await,
        at("", "")
    );
    let slash = http().get(gateway.at("/api/a%2fb")).send().await.unwrap();
    assert_eq!(
        reason_of(slash).await,
        at(
            "Refused: the path has an encoded slash or a backslash, which servers read in different ways.",
            ""
        )
    );
    assert!(!gateway.stdout().contains("tiger"));
}

#[tokio::test]
async fn the_app_is_named_where_there_are_several() {
    let second = "[apps.game]\nappid = \"wxfedcba9876543210\"\nsecret = \"other\"\nbase_url = \"http://127.0.0.1:9\"\n";
    let gateway = Gateway::start(second);
    let code = || gateway.wechat.platform.login_code(APPID, "erin");
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
    http()
        .post(gateway.wechat.server.at("/sandbox/faults"))
        .json(&order)
        .send()
        .await
        .unwrap();
    let answer = http()
        .post(gateway.at("/auth/login"))
        .header(
            "referer",
            "https://servicewechat.com/wxothersother1234/0/page-frame.html",
        )
        .json(&json!({ "code": "zoe" }))
        .send()
        .await
        .unwrap();
    assert_eq!(problem(answer).await.1["code"], "app_mismatch");
    crate::helpers::wait::until("the log line", async || {
        gateway.stderr().contains("wxothersother1234").then_some(())
    })
    .await;
}

#[tokio::test]
async fn idle_sessions_end_and_used_ones_go_on_to_the_absolute_end() {
    let echo = echo_upstream();
    let config = format!(
        "session.idle_timeout = \"1s\"\nsession.absolute_timeout = \"3s\"\n{}",
        route("/api", &echo.url, "required")
    );
    let gateway = Gateway::with(&Setup {
        config,
        ..Setup::default()
    });
    let (idle, busy) = (gateway.token("frank").await, gateway.token("grace").await);
    let status = async |token: &str| {
        http()
            .get(gateway.at("/api"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let started = hufu::clock::monotonic_now();
    let mut alive_past_idle = false;
    let died_after = crate::helpers::wait::until("the absolute end", async || {
        let alive = status(&busy).await == 200;
        alive_past_idle |= alive && started.elapsed() > Duration::from_millis(1500);
        (!alive).then(|| started.elapsed())
    })
    .await;
    assert!(alive_past_idle, "use did not renew the session");
    assert!(
        died_after > Duration::from_millis(2700),
        "ended early: {died_after:?}"
    );
    assert_eq!(status(&idle).await, 401);
}

#[tokio::test]
async fn own_endpoints_take_their_methods_and_no_other() {
    let gateway = Gateway::start("");
    for (method, path, status, code) in [
        ("GET", "/auth/login", 405, "method_not_allowed"),
        ("GET", "/auth/logout", 405, "method_not_allowed"),
        ("POST", "/auth/session", 405, "method_not_allowed"),
        ("GET", "/auth/nothing", 404, "endpoint_not_found"),
        ("GET", "/auth", 404, "endpoint_not_found"),
        ("GET", "/%61uth/login", 405, "method_not_allowed"),
        ("GET", "//auth/healthz", 404, "endpoint_not_found"),
        ("GET", "/elsewhere", 404, "route_not_found"),
    ] {
        let answer =
            wire::send(gateway.listen, format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, Some(code)),
            "{method} {path}"
        );
    }
    let answer = wire::send(
        gateway.listen,
        b"HEAD /auth/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!((answer.status, answer.body()), (200, ""));
    let answer = wire::send(
        gateway.listen,
        b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!((answer.status, answer.body()), (200, "ok"));
}
