//! Redis failing under a running gateway: "down" is never "not logged in", answers are bounded,
//! recovery needs nobody.

use std::time::Duration;

use hufu::clock::monotonic_now;
use serde_json::{Value, json};

use crate::helpers::{Gateway, HASTY, RedisServer, echo_upstream, until};

/// Longest answer while the store does not answer, on a machine that stands still now and then.
const BOUND: Duration = Duration::from_secs(20);

async fn statuses(
    gateway: &Gateway,
    token: &str,
) -> Vec<(&'static str, u16, Option<String>, Duration)> {
    let mut all = Vec::new();
    let requests = [
        ("call", gateway.get("/api").bearer_auth(token)),
        ("optional", gateway.get("/maybe").bearer_auth(token)),
        ("session", gateway.get("/auth/session").bearer_auth(token)),
        ("logout", gateway.post("/auth/logout").bearer_auth(token)),
        (
            "login",
            gateway
                .post("/auth/login")
                .json(&json!({ "code": gateway.code("bob") })),
        ),
    ];
    for (what, request) in requests {
        let started = monotonic_now();
        let answer = request.await;
        let word = answer.code().map(str::to_owned);
        all.push((what, answer.status(), word, started.elapsed()));
    }
    all
}

async fn all_say_unavailable(gateway: &Gateway, token: &str, when: &str) {
    for (what, status, word, took) in statuses(gateway, token).await {
        assert_eq!(
            (status, word.as_deref()),
            (503, Some("store_unavailable")),
            "{what} while {when}"
        );
        assert!(took < BOUND, "{what} while {when} took {took:?}");
    }
}

async fn works_again(gateway: &Gateway, token: &str) {
    until("the session to work again", async || {
        let answer = gateway.get("/api").bearer_auth(token).await;
        assert_ne!(
            answer.status(),
            401,
            "a store that was down must not sign anybody out"
        );
        answer.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_frozen_and_a_killed_redis_give_503_and_recover_by_themselves() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let echo = echo_upstream();
    let routes = echo.route("/api", "required")
        + &echo.route("/maybe", "optional")
        + &echo.route("/public", "none");
    let gateway = Gateway::on(
        &redis.url(""),
        &format!("{HASTY}session.near_cache.push = \"off\"\n{routes}"),
    );
    // A living one may be missed too, when the machine stands still.
    let token = until("a login", async || {
        let login = json!({ "code": gateway.code("alice") });
        let login = gateway.login_with(login).await.json();
        login["token"].as_str().map(str::to_owned)
    })
    .await;
    works_again(&gateway, &token).await;

    redis.freeze();
    all_say_unavailable(&gateway, &token, "frozen").await;
    assert_eq!(
        gateway.get("/public").bearer_auth(&token).await.status(),
        200,
        "open routes need no store"
    );
    assert_eq!(
        gateway.get("/api").bearer_auth("hufu_x").await.status(),
        401,
        "a malformed token needs no store"
    );
    let ready: Value = gateway.admin_get("/readyz").await.json();
    assert_eq!(
        (
            &ready["status"],
            &ready["degraded"],
            &ready["parts"]["store"]["state"]
        ),
        (&json!("ready"), &json!(true), &json!("down"))
    );
    assert_eq!(gateway.admin_get("/readyz?strict=1").await.status(), 503);
    redis.thaw();
    works_again(&gateway, &token).await;

    redis.kill();
    all_say_unavailable(&gateway, &token, "dead").await;
    redis.start_again(&[]);
    works_again(&gateway, &token).await;
    until("readiness", async || {
        let ready: Value = gateway.admin_get("/readyz?strict=1").await.json();
        ready["degraded"] == json!(false)
    })
    .await;
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_and_finds_it_later() {
    let mut redis = RedisServer::start(&[]);
    redis.kill();
    let echo = echo_upstream();
    let gateway = Gateway::on(&redis.url(""), &echo.route("/api", "required"));
    let code = gateway.code("alice");
    let refused = gateway.login_with(json!({ "code": code })).await;
    assert_eq!(
        (refused.status(), refused.get("retry-after").is_some()),
        (503, true)
    );
    let text = refused.text();
    assert!(
        text.contains("Logging in is not possible right now. Try again in a moment.")
            && !text.contains("Keep the token"),
        "{text}"
    );
    redis.start_again(&[]);
    // The same code is still good: nothing was asked of the platform.
    until("a login", async || {
        gateway.login_with(json!({ "code": code })).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_full_redis_refuses_logins_and_keeps_sessions() {
    let redis = RedisServer::start(&["--maxmemory-policy", "noeviction"]);
    let echo = echo_upstream();
    let gateway = Gateway::on(&redis.url(""), &echo.route("/api", "required"));
    let token = gateway.token("alice").await;
    // As full as it can be: what clients' buffers take comes and goes.
    let most = |bytes: &str| {
        redis
            .ask::<()>(&["CONFIG", "SET", "maxmemory", bytes])
            .unwrap();
    };
    most("1");
    let refused = gateway
        .login_with(json!({ "code": gateway.code("bob") }))
        .await;
    assert_eq!(
        (refused.status(), refused.header("x-hufu-error")),
        (503, "store_unavailable")
    );
    assert_eq!(gateway.get("/api").bearer_auth(&token).await.status(), 200);
    most("0");
    until("a login", async || {
        gateway
            .login_with(json!({ "code": gateway.code("bob") }))
            .await
            .status()
            == 200
    })
    .await;
}
