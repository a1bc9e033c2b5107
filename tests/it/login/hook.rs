//! The login hook: what the team's backend is asked, and what its answer leads to.

use hufu::crypto::hash::{hmac_sha256, to_hex};
use serde_json::{Value, json};

use crate::helpers::{APPID, Gateway, HttpAnswer, Script, Upstream};

mod answers;
mod isolation;
mod operators;
mod page;
mod processes;

/// What signs the questions.
pub(crate) const SECRET: &str = "hook-secret-that-nobody-may-see-1";
const OTHER_SECRET: &str = "hook-secret-that-nobody-may-see-2";
const API: &str = "jscode2session";

/// The lines of a gateway that asks this backend.
pub(crate) fn asking(backend: &str, more: &str) -> String {
    // A busy machine stalls a backend for a second or two.
    let patience = if more.contains("login.hook.timeout") {
        ""
    } else {
        "login.hook.timeout = \"30s\"\n"
    };
    format!(
        "{patience}login.hook.upstream = \"hook\"\nlogin.hook.path = \"/decide?v=1\"\nlogin.hook.secrets = [\"{SECRET}\"]\nupstreams.hook.endpoints = [\"{backend}\"]\n{more}"
    )
}

/// A backend that answers each question so, with JSON.
fn json_script(status: &str, body: &str) -> Script {
    typed(status, "application/json; charset=utf-8", body)
}

fn typed(status: &str, media_type: &str, body: &str) -> Script {
    let length = body.len();
    Script::at_end(format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

fn no_content() -> Script {
    Script::at_end("HTTP/1.1 204 No Content\r\n\r\n")
}

async fn logged_in(gateway: &Gateway, user: &str) -> HttpAnswer {
    let code = gateway.code(user);
    gateway.login_with(json!({ "code": code })).await
}

#[track_caller]
fn assert_refused(answer: &HttpAnswer, status: u16, code: &str) {
    let found = (answer.status(), answer.code());
    assert_eq!(found, (status, Some(code)), "{}", answer.text());
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.unwrap_or_else(|| panic!("no {name}: {head}")).1
}

#[tokio::test]
async fn the_question_is_signed_and_says_who_logs_in() {
    let backend = Upstream::start(json_script("200 OK", r#"{"claims":{"user_id":"42"}}"#));
    let both = format!("login.hook.secrets = [\"{SECRET}\", \"{OTHER_SECRET}\"]\n");
    let config = asking(&backend.url, "");
    let one = format!("login.hook.secrets = [\"{SECRET}\"]\n");
    let gateway = Gateway::start(&config.replace(&one, &both));
    let login = gateway
        .post("/auth/login")
        .header("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0)")
        .header("x-request-id", "request-id-of-the-login")
        .json(&json!({ "code": gateway.code("alice") }))
        .await;
    assert_eq!(login.status(), 200, "{}", login.text());
    let asked = backend.requests();
    let [(head, body)] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert!(head.starts_with("POST /decide?v=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(head, "content-type"), "application/json");
    assert_eq!(header(head, "user-agent"), "hufu-login-hook");
    assert_eq!(
        header(head, "x-request-id"),
        login.header("x-request-id"),
        "{head}"
    );
    let question: Value = serde_json::from_slice(body).unwrap();
    let expected = json!({
        "app": "shop",
        "provider": "wechat-mini-program",
        "subject": hufu::sandbox::openid(APPID, "alice"),
        "unionid": hufu::sandbox::unionid("alice"),
        "session_id": login.json()["session_id"],
        "client_address": "127.0.0.1",
        "device": "iPhone",
    });
    assert_eq!(question, expected);

    let signature = header(head, "x-hufu-signature");
    let (time, _) = signature[2..].split_once(',').unwrap();
    let mut message = format!("{time}.").into_bytes();
    message.extend_from_slice(body);
    let [one, other] =
        [SECRET, OTHER_SECRET].map(|secret| to_hex(&hmac_sha256(secret.as_bytes(), &message)));
    assert_eq!(signature, format!("t={time},v1={one},v1={other}"));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let time: u64 = time.parse().unwrap();
    assert!(time <= now && now - time < 60, "{time}, {now}");
}

#[tokio::test]
async fn a_code_that_comes_again_asks_nobody() {
    let backend = Upstream::start(json_script("200 OK", r#"{"claims":{"user_id":"42"}}"#));
    let gateway = Gateway::start(&asking(&backend.url, ""));
    let body = json!({ "code": gateway.code("alice") });
    let login = gateway.login_with(body.clone()).await.json();
    for _ in 0..5 {
        let again = gateway.login_with(body.clone()).await.json();
        assert_eq!(again["token"], login["token"]);
    }
    assert_eq!(backend.count("POST"), 1);
    let claims = "hufu_login_hooks_total{app=\"shop\",outcome=\"claims\"}";
    assert_eq!(gateway.counted(claims).await, 1);
    let times = "hufu_login_hook_duration_seconds_count{app=\"shop\"}";
    assert_eq!(gateway.counted(times).await, 1);
}

/// The user's quota is taken before the question, and once for each login.
#[tokio::test]
async fn a_limit_refuses_before_anybody_is_asked() {
    let backend = Upstream::start(no_content());
    let limits = "login.rate_limit = { per_ip = \"off\", per_user = \"2/1h\" }\n";
    let gateway = Gateway::start(&format!("{limits}{}", asking(&backend.url, "")));
    for _ in 0..2 {
        assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
    }
    let answer = logged_in(&gateway, "alice").await;
    assert_refused(&answer, 429, "rate_limited");
    assert!(
        answer
            .header("ratelimit-policy")
            .starts_with("\"per_user\"")
    );
    assert_eq!(backend.count("POST"), 2);
    assert_eq!(logged_in(&gateway, "bob").await.status(), 200);
    let outcome =
        |word: &str| format!("hufu_limits_total{{policy=\"per_user\",outcome=\"{word}\"}}");
    assert_eq!(gateway.counted(&outcome("admitted")).await, 3);
    // Refused with what this process remembers of the cell.
    assert_eq!(gateway.counted(&outcome("refused_early")).await, 1);
}

#[tokio::test]
async fn a_reload_takes_another_hook_and_none() {
    let [first, second] = [(); 2].map(|()| Upstream::start(no_content()));
    let gateway = Gateway::start(&asking(&first.url, ""));
    assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
    assert_eq!((first.count("POST"), second.count("POST")), (1, 0));
    gateway.reload(&asking(&second.url, ""), "applied").await;
    assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
    assert_eq!((first.count("POST"), second.count("POST")), (1, 1));
    gateway.reload("", "applied").await;
    assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
    assert_eq!((first.count("POST"), second.count("POST")), (1, 1));
}
