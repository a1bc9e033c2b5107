//! What is no login, and how it is told.

use serde_json::json;

use super::problem;
use crate::helpers::{Gateway, HttpAnswer, echo_upstream, probe};

#[tokio::test]
async fn refusals_have_their_words_and_challenges() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/api", "required"));
    let token = gateway.token("bob").await;
    let ask = async |value: Option<&str>| {
        let head = value.map_or_else(String::new, |v| format!("Authorization: {v}\r\n"));
        gateway
            .raw(format!(
                "GET /api HTTP/1.1\r\nHost: x\r\n{head}Connection: close\r\n\r\n"
            ))
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
    answer.refuses(401, "login_required", "");
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
        answer.refuses(401, "token_invalid", format_args!("{wrong:?}"));
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
    let answer = gateway.raw(&two).await;
    answer.refuses(400, "token_ambiguous", "");
    let page = gateway.admin_get("/metrics").await.text();
    assert!(
        page.contains(r#"hufu_session_lookups_total{outcome="invalid_token"} 9"#),
        "{page}"
    );
}

#[tokio::test]
async fn bad_login_bodies_are_told_what_is_wrong_with_them() {
    let gateway = Gateway::start("");
    let post = async |content_type: &str, body: Vec<u8>| {
        gateway
            .post("/auth/login")
            .header("content-type", content_type)
            .body(body)
            .await
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
        let answer = probe::send_to_the_end(gateway.listen, &request).await;
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
async fn a_refusal_has_its_reason_in_the_access_line() {
    let gateway = Gateway::start("login.rate_limit.per_app = \"1/1h\"\n");
    let reason_of = async |answer: HttpAnswer| {
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
        .login_with(json!({ "code": gateway.code("bob") }))
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
    let slash = gateway.get("/api/a%2fb").await;
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
            gateway.raw(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).await;
        answer.refuses(status, code, format_args!("{method} {path}"));
    }
    let answer = gateway
        .raw(b"HEAD /auth/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.body()), (200, ""));
    let answer = gateway
        .raw(b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.body()), (200, "ok"));
}
