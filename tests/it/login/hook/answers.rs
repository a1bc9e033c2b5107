//! Every answer of the backend, and what the client gets.

use serde_json::json;

use super::{API, asking, assert_refused, json_script, logged_in, no_content, typed};
use crate::helpers::{Gateway, HttpAnswer, Script, Upstream};

const FAILED: &str = "hufu_login_hooks_total{app=\"shop\",outcome=\"failed\"}";

#[track_caller]
fn assert_failed(answer: &HttpAnswer) {
    assert_refused(answer, 503, "login_hook_failed");
    // Clients repeat a request with the same code if there is one.
    assert!(answer.get("retry-after").is_none());
    assert!(answer.get("www-authenticate").is_none());
}

#[tokio::test]
async fn claims_and_no_content_let_a_user_in() {
    let backend = Upstream::start(no_content());
    let visible = "session.visible_claims = [\"a\", \"role\", \"vip\", \"n\"]\n";
    let gateway = Gateway::start(&asking(&backend.url, visible));
    let problem = "application/problem+json";
    let typed_claims = json!({ "role": ["staff"], "vip": true, "n": 1 });
    let answer = json!({ "claims": typed_claims });
    for (script, claims) in [
        (no_content(), json!({})),
        (json_script("200 OK", r#"{"claims":{}}"#), json!({})),
        (json_script("200 OK", &answer.to_string()), typed_claims),
        (
            typed(
                "200 OK",
                problem,
                "\r\n {\"claims\":{\"a\":\"1\"},\"more\":[]}\n",
            ),
            json!({ "a": "1" }),
        ),
        (
            Script::at_end(
                "HTTP/1.1 200 OK\r\nContent-Type: APPLICATION/JSON\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"claims\":{}}\r\n0\r\n\r\n",
            ),
            json!({}),
        ),
    ] {
        backend.set(script);
        let login = gateway.login("alice").await;
        let token = login["token"].as_str().unwrap();
        let session = gateway.get("/auth/session").bearer_auth(token).await.json();
        assert_eq!(session["claims"], claims);
    }
    assert_eq!(gateway.counted(FAILED).await, 0);
    assert_eq!(backend.count("POST"), 5);
}

/// Each with what the log says of it.
fn unusable() -> Vec<(Script, &'static str)> {
    let ok = |body: &str| json_script("200 OK", body);
    let long = format!(r#"{{"claims":{{"a":"{}"}}}}"#, "x".repeat(2048));
    let too_long = format!(r#"{{"claims":{{}},"more":"{}"}}"#, "x".repeat(17_000));
    let html = "<!DOCTYPE html><title>Down</title>";
    let claims = r#"{"claims":{"a":"1"}}"#;
    let moved = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    vec![
        (ok(&long), "more than 2048 bytes"),
        (ok(&too_long), "longer than 16384 bytes"),
        (ok(r#"{"claims":{"a":{"b":"1"}}}"#), "an object"),
        (ok(r#"{"claims":{"a":"1","a":"2"}}"#), "there twice"),
        (ok(r#"{"claims":{"a":null}}"#), "is null"),
        (ok(r#"{"claims":null}"#), "an object of claims"),
        (ok("null"), "no JSON object"),
        (ok("[]"), "no JSON object"),
        (ok(""), "no JSON object"),
        (ok(r#"{"claims":{"X-WX-OPENID":"o1"}}"#), "no name of a claim"),
        (typed("200 OK", "text/plain", claims), "Content-Type"),
        (typed("200 OK", "text/html", html), "Content-Type"),
        (Script::answers("200 OK", claims), "Content-Type"),
        (json_script("201 Created", claims), "answered 201"),
        (Script::at_end(moved), "redirects are not followed"),
        (json_script("401 Unauthorized", r#"{"detail":"no"}"#), "answered 401"),
        (json_script("500 Internal Server Error", claims), "answered 500"),
        (typed("403 Forbidden", "text/html", html), "Content-Type"),
        (json_script("403 Forbidden", r#"{"detail":1}"#), "expected a string"),
        (json_script("403 Forbidden", r#"{"message":"no"}"#), "missing field"),
        (json_script("403 Forbidden", html), "no JSON object"),
        (
            Script::at_end("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"claims\":{").then_close(),
            "broke off",
        ),
        (Script::at_end("nonsense\r\n\r\n").then_close(), "gave no answer (upstream_error)"),
        (Script::cut(), "gave no answer (upstream_error)"),
    ]
}

#[tokio::test]
async fn anything_else_fails_the_login_and_is_asked_once() {
    let backend = Upstream::start(no_content());
    let gateway = Gateway::start(&asking(&backend.url, ""));
    let mut asked = 0;
    for (script, said) in unusable() {
        backend.set(script);
        let body = json!({ "code": gateway.code("alice") });
        let answer = gateway.login_with(body.clone()).await;
        assert_failed(&answer);
        gateway.logs(said).await;
        asked += 1;
        assert_eq!(backend.count("POST"), asked, "{said}");
        // Whoever comes again is told the same, and nobody is asked again.
        let again = gateway.login_with(body).await;
        assert_failed(&again);
        assert_eq!(backend.count("POST"), asked, "{said}");
    }
    assert_eq!(gateway.counted(FAILED).await, asked as u64);
    assert_eq!(gateway.wechat.platform.calls(API), asked as u64);
    gateway.assert_logged("<!DOCTYPE html><title>Down</title>");
}

#[tokio::test]
async fn the_log_quotes_the_beginning_and_no_control_characters() {
    let body = format!("\u{1b}[31mA\r\nB{}", "虎".repeat(300));
    let backend = Upstream::start(typed("502 Bad Gateway", "text/html", &body));
    let gateway = Gateway::start(&asking(&backend.url, ""));
    assert_failed(&logged_in(&gateway, "alice").await);
    let quoted = format!("\\\\u{{1b}}[31mA\\\\r\\\\nB{}\\\"", "虎".repeat(191));
    gateway.logs(&quoted).await;
    gateway.assert_logged("login hook: the login is refused: hook answered 502: ");
    gateway.assert_logged("\"request_id\"");
}

#[tokio::test]
async fn a_refusal_reaches_the_client_with_its_text() {
    let backend = Upstream::start(no_content());
    let gateway = Gateway::start(&asking(&backend.url, "login.hook.on_failure = \"allow\"\n"));
    let long = format!(r#"{{"detail":"{}","more":1}}"#, "虎".repeat(500));
    for (body, detail) in [
        (
            r#"{"detail":"Your account\r\n is closed."}"#,
            "Your account is closed.".to_owned(),
        ),
        (&long, "虎".repeat(200)),
        (r#"{"detail":""}"#, "This user may not log in.".to_owned()),
        (
            r#"{"detail":"</script>\"{code}"}"#,
            "</script>\"{code}".to_owned(),
        ),
    ] {
        backend.set(typed("403 Forbidden", "application/problem+json", body));
        let login = json!({ "code": gateway.code("alice") });
        let asked = backend.count("POST");
        for _ in 0..2 {
            let answer = gateway.login_with(login.clone()).await;
            assert_refused(&answer, 403, "login_refused");
            assert_eq!(answer.json()["detail"], detail);
            assert!(answer.get("retry-after").is_none());
        }
        assert_eq!(backend.count("POST"), asked + 1);
    }
    let refused = "hufu_login_hooks_total{app=\"shop\",outcome=\"refused\"}";
    assert_eq!(gateway.counted(refused).await, 4);
    let logins = "hufu_logins_total{app=\"shop\",outcome=\"login_refused\"}";
    assert_eq!(gateway.counted(logins).await, 8);
    // Text of others does not stand in the logs.
    gateway.assert_not_logged("account");
    assert!(!gateway.stdout().contains("account"));
}

#[tokio::test]
async fn a_failure_may_let_everybody_in() {
    let backend = Upstream::start(no_content());
    let gateway = Gateway::start(&asking(&backend.url, "login.hook.on_failure = \"allow\"\n"));
    for (script, _) in unusable() {
        backend.set(script);
        let answer = logged_in(&gateway, "alice").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    let asked = backend.count("POST") as u64;
    assert_eq!(gateway.counted(FAILED).await, asked);
    gateway.assert_logged("the login goes on without its claims");
}
