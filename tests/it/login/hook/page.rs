//! The examples of the page, as they stand there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{SECRET, asking, assert_refused, logged_in};
use crate::docs::page;
use crate::helpers::programs::program;
use crate::helpers::{Gateway, Server, http};

/// The example of a language.
fn example(language: &str) -> String {
    let text = page("docs/login-hook.md");
    let (_, example) = text.split_once(&format!("```{language}\n")).unwrap();
    example.split_once("```").unwrap().0.to_owned()
}

/// With an empty secret everybody could sign.
async fn refuses_to_start_without_a_secret(code: &str, file: &str, interpreter: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join(file);
    std::fs::write(&script, code).unwrap();
    for secret in [None, Some(""), Some("too-short-to-be-a-secret")] {
        let mut command = tokio::process::Command::new(interpreter);
        command.arg(&script).env("PORT", "0").kill_on_drop(true);
        command.env_remove("HUFU_HOOK_SECRET");
        command.envs(secret.map(|secret| ("HUFU_HOOK_SECRET", secret)));
        let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
        let output = ended.expect("it serves without a secret").unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{file}, {secret:?}");
        assert!(errors.contains("HUFU_HOOK_SECRET"), "{file}: {errors}");
    }
}

/// Runs the example behind a gateway, and asks it what a gateway does not ask.
async fn check(language: &'static str, file: &'static str, interpreter: &str) {
    let Some(interpreter) = program(interpreter) else {
        return;
    };
    let code = example(language);
    refuses_to_start_without_a_secret(&code, file, &interpreter).await;
    let server = Server::start(language, |port, folder| {
        std::fs::write(folder.join(file), &code).unwrap();
        let mut command = Command::new(&interpreter);
        command.arg(folder.join(file));
        command.env("PORT", port.to_string());
        command.env("HUFU_HOOK_SECRET", SECRET);
        command
    });
    let url = format!("http://{}", server.address());
    // Node closes connections that rest for five seconds: the gateway is to be the first by far.
    let config = asking(&url, "upstreams.hook.idle_timeout = \"1s\"\n");
    let gateway = Gateway::start(&config);
    for user in ["alice", "bob"] {
        let answer = logged_in(&gateway, user).await;
        assert_eq!(answer.status(), 200, "{language}: {}", server.output());
    }
    let closed = gateway.post("/auth/login").header("user-agent", "closed/1");
    let closed = closed.json(&json!({ "code": gateway.code("eve") })).await;
    assert_refused(&closed, 403, "login_refused");
    assert_eq!(closed.json()["detail"], "Your account is closed.");

    // A receiver that has one of the two secrets, and one that has neither.
    let other = "another-secret-of-a-test-that-is-long-enough";
    let both = config.replace(SECRET, &format!("{other}\", \"{SECRET}"));
    gateway.reload(&both, "applied").await;
    assert_eq!(logged_in(&gateway, "alice").await.status(), 200);
    let wrong = config.replace(SECRET, other);
    gateway.reload(&wrong, "applied").await;
    assert_refused(
        &logged_in(&gateway, "alice").await,
        503,
        "login_hook_failed",
    );
    gateway.assert_logged("answered 401");

    let body = r#"{"app":"shop","subject":"o1","device":"x"}"#;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let signed = |time: &str| {
        let hash =
            hufu::crypto::hash::hmac_sha256(SECRET.as_bytes(), format!("{time}.{body}").as_bytes());
        hufu::crypto::hash::to_hex(&hash)
    };
    let at = |time: u64| (time.to_string(), signed(&time.to_string()));
    let (time, hash) = at(now);
    let (old, old_hash) = at(now - 400);
    let (future, future_hash) = at(now + 400);
    let upper = hash.to_uppercase();
    for (signature, status) in [
        (format!("t={time},v1={hash}"), 200),
        (format!("t={time},v1=00,v1={hash}"), 200),
        (format!("t={time},v0=x, v1={hash}"), 200),
        (format!("t={old},v1={old_hash}"), 401),
        (format!("t={future},v1={future_hash}"), 401),
        (format!("t={time},v1={old_hash}"), 401),
        (format!("t={time},t={old},v1={hash}"), 401),
        (format!("t={old},t={time},v1={hash}"), 401),
        (format!("t=+{time},v1={}", signed(&format!("+{time}"))), 401),
        (format!("t=,v1={}", signed("")), 401),
        (
            format!("t={0},v1={1}", "9".repeat(5000), signed(&"9".repeat(5000))),
            401,
        ),
        (format!("t={time},v1={}", &hash[..63]), 401),
        (format!("t={time},v1={hash}0"), 401),
        (format!("t={time},v1="), 401),
        (format!("t={time},v1"), 401),
        (format!("v1={hash}"), 401),
        (format!("t={time},v0={hash}"), 401),
        (upper, 401),
        (String::new(), 401),
    ] {
        let request = http().post(&url).header("content-type", "application/json");
        let request = request.header("x-hufu-signature", &signature);
        let answer = request.body(body).await;
        assert_eq!(answer.status(), status, "{language}: {signature}");
    }
    let unsigned = http().post(&url).body(body).await;
    assert_eq!(unsigned.status(), 401, "{language}");
    let request = http()
        .post(&url)
        .header("x-hufu-signature", format!("t={time},v1={hash}"));
    let changed = request.body(body.replace("o1", "o2")).await;
    assert_eq!(changed.status(), 401, "{language}");
}

#[tokio::test]
async fn the_python_example_answers() {
    check("python", "hook.py", "python3").await;
}

#[tokio::test]
async fn the_node_example_answers() {
    check("js", "hook.js", "node").await;
}
