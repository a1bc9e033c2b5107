//! One code at two gateways on one Redis, while the backend is asked about it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{API, asking, assert_refused, json_script, no_content};
use crate::helpers::{Gateway, HttpAnswer, RedisServer, Script, Upstream, until};
use crate::login::single_flight::{lapse, looks};

/// What the platform may take.
const PLATFORM: Duration = Duration::from_secs(3);
/// What a lease has for the store.
const STORE: Duration = Duration::from_secs(2);

/// Two processes on one Redis that ask one backend.
fn pair(redis: &RedisServer, backend: &Upstream, timeout: &str) -> [Gateway; 2] {
    let times = format!("apps.shop.timeout = \"3s\"\nlogin.hook.timeout = \"{timeout}\"\n");
    let one = Gateway::on(&redis.url(""), &asking(&backend.url, &times));
    let other = one.sibling();
    [one, other]
}

/// Twelve requests with one code, over both.
async fn together(gateways: &[Gateway; 2], login: &Value) -> Vec<HttpAnswer> {
    join_all((0..12).map(|n| gateways[n % 2].login_with(login.clone()))).await
}

/// The lease is what the platform and the hook may take and two seconds more: the answer comes when
/// it would be over without the hook's share.
#[tokio::test]
async fn followers_on_another_gateway_wait_for_a_slow_answer() {
    let redis = RedisServer::start(&[]);
    let answer = json_script("200 OK", r#"{"claims":{"user_id":"42"}}"#);
    let late = PLATFORM + STORE + Duration::from_millis(500);
    let backend = Upstream::start(answer.slowly(late));
    let gateways = pair(&redis, &backend, "20s");
    let login = json!({ "code": gateways[0].code("alice") });
    let mut tokens = BTreeSet::new();
    for answer in together(&gateways, &login).await {
        assert_eq!(answer.status(), 200, "{}", answer.text());
        tokens.insert(answer.json()["token"].as_str().unwrap().to_owned());
    }
    assert_eq!(tokens.len(), 1);
    assert_eq!(backend.count("POST"), 1);
    assert_eq!(gateways[0].wechat.platform.calls(API), 1);
}

#[tokio::test]
async fn followers_hear_of_a_failure_and_of_a_refusal() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::hang());
    let gateways = pair(&redis, &backend, "4s");
    let refusal = json_script("403 Forbidden", r#"{"detail":"Closed."}"#);
    let refusal = refusal.slowly(Duration::from_millis(200));
    for (n, (script, status, code)) in [
        (Script::hang(), 503, "login_hook_failed"),
        (refusal, 403, "login_refused"),
    ]
    .into_iter()
    .enumerate()
    {
        backend.set(script);
        let login = json!({ "code": gateways[0].code("alice") });
        for answer in together(&gateways, &login).await {
            assert_refused(&answer, status, code);
        }
        // And a moment later.
        for gateway in &gateways {
            assert_refused(&gateway.login_with(login.clone()).await, status, code);
        }
        assert_eq!(backend.count("POST"), n + 1);
        assert_eq!(gateways[0].wechat.platform.calls(API), n as u64 + 1);
    }
    // A fresh code is as good as ever.
    backend.set(no_content());
    gateways[1].login("alice").await;
}

/// Whoever waits takes the code over when the reservation of the dead has lapsed, and learns that
/// it is used up. Nobody is asked a second time.
#[tokio::test]
async fn a_leader_that_dies_while_it_waits_leaves_a_used_code() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::hang());
    let [leader, follower] = pair(&redis, &backend, "20s");
    let login = json!({ "code": leader.code("alice") });
    let first = tokio::spawn(leader.post("/auth/login").json(&login).try_send());
    until("the question", async || backend.count("POST") == 1).await;
    leader.signal(Signal::SIGKILL);
    let lapsed = async {
        let before = looks(&redis);
        until("all to wait", async || looks(&redis) > before + 8).await;
        let longest = PLATFORM + Duration::from_secs(20) + STORE;
        lapse(&redis, longest);
    };
    let followers = join_all((0..4).map(|_| follower.login_with(login.clone())));
    let (followers, ()) = tokio::join!(followers, lapsed);
    for answer in followers {
        assert_refused(&answer, 400, "code_used");
    }
    assert!(first.await.unwrap().is_err());
    assert_eq!(backend.count("POST"), 1);
    backend.set(no_content());
    follower.login("alice").await;
}

/// A stop lets the question come to its end.
#[tokio::test]
async fn a_stop_waits_for_the_answer() {
    let backend = Upstream::start(no_content().slowly(Duration::from_millis(700)));
    let mut gateway = Gateway::start(&format!(
        "server.drain_grace = \"0s\"\n{}",
        asking(&backend.url, "")
    ));
    let login = json!({ "code": gateway.code("alice") });
    let first = tokio::spawn(gateway.post("/auth/login").json(&login).send());
    until("the question", async || backend.count("POST") == 1).await;
    gateway.signal(Signal::SIGTERM);
    assert_eq!(first.await.unwrap().status(), 200);
    assert!(gateway.ended().success());
}
