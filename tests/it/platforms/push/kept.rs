//! What was acknowledged is kept until the backend has it.

use std::time::Duration;

use super::{
    AES_KEY, SEALED, TOKEN, assert_acknowledged, enveloped, key, opened, pushed_to, sealed,
};
use crate::helpers::{APPID, Gateway, GatewayBuilder, RedisServer, Script, Upstream, until};
use crate::platforms::PATIENT;

const MESSAGE: &str = "<xml><MsgId>7</MsgId><Content>the-content-of-a-message</Content></xml>";

fn started(redis: &RedisServer, backend: &Upstream, more: &str) -> Gateway {
    let config = pushed_to(&backend.url, &format!("{SEALED}{more}"));
    GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start()
}

fn counted(outcome: &str) -> String {
    format!(r#"hufu_push_redeliveries_total{{app="shop",outcome="{outcome}"}}"#)
}

#[tokio::test]
async fn a_message_that_the_backend_refuses_is_kept_and_delivered_later() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::answers("500 Internal Server Error", "secret"));
    let gateway = started(&redis, &backend, "");
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    // The platform has lost the answer: what is kept is not delivered for it once more.
    let posts = backend.count("POST");
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    gateway.logs("was not delivered, and is kept").await;
    until("another try", async || backend.count("POST") > posts).await;
    gateway.counts(r#"hufu_pushes_kept{app="shop"}"#, 1).await;
    until("the try to be counted", async || {
        gateway.counted(&counted("failed")).await > 0
    })
    .await;

    backend.set(Script::named("at last"));
    gateway.counts(&counted("delivered"), 1).await;
    let (head, body) = backend.requests().pop().unwrap();
    assert!(
        head.to_lowercase().contains("x-wx-source: wechat-push"),
        "{head}"
    );
    assert_eq!(body, MESSAGE.as_bytes());
    gateway.counts(r#"hufu_pushes_kept{app="shop"}"#, 0).await;
    let before = backend.count("POST");
    assert_eq!(opened(&sealed(&gateway, MESSAGE).await), "at last");
    assert_eq!(backend.count("POST"), before);
    let pushed = r#"hufu_pushes_total{app="shop",outcome="kept"}"#;
    assert_eq!(gateway.counted(pushed).await, 1);
}

#[tokio::test]
async fn a_memory_store_keeps_messages_too() {
    let backend = Upstream::start(Script::cut());
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    backend.set(Script::named("ok"));
    gateway.counts(&counted("delivered"), 1).await;
    gateway.logs("store.url is \\\"memory:\\\"").await;
}

/// The platform gets its answer while the backend is still at it, and the message is not delivered
/// twice for that.
#[tokio::test]
async fn a_slow_backend_gets_the_message_once() {
    let redis = RedisServer::start(&[]);
    let slow = Script::answers("200 OK", "done").slowly(Duration::from_secs(8));
    let backend = Upstream::start(slow);
    let gateway = started(&redis, &backend, "");
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    until("the backend's answer to be noted", async || {
        sealed(&gateway, MESSAGE).await.text() != "success"
    })
    .await;
    assert_eq!(opened(&sealed(&gateway, MESSAGE).await), "done");
    assert_eq!(backend.count("POST"), 1);
    assert_eq!(gateway.counted(&counted("delivered")).await, 0);
}

/// The backend answers while the message is on its way into the store: it is not delivered again.
#[tokio::test]
async fn an_answer_that_comes_while_the_message_is_being_kept_counts() {
    let redis = RedisServer::start(&[]);
    // So long that the message is being kept by then, also where the machine stalls.
    let slow = Script::answers("200 OK", "done").slowly(Duration::from_secs(8));
    let backend = Upstream::start(slow.then_close());
    let gateway = started(&redis, &backend, "");
    let pushed = async {
        assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    };
    let frozen = async {
        until("the delivery", async || backend.count("POST") == 1).await;
        redis.freeze();
        gateway.logs("does not wait as long as the backend").await;
        until("the backend's answer", async || {
            backend.connections().iter().any(|one| one.ended)
        })
        .await;
        redis.thaw();
    };
    tokio::join!(pushed, frozen);
    until("the backend's answer to be noted", async || {
        sealed(&gateway, MESSAGE).await.text() != "success"
    })
    .await;
    assert_eq!(opened(&sealed(&gateway, MESSAGE).await), "done");
    assert_eq!(backend.count("POST"), 1);
}

/// A reload takes another upstream, also for what was kept before.
#[tokio::test]
async fn a_reload_sends_kept_messages_to_the_new_upstream() {
    let gone = Upstream::start(Script::cut());
    let new = Upstream::named("ok");
    let gateway = Gateway::start(&pushed_to(&gone.url, SEALED));
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    gateway
        .reload(&pushed_to(&new.url, SEALED), "applied")
        .await;
    until("the message to arrive", async || new.count("POST") == 1).await;
    // And an app that takes none any more has no endpoint.
    gateway.reload("", "applied").await;
    assert_eq!(sealed(&gateway, MESSAGE).await.status(), 404);
}

/// Two names with one id have each their own backend: what came for one is never the other's.
#[tokio::test]
async fn a_kept_message_stays_with_the_name_that_it_came_for() {
    let redis = RedisServer::start(&[]);
    let down = Upstream::start(Script::cut());
    let other = Upstream::named("ok");
    let twin = format!(
        "apps.twin = {{ appid = \"{APPID}\", secret = \"any\", push = {{ token = \"{TOKEN}\", aes_key = \"{AES_KEY}\", upstream = \"other\", path = \"/\" }} }}\nupstreams.other.endpoints = [\"{}\"]\n",
        other.url
    );
    let gateway = started(&redis, &down, &twin);
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    until("tries of the name's own task", async || {
        gateway.counted(&counted("failed")).await > 2
    })
    .await;
    gateway.counts(r#"hufu_pushes_kept{app="shop"}"#, 1).await;
    gateway.counts(r#"hufu_pushes_kept{app="twin"}"#, 0).await;
    assert_eq!(other.count("POST"), 0);

    // The same message for the other name is a message of its own.
    let sealed_text = key().seal(MESSAGE.as_bytes(), APPID);
    let to_twin = gateway.at("/auth/push/twin");
    let answer = enveloped(to_twin, &sealed_text, "<xml><Encrypt>@</Encrypt></xml>").await;
    assert_eq!(opened(&answer), "ok");
    down.set(Script::named("at last"));
    gateway.counts(&counted("delivered"), 1).await;
    assert_eq!(other.count("POST"), 1);
    let (head, _) = down.requests().pop().unwrap();
    assert!(head.to_lowercase().contains("x-hufu-app: shop"), "{head}");
}

#[tokio::test]
async fn nothing_of_a_message_stands_in_redis_or_the_log_in_clear() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::cut());
    let gateway = started(&redis, &backend, "log.level = \"trace\"\n");
    assert_acknowledged(&sealed(&gateway, MESSAGE).await);
    let keys: Vec<String> = redis.ask(&["KEYS", "hufu:p:*"]).unwrap();
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in &keys {
        let lives: i64 = redis.ask(&["PTTL", key]).unwrap();
        assert!(lives > 23 * 3_600_000, "{key}: {lives}");
        let dump: Vec<u8> = redis.ask(&["DUMP", key]).unwrap();
        let shown = String::from_utf8_lossy(&dump).into_owned();
        assert!(
            !shown.contains("the-content") && !shown.contains("MsgId"),
            "{shown}"
        );
    }
    for text in ["the-content", TOKEN, AES_KEY] {
        gateway.assert_not_logged(text);
        assert!(!gateway.stdout().contains(text));
    }
}
