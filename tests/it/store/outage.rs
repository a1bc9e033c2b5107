//! Redis failing under a running gateway: "down" is never "not logged in", answers are bounded,
//! recovery needs nobody.

use std::time::Duration;

use hufu::clock::monotonic_now;
use serde_json::{Value, json};

use crate::helpers::gateway::{APPID, Gateway, Setup, route};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::servers::{echo_upstream, http};
use crate::helpers::wait::until;

/// Longest answer while the store does not answer.
const BOUND: Duration = Duration::from_secs(2);

async fn statuses(
    gateway: &Gateway,
    token: &str,
) -> Vec<(&'static str, u16, Option<String>, Duration)> {
    let mut all = Vec::new();
    let requests = [
        ("call", http().get(gateway.at("/api")).bearer_auth(token)),
        (
            "optional",
            http().get(gateway.at("/maybe")).bearer_auth(token),
        ),
        (
            "session",
            http().get(gateway.at("/auth/session")).bearer_auth(token),
        ),
        (
            "logout",
            http().post(gateway.at("/auth/logout")).bearer_auth(token),
        ),
        (
            "login",
            http()
                .post(gateway.at("/auth/login"))
                .json(&json!({ "code": gateway.wechat.platform.login_code(APPID, "bob") })),
        ),
    ];
    for (what, request) in requests {
        let started = monotonic_now();
        let answer = request.send().await.unwrap();
        let word = answer
            .headers()
            .get("x-hufu-error")
            .map(|v| v.to_str().unwrap().to_owned());
        all.push((what, answer.status().as_u16(), word, started.elapsed()));
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
        let answer = http()
            .get(gateway.at("/api"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_ne!(
            answer.status(),
            401,
            "a store that was down must not sign anybody out"
        );
        (answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_frozen_and_a_killed_redis_give_503_and_recover_by_themselves() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let echo = echo_upstream();
    let routes = route("/api", &echo.url, "required")
        + &route("/maybe", &echo.url, "optional")
        + &route("/public", &echo.url, "none");
    let gateway = Gateway::with(&Setup {
        store: redis.url(""),
        config: format!("session.near_cache.push = \"off\"\n{routes}"),
    });
    let token = gateway.token("alice").await;
    assert_eq!(
        http()
            .get(gateway.at("/api"))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );

    redis.freeze();
    all_say_unavailable(&gateway, &token, "frozen").await;
    assert_eq!(
        http()
            .get(gateway.at("/public"))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        200,
        "open routes need no store"
    );
    assert_eq!(
        http()
            .get(gateway.at("/api"))
            .bearer_auth("hufu_x")
            .send()
            .await
            .unwrap()
            .status(),
        401,
        "a malformed token needs no store"
    );
    let ready: Value = http()
        .get(gateway.admin_at("/readyz"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (
            &ready["status"],
            &ready["degraded"],
            &ready["parts"]["store"]["state"]
        ),
        (&json!("ready"), &json!(true), &json!("down"))
    );
    assert_eq!(
        http()
            .get(gateway.admin_at("/readyz?strict=1"))
            .send()
            .await
            .unwrap()
            .status(),
        503
    );
    redis.thaw();
    works_again(&gateway, &token).await;

    redis.kill();
    all_say_unavailable(&gateway, &token, "dead").await;
    redis.start_again(&[]);
    works_again(&gateway, &token).await;
    until("readiness", async || {
        let ready: Value = http()
            .get(gateway.admin_at("/readyz?strict=1"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        (ready["degraded"] == json!(false)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_and_finds_it_later() {
    let mut redis = RedisServer::start(&[]);
    redis.kill();
    let echo = echo_upstream();
    let gateway = Gateway::with(&Setup {
        store: redis.url(""),
        config: route("/api", &echo.url, "required"),
    });
    let code = gateway.wechat.platform.login_code(APPID, "alice");
    let refused = gateway.login_with(json!({ "code": code })).await;
    assert_eq!(
        (
            refused.status().as_u16(),
            refused.headers().contains_key("retry-after")
        ),
        (503, true)
    );
    let text = refused.text().await.unwrap();
    assert!(
        text.contains("Logging in is not possible right now. Try again in a moment.")
            && !text.contains("Keep the token"),
        "{text}"
    );
    redis.start_again(&[]);
    // The same code is still good: nothing was asked of the platform.
    until("a login", async || {
        (gateway.login_with(json!({ "code": code })).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_redis_refuses_logins_and_keeps_sessions() {
    let redis = RedisServer::start(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
    let echo = echo_upstream();
    let gateway = Gateway::with(&Setup {
        store: redis.url(""),
        config: route("/api", &echo.url, "required"),
    });
    let token = gateway.token("alice").await;
    let mut connection = redis::Client::open(redis.url(""))
        .unwrap()
        .get_connection()
        .unwrap();
    while redis::cmd("APPEND")
        .arg("ballast")
        .arg(vec![b'x'; 64 * 1024])
        .exec(&mut connection)
        .is_ok()
    {}
    let refused = gateway
        .login_with(json!({ "code": gateway.wechat.platform.login_code(APPID, "bob") }))
        .await;
    assert_eq!(
        (
            refused.status().as_u16(),
            refused.headers()["x-hufu-error"].to_str().unwrap()
        ),
        (503, "store_unavailable")
    );
    assert_eq!(
        http()
            .get(gateway.at("/api"))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    redis::cmd("DEL")
        .arg("ballast")
        .exec(&mut connection)
        .unwrap();
    until("a login", async || {
        (gateway
            .login_with(json!({ "code": gateway.wechat.platform.login_code(APPID, "bob") }))
            .await
            .status()
            == 200)
            .then_some(())
    })
    .await;
}
