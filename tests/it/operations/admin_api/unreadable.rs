//! What is kept of a user and cannot be read: Redis is well, and an operator has to act.

use serde_json::{Value, json};

use super::command::Cli;
use super::{TOKEN, admin, ask_with, gateway, keys, openid, text};
use crate::helpers::{Gateway, RedisServer};

const HOOK: &str = "login.hook.upstream = \"api\"\nlogin.hook.path = \"/hook\"\n\
                    login.hook.secrets = [\"one-that-is-long-enough-for-anybody\"]\n\
                    upstreams.api.endpoints = [\"http://127.0.0.1:9\"]\n";

fn of(what: &str) -> String {
    format!("/users{what}?app=shop&user={}", openid("alice"))
}

async fn change(gateway: &Gateway, body: Value) -> (u16, Value) {
    ask_with(gateway, "PATCH", &of("/claims"), Some(TOKEN), Some(&body)).await
}

/// The same code twice: the outcome is settled, and no second login is tried.
async fn assert_login_is_refused(gateway: &Gateway) {
    let code = gateway.code("alice");
    for _ in 0..2 {
        let refused = gateway.login_with(json!({ "code": code })).await;
        assert_eq!(
            (refused.status(), refused.code(), refused.get("retry-after")),
            (500, Some("misconfigured"), None),
            "{}",
            refused.text()
        );
    }
    let logins = "hufu_logins_total{app=\"shop\",outcome=\"misconfigured\"}";
    gateway.counts(logins, 2).await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_no_fault_of_redis_and_operators_repair_it() {
    let redis = RedisServer::start(&[]);
    let keys = keys();
    let plain = gateway(&redis.url(""), &keys);
    let hooked = gateway(&redis.url(""), &(keys + HOOK));
    change(&plain, json!({"role": "staff"})).await;
    let key = redis
        .ask::<Vec<String>>(&["KEYS", "hufu:a:*"])
        .unwrap()
        .remove(0);
    redis
        .ask::<()>(&["SET", &key, "damaged", "KEEPTTL"])
        .unwrap();

    for gateway in [&plain, &hooked] {
        assert_login_is_refused(gateway).await;
    }
    let shown = admin(&plain, "GET", &of("")).await;
    let changed = change(&plain, json!({"vip": true})).await;
    for (status, answer) in [&shown, &changed] {
        assert_eq!(
            (*status, text(answer, "code"), &answer["retry_after"]),
            (500, "misconfigured", &Value::Null)
        );
        let detail = text(answer, "detail");
        assert!(
            detail.contains(&key) && detail.contains("block the user"),
            "{detail}"
        );
    }
    let changes =
        "hufu_user_changes_total{app=\"shop\",operation=\"claims\",outcome=\"unreadable\"}";
    plain.counts(changes, 1).await;
    let said = Cli::new(&plain, "users").said(&["show", "--user", &openid("alice")]);
    assert!(said.0 != 0 && said.2.contains("block the user"), "{said:?}");
    for gateway in [&plain, &hooked] {
        let log = gateway.stderr();
        assert!(
            log.contains(&key) && !log.contains("store unavailable"),
            "{log}"
        );
    }
    let log = plain.stderr();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let audited = |line: &Value| line["audit"] == "claims" && line["outcome"] == "failed";
    assert_eq!(lines.filter(audited).count(), 1, "{log}");

    let blocked = ask_with(&plain, "PUT", &of("/block"), Some(TOKEN), Some(&json!({}))).await;
    assert_eq!(blocked.0, 200, "{}", blocked.1);
    assert_eq!(admin(&plain, "DELETE", &of("/block")).await.0, 204);
    plain.login("alice").await;
}
