//! Those who wait with a phone code: for a token, or for somebody else who has the code.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;

use super::open_data::fault;
use super::phone::{API, calls, code, phone};
use super::single_flight::looks;
use crate::helpers::{APPID, Fault, Gateway, Link, Probe, RedisServer, until};

/// The names of the codes that the store knows.
fn codes(redis: &RedisServer) -> Vec<String> {
    redis.ask(&["KEYS", "hufu:c:*"]).unwrap()
}

/// A client that has sent a code, and can leave.
async fn sent(gateway: &Gateway, token: &str, code: &str) -> Probe {
    let body = json!({ "code": code }).to_string();
    let mut client = gateway.probe().await;
    let head = format!(
        "POST /auth/phone HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head).await;
    client
}

/// Another gateway fetches a token, or has died while it did.
#[tokio::test]
async fn a_token_that_does_not_come_in_time_costs_no_code() {
    let redis = RedisServer::start(&[]);
    let gateway = Gateway::on(&redis.url(""), "apps.shop.timeout = \"3s\"\n");
    let (token, code) = (gateway.token("alice").await, code(&gateway));
    let lease = format!("hufu:t:{{{APPID}}}:access:lease");
    let held = ["SET", &lease, "Pticket-of-another", "PX", "600000"];
    redis.ask::<()>(&held).unwrap();
    let request = gateway.post("/auth/phone").bearer_auth(&token);
    let answer = request.json(&json!({ "code": code })).await;
    assert_eq!(answer.status(), 503, "{}", answer.text());
    // The app's timeout: the broker itself waits longer, and says so.
    assert_eq!(answer.header("retry-after"), "3");
    assert_eq!(answer.json()["code"], "platform_unavailable");
    redis.ask::<()>(&["DEL", &lease]).unwrap();
    until("the token", async || {
        phone(&gateway, &token, &code).await.0 == 200
    })
    .await;
    assert_eq!(calls(&gateway), 1);
}

#[tokio::test]
async fn however_many_wait_for_a_token_none_of_them_loses_the_code() {
    let redis = RedisServer::start(&[]);
    let one = Gateway::on(&redis.url(""), "apps.shop.timeout = \"3s\"\n");
    let other = one.sibling();
    let (token, code) = (one.token("alice").await, code(&one));
    let lease = format!("hufu:t:{{{APPID}}}:access:lease");
    let held = ["SET", &lease, "Pticket-of-another", "PX", "600000"];
    redis.ask::<()>(&held).unwrap();
    let asked = (0..12).map(|n| {
        let gateway = if n % 2 == 0 { &one } else { &other };
        let request = gateway.post("/auth/phone").bearer_auth(&token);
        request.json(&json!({ "code": code })).into_future()
    });
    for answer in join_all(asked).await {
        assert_eq!(answer.status(), 503, "{}", answer.text());
        assert!(answer.headers().contains_key("retry-after"));
    }
    redis.ask::<()>(&["DEL", &lease]).unwrap();
    until("the token", async || {
        phone(&other, &token, &code).await.0 == 200
    })
    .await;
    assert_eq!(calls(&one), 1);
}

#[tokio::test]
async fn a_gateway_that_dies_while_it_waits_for_a_token_leaves_the_code() {
    let redis = RedisServer::start(&[]);
    let first = Gateway::on(&redis.url(""), "apps.shop.timeout = \"3s\"\n");
    let second = first.sibling();
    let (token, code) = (first.token("alice").await, code(&first));
    fault(
        &first,
        "stable_token",
        &json!({ "times": 1, "delay_ms": 10_000 }),
    )
    .await;
    let client = sent(&first, &token, &code).await;
    until("the fetch", async || {
        first.wechat.platform.calls("stable_token") == 1
    })
    .await;
    first.signal(Signal::SIGKILL);
    drop(client);
    until("the number", async || {
        let request = second.post("/auth/phone").bearer_auth(&token);
        let answer = request.json(&json!({ "code": code })).await;
        let is_lost = answer.status() == 503 && !answer.headers().contains_key("retry-after");
        assert!(!is_lost, "{}", answer.text());
        answer.status() == 200
    })
    .await;
    assert_eq!(calls(&second), 1);
}

#[tokio::test]
async fn a_session_that_ends_elsewhere_while_a_token_is_waited_for_asks_no_platform() {
    let redis = RedisServer::start(&[]);
    // Every look at the session asks Redis.
    let options = "session.near_cache.push = \"off\"\napps.shop.timeout = \"20s\"\n";
    let one = Gateway::on(&redis.url(""), options);
    let other = one.sibling();
    let (token, code) = (one.token("alice").await, code(&one));
    let lease = format!("hufu:t:{{{APPID}}}:access:lease");
    let held = ["SET", &lease, "Pticket-of-another", "PX", "600000"];
    redis.ask::<()>(&held).unwrap();
    let before = looks(&redis);
    let request = one.post("/auth/phone").bearer_auth(&token);
    let asked = request.json(&json!({ "code": code })).into_future();
    let ended = async {
        until("two looks", async || looks(&redis) > before + 1).await;
        let logout = other.post("/auth/logout").bearer_auth(&token).await;
        assert_eq!(logout.status(), 204);
        redis.ask::<()>(&["DEL", &lease]).unwrap();
    };
    let (answer, ()) = tokio::join!(asked, ended);
    assert_eq!(answer.status(), 401, "{}", answer.text());
    assert_eq!(answer.json()["code"], "session_expired");
    assert_eq!(calls(&one), 0);
    // The code is as good as before.
    let again = one.token("alice").await;
    let (status, answer) = phone(&one, &again, &code).await;
    assert_eq!(status, 200, "{answer}");
    let labels = "app=\"shop\",operation=\"phone\",outcome=\"session_expired\"";
    one.counts(&format!("hufu_open_data_total{{{labels}}}"), 1)
        .await;
}

#[tokio::test]
async fn an_answer_that_is_there_needs_no_token() {
    let redis = RedisServer::start(&[]);
    let one = Gateway::on(&redis.url(""), "");
    let (token, code) = (one.token("alice").await, code(&one));
    let first = phone(&one, &token, &code).await;
    assert_eq!(first.0, 200, "{}", first.1);
    // A gateway that has just started, and gets no token.
    let other = one.sibling();
    redis
        .ask::<()>(&["DEL", &format!("hufu:t:{{{APPID}}}:access")])
        .unwrap();
    let body = json!({ "times": 100, "status": 502 });
    fault(&one, "stable_token", &body).await;
    assert_eq!(phone(&other, &token, &code).await, first);
    assert_eq!(calls(&one), 1);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_code_is_reserved_gets_its_number_later() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let gateway = Gateway::on(&link.url(), "store.timeout = \"5s\"\n");
    let (token, code) = (gateway.token("alice").await, code(&gateway));
    let before = codes(&redis).len();
    link.set(Fault::Delay(Duration::from_millis(50)));
    let client = sent(&gateway, &token, &code).await;
    until("the reservation", async || codes(&redis).len() > before).await;
    drop(client);
    link.set(Fault::None);
    let (status, answer) = phone(&gateway, &token, &code).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(calls(&gateway), 1);
    let labels = "app=\"shop\",operation=\"phone\",outcome=\"ok\"";
    gateway
        .counts(&format!("hufu_open_data_total{{{labels}}}"), 1)
        .await;
}

/// Has a gateway send a code and die before the answer. Returns the name of its reservation.
async fn left_by(dying: &Gateway, redis: &RedisServer, token: &str, code: &str) -> String {
    let before = codes(redis);
    let busy = json!({ "errcode": -1, "errmsg": "system error" });
    let slow = json!({ "times": 1, "delay_ms": 5000, "body": busy });
    fault(dying, API, &slow).await;
    let lost = sent(dying, token, code).await;
    until("the call", async || calls(dying) == 1).await;
    dying.signal(Signal::SIGKILL);
    drop(lost);
    let mut reserved = codes(redis);
    reserved.retain(|name| !before.contains(name));
    reserved.remove(0)
}

#[tokio::test]
async fn a_session_that_ends_elsewhere_while_its_turn_comes_asks_no_platform() {
    let redis = RedisServer::start(&[]);
    // Every look at the session asks Redis.
    let options = "session.near_cache.push = \"off\"\napps.shop.timeout = \"20s\"\n";
    let dying = Gateway::on(&redis.url(""), options);
    let (gateway, other) = (dying.sibling(), dying.sibling());
    let (token, code) = (dying.token("alice").await, code(&dying));
    let reserved = left_by(&dying, &redis, &token, &code).await;
    let before = looks(&redis);
    let request = gateway.post("/auth/phone").bearer_auth(&token);
    let asked = request.json(&json!({ "code": code })).into_future();
    let ended = async {
        // Once it waits, the next look makes it the one that asks.
        until("three looks", async || looks(&redis) > before + 2).await;
        let logout = other.post("/auth/logout").bearer_auth(&token).await;
        assert_eq!(logout.status(), 204);
        redis.ask::<()>(&["DEL", &reserved]).unwrap();
    };
    let (answer, ()) = tokio::join!(asked, ended);
    assert_eq!(answer.status(), 401, "{}", answer.text());
    assert_eq!(answer.json()["code"], "session_expired");
    assert_eq!(calls(&gateway), 1, "that of the dead");
    let again = gateway.token("alice").await;
    let (status, answer) = phone(&gateway, &again, &code).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_while_its_turn_comes_gets_its_number_later() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let options = "store.timeout = \"5s\"\napps.shop.timeout = \"10s\"\n";
    let dying = Gateway::on(&link.url(), options);
    let gateway = dying.sibling();
    let (token, code) = (dying.token("alice").await, code(&dying));
    let reserved = left_by(&dying, &redis, &token, &code).await;
    let client = sent(&gateway, &token, &code).await;
    // Once it waits, the next look makes it the one that asks.
    let before = looks(&redis);
    until("three looks", async || looks(&redis) > before + 2).await;
    link.set(Fault::Delay(Duration::from_millis(50)));
    redis.ask::<()>(&["DEL", &reserved]).unwrap();
    until("its turn", async || codes(&redis).contains(&reserved)).await;
    drop(client);
    link.set(Fault::None);
    let (status, answer) = phone(&gateway, &token, &code).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(calls(&gateway), 2, "that of the dead, and one more");
}

#[tokio::test]
async fn a_client_that_leaves_while_another_has_its_code_asks_no_more() {
    let redis = RedisServer::start(&[]);
    let options = "apps.shop.timeout = \"20s\"\n";
    let dying = Gateway::on(&redis.url(""), options);
    let gateway = dying.sibling();
    let (token, code) = (dying.token("alice").await, code(&dying));
    let reserved = left_by(&dying, &redis, &token, &code).await;
    let before = looks(&redis);
    let client = sent(&gateway, &token, &code).await;
    until("three looks", async || looks(&redis) > before + 2).await;
    drop(client);
    // Whoever waits looks five times a second.
    until("the last look", async || {
        let before = looks(&redis);
        tokio::time::sleep(Duration::from_secs(1)).await;
        looks(&redis) == before
    })
    .await;
    redis.ask::<()>(&["DEL", &reserved]).unwrap();
    let (status, answer) = phone(&gateway, &token, &code).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(calls(&gateway), 2, "that of the dead, and one more");
    let labels = "app=\"shop\",operation=\"phone\",outcome=\"ok\"";
    gateway
        .counts(&format!("hufu_open_data_total{{{labels}}}"), 1)
        .await;
}
