//! A message reaches the backend once, however often the platform sends it.

use std::time::Duration;

use futures_util::future::join_all;

use super::{PATH, SEALED, assert_acknowledged, assert_refused, opened, plain, pushed_to, sealed};
use crate::helpers::{Gateway, GatewayBuilder, RedisServer, Script, Upstream, until};
use crate::platforms::PATIENT;

/// Two gateways on one store.
fn two(redis: &RedisServer, config: &str) -> [Gateway; 2] {
    let one = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start();
    [one.sibling(), one]
}

#[tokio::test]
async fn the_same_message_at_two_gateways_at_once_is_delivered_once() {
    let redis = RedisServer::start(&[]);
    let slow = Script::answers("200 OK", "seen").slowly(Duration::from_millis(500));
    let backend = Upstream::start(slow);
    let gateways = two(&redis, &pushed_to(&backend.url, SEALED));
    let message = "<xml><MsgId>6054768590064713728</MsgId></xml>";
    let all = (0..6).map(|n| sealed(&gateways[n % 2], message).send());
    for answer in join_all(all).await {
        assert_eq!(opened(&answer), "seen");
    }
    let late = sealed(&gateways[1], message).await;
    assert_eq!(opened(&late), "seen");
    assert_eq!(backend.count("POST"), 1);
    let repeated = r#"hufu_pushes_total{app="shop",outcome="repeated"}"#;
    let counted = gateways[0].counted(repeated).await + gateways[1].counted(repeated).await;
    assert_eq!(counted, 6);
    // Another number is another message, with the same content as well.
    for id in ["1", "2"] {
        let message = format!("<xml><MsgId>{id}</MsgId></xml>");
        assert_eq!(opened(&sealed(&gateways[0], &message).await), "seen");
    }
    assert_eq!(backend.count("POST"), 3);
}

#[tokio::test]
async fn an_event_without_a_number_is_known_by_its_content() {
    let backend = Upstream::named("ok");
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    let event = |order: u32| format!(r#"{{"Event":"trade_manage_order","order_id":{order}}}"#);
    for order in [1, 1, 2, 1, 2] {
        // Each time it is sealed anew.
        assert_eq!(sealed(&gateway, &event(order)).await.status(), 200);
    }
    assert_eq!(backend.count("POST"), 2);
}

#[tokio::test]
async fn a_number_of_zero_is_none() {
    let backend = Upstream::named("ok");
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    for message in [
        r#"{"MsgId":0,"n":1}"#,
        r#"{"MsgId":0,"n":2}"#,
        "<xml><MsgId>0</MsgId><N>1</N></xml>",
        "<xml><MsgId>00</MsgId><N>2</N></xml>",
        "<xml><MsgId>0</MsgId><N>3</N></xml>",
    ] {
        for _ in 0..2 {
            assert_eq!(sealed(&gateway, message).await.status(), 200);
        }
    }
    assert_eq!(backend.count("POST"), 5);
}

/// The backend asks what became of an id that it has seen.
#[tokio::test]
async fn a_delivery_that_the_backend_refuses_is_in_the_log_by_its_id() {
    let backend = Upstream::start(Script::answers("500 Internal Server Error", ""));
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    assert_acknowledged(&sealed(&gateway, "<xml><MsgId>1</MsgId></xml>").await);
    let (head, _) = backend.requests().swap_remove(0);
    let head = head.to_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "));
    gateway.logs(line.unwrap()).await;
}

/// A delivery goes on when the platform does not wait for it.
#[tokio::test]
async fn a_platform_that_leaves_does_not_cut_the_delivery_off() {
    let slow = Script::answers("200 OK", "seen").slowly(Duration::from_secs(1));
    let backend = Upstream::start(slow);
    let gateway = Gateway::start(&pushed_to(&backend.url, SEALED));
    let message = "<xml><MsgId>1</MsgId></xml>";
    let left = tokio::spawn(sealed(&gateway, message).try_send());
    until("the backend to have it", async || {
        backend.count("POST") == 1
    })
    .await;
    left.abort();
    assert_eq!(opened(&sealed(&gateway, message).await), "seen");
    assert_eq!(backend.count("POST"), 1);
}

#[tokio::test]
async fn without_a_store_messages_are_delivered_and_never_acknowledged_in_vain() {
    let mut redis = RedisServer::start(&[]);
    let backend = Upstream::named("ok");
    let config = pushed_to(&backend.url, "");
    let gateway = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start();
    redis.kill();
    let message = "<xml><MsgId>1</MsgId></xml>";
    for _ in 0..2 {
        let answer = plain(&gateway, message).await;
        assert_eq!((answer.status(), &*answer.text()), (200, "ok"));
    }
    // Nobody knows that it came before.
    assert_eq!(backend.count("POST"), 2);
    backend.set(Script::answers("500 Internal Server Error", ""));
    let answer = plain(&gateway, message).await;
    assert_refused(&answer, 503, "push_undelivered");
    let undelivered = r#"hufu_pushes_total{app="shop",outcome="undelivered"}"#;
    assert_eq!(gateway.counted(undelivered).await, 1);
    // The store is back, the platform comes again.
    backend.set(Script::named("again"));
    redis.start_again(&[]);
    until("the answer to come without the backend", async || {
        let before = backend.count("POST");
        plain(&gateway, message).await.text() == "again" && backend.count("POST") == before
    })
    .await;
}

#[tokio::test]
async fn a_full_store_leaves_the_message_to_the_platform() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::answers("502 Bad Gateway", ""));
    let config = pushed_to(&backend.url, SEALED);
    let gateway = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(config)
        .start();
    let message = "<xml><MsgId>1</MsgId></xml>";
    redis
        .ask::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .unwrap();
    assert_refused(&sealed(&gateway, message).await, 503, "push_undelivered");
    redis
        .ask::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .unwrap();
    assert_acknowledged(&sealed(&gateway, message).await);
}

