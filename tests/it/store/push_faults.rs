//! Proxies before Redis that do not know a command and do not say so: they close the connection,
//! stay silent, or answer something else.

use hufu::session::Written;
use hufu::store::near_cache::NearCacheSettings;
use hufu::store::{InvalidationChoice, InvalidationMode};
use serde_json::json;

use crate::helpers::{
    CACHE, Gateway, Instead, Link, NO_RESP3, RedisServer, Two, echo_upstream, http,
    store::user,
    two_stores::{connection, found, reads},
    until,
};

const WAYS: [Instead; 5] = [
    Instead::Close,
    Instead::Silence,
    Instead::Bytes("*1\r\n:7\r\n"),
    Instead::Bytes("$-1\r\n"),
    Instead::Bytes("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
];

/// Asks until this way of hearing is in effect. A first try may take longer than a connection may,
/// on a busy machine.
async fn hears(two: &Two, mode: InvalidationMode, what: &str) {
    until(what, async || {
        let _ = two.near.now().await;
        // The other has to find its way too.
        two.other.now().await.ok()?;
        let heard = two.handle.invalidation().unwrap().mode == Some(mode);
        heard.then_some(())
    })
    .await;
}

/// A session that is ended elsewhere ends here.
async fn hears_of_an_end(two: &Two, what: &str) {
    let id = two.session().await;
    assert!(
        found(&two.near.load(&id).await.unwrap()) && found(&two.near.load(&id).await.unwrap()),
        "{what}"
    );
    assert_eq!(
        two.other.remove(&id, &user("o1")).await.unwrap(),
        Written::Done,
        "{what}"
    );
    until(what, async || !found(&two.near.load(&id).await.unwrap())).await;
}

#[tokio::test]
async fn without_pushes_that_nobody_refuses_gateways_tell_each_other() {
    let redis = RedisServer::start(&[]);
    // A HELLO that is answered with a plain yes is no RESP3 either.
    let plain_yes = ("HELLO", Instead::Bytes("+OK\r\n"));
    let all = ["HELLO", "CLIENT TRACKING"]
        .into_iter()
        .flat_map(|command| WAYS.map(|way| (command, way)));
    for unknown in all.chain([plain_yes]) {
        let what = format!("{unknown:?}");
        let link = Link::refusing(redis.port(), &[unknown]);
        let two = Two::over(&link.url(), &redis, CACHE);
        hears(&two, InvalidationMode::Pubsub, &what).await;
        assert_eq!(two.handle.invalidation().unwrap().trouble, None, "{what}");
        hears_of_an_end(&two, &what).await;
        // Kept, and not read again and again.
        let id = two.session().await;
        assert!(found(&two.near.load(&id).await.unwrap()));
        let before = reads(&mut connection(&redis));
        for _ in 0..20 {
            assert!(found(&two.near.load(&id).await.unwrap()));
        }
        assert!(
            reads(&mut connection(&redis)) - before < 20,
            "{what}: nothing is kept"
        );
    }
}

#[tokio::test]
async fn where_subscribing_fails_too_every_lookup_asks() {
    let redis = RedisServer::start(&[]);
    for way in WAYS {
        let what = format!("{way:?}");
        let link = Link::refusing(redis.port(), &[NO_RESP3, &[("SUBSCRIBE", way)]].concat());
        let two = Two::over(&link.url(), &redis, CACHE);
        hears(&two, InvalidationMode::Off, &what).await;
        let id = two.session().await;
        let before = reads(&mut connection(&redis));
        for _ in 0..10 {
            assert!(found(&two.near.load(&id).await.unwrap()), "{what}");
        }
        assert_eq!(reads(&mut connection(&redis)) - before, 10, "{what}");
        hears_of_an_end(&two, &what).await;
    }
}

#[tokio::test]
async fn a_redis_behind_it_that_pushes_after_all_is_found_out() {
    let redis = RedisServer::start(&[]);
    for unknown in [
        ("HELLO", Instead::Close),
        ("CLIENT TRACKING", Instead::Silence),
    ] {
        let link = Link::refusing(redis.port(), &[unknown]);
        let two = Two::over(&link.url(), &redis, CACHE);
        hears(&two, InvalidationMode::Pubsub, "pub/sub").await;
        link.learn();
        hears(&two, InvalidationMode::Tracking, "tracking").await;
        hears_of_an_end(&two, "an end").await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_not_taken_for_one_that_cannot_push() {
    let redis = RedisServer::start(&[]);
    redis.freeze();
    let two = Two::over(&redis.url(""), &redis, CACHE);
    assert!(two.near.now().await.is_err());
    assert_eq!(two.handle.invalidation().unwrap().mode, None);
    redis.thaw();
    hears(&two, InvalidationMode::Tracking, "tracking").await;
}

#[tokio::test]
async fn the_log_and_readiness_say_what_the_proxy_does() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let routes = echo.route("/api", "required");
    for (unknown, words) in [
        (
            ("HELLO", Instead::Close),
            "it closes the connection at HELLO",
        ),
        (("HELLO", Instead::Silence), "it says nothing to HELLO"),
        (
            ("CLIENT TRACKING", Instead::Bytes(":1\r\n")),
            "it answers CLIENT TRACKING with something else",
        ),
    ] {
        let link = Link::refusing(redis.port(), &[unknown]);
        // As a user would set it; the first request of all is answered.
        let gateway = Gateway::on(
            &link.url(),
            &format!("store.connect_timeout = \"4s\"\n{routes}"),
        );
        let token = gateway.token("alice").await;
        assert_eq!(gateway.get("/api").bearer_auth(&token).await.status(), 200);
        until("readiness to name the way", async || {
            let part = gateway.part("near_cache").await;
            part["state"] == "up" && part["mode"] == "pubsub"
        })
        .await;
        gateway.logs("push = pubsub").await;
        gateway.logs(words).await;
        let wanting = Gateway::on(
            &link.url(),
            &format!(
                "store.connect_timeout = \"1s\"\nsession.near_cache.push = \"tracking\"\n{routes}"
            ),
        );
        let part = until("readiness to say why", async || {
            let _ = http()
                .get(wanting.at("/auth/session"))
                .bearer_auth(&token)
                .try_send()
                .await;
            let login = json!({ "code": wanting.code("bob") });
            let _ = wanting.post("/auth/login").json(&login).try_send().await;
            Some(wanting.part("near_cache").await).filter(|part| part["state"] == "down")
        })
        .await;
        assert!(
            part["mode"] == "off" && part["reason"].as_str().unwrap().contains(words),
            "{part}"
        );
    }
    // Nobody wants pushes: nothing of it is asked for.
    let link = Link::refusing(redis.port(), &[("HELLO", Instead::Close)]);
    let two = Two::over(
        &link.url(),
        &redis,
        NearCacheSettings {
            push: InvalidationChoice::Pubsub,
            ..CACHE
        },
    );
    hears(&two, InvalidationMode::Pubsub, "pub/sub").await;
}