/// What was acknowledged does not wait for room: its delivery makes some.
#[tokio::test]
async fn a_full_store_hands_out_what_it_keeps() {
    let redis = RedisServer::start(&[]);
    let backend = Upstream::start(Script::answers("502 Bad Gateway", ""));
    let gateway = GatewayBuilder::new()
        .store(redis.url(""))
        .config(PATIENT)
        .config(pushed_to(&backend.url, SEALED))
        .start();
    let message = "<xml><MsgId>1</MsgId></xml>";
    assert_acknowledged(&sealed(&gateway, message).await);
    redis
        .ask::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .unwrap();
    // Also the next try, which fails, is noted.
    let tries = backend.count("POST");
    until("another try", async || backend.count("POST") > tries).await;
    backend.set(Script::named("at last"));
    let delivered = r#"hufu_push_redeliveries_total{app="shop",outcome="delivered"}"#;
    gateway.counts(delivered, 1).await;
    let posts = backend.count("POST");
    gateway.counts(r#"hufu_pushes_kept{app="shop"}"#, 0).await;
    assert_eq!(opened(&sealed(&gateway, message).await), "at last");
    assert_eq!(backend.count("POST"), posts);
}

#[tokio::test]
async fn who_takes_no_messages_has_no_key_and_no_call_for_them() {
    let redis = RedisServer::start(&[]);
    let gateway = Gateway::on(&redis.url(""), PATIENT);
    gateway.token("alice").await;
    assert_refused(&gateway.post(PATH).await, 404, "endpoint_not_found");
    let calls = gateway.admin_get("/metrics").await.text();
    assert!(
        !calls.contains("_push\"") && !calls.contains("take_pushes"),
        "{calls}"
    );
    let keys: Vec<String> = redis.ask(&["KEYS", "hufu:p:*"]).unwrap();
    assert_eq!(keys, Vec::<String>::new());
}
