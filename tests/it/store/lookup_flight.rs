//! Many who ask for one session at the same time.

use std::time::Duration;

use hufu::session::{Lookup, Written};
use hufu::store::{InvalidationChoice, InvalidationMode};

use crate::helpers::{
    CACHE, Fault, Gateway, Link, NO_RESP3, RedisServer, Two, echo_upstream, http,
    store::user,
    two_stores::{connection, found, reads},
    until,
};

#[tokio::test]
async fn many_who_ask_for_one_session_at_once_make_one_read() {
    let redis = RedisServer::start(&[]);
    let mut inspector = connection(&redis);
    for push in [InvalidationChoice::Tracking, InvalidationChoice::Pubsub] {
        let two = Two::with(&redis, push).await;
        let ids = [two.session().await, two.session().await];
        let before = reads(&mut inspector);
        let asked: Vec<_> = (0..200).map(|number| ids[number % 2]).collect();
        let answers =
            futures_util::future::join_all(asked.iter().map(|id| two.near.load(id))).await;
        for (id, answer) in asked.iter().zip(answers) {
            assert!(
                matches!(answer.unwrap(), Lookup::Found(loaded) if loaded.id == *id),
                "the session of another token"
            );
        }
        assert_eq!(
            reads(&mut inspector) - before,
            2,
            "{push:?}: one for each session"
        );
    }
}

#[tokio::test]
async fn a_hundred_requests_at_once_make_one_read_per_worker() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    // Nothing lapses by itself.
    let config = format!(
        "session.near_cache.max_stale = \"60s\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::on(&redis.url(""), &config);
    let (client, mut inspector) = (http(), connection(&redis));
    for _ in 0..5 {
        let token = gateway.token("alice").await;
        let before = reads(&mut inspector);
        let requests = (0..100).map(|_| {
            client
                .get(gateway.at("/api"))
                .bearer_auth(&token)
                .try_send()
        });
        for answer in futures_util::future::join_all(requests).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
        let made = reads(&mut inspector) - before;
        assert!((1..=2).contains(&made), "{made} reads by two workers");
    }
}

#[tokio::test]
async fn a_reader_who_leaves_hands_over_to_those_who_wait() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let two = Two::over(&link.url(), &redis, CACHE);
    two.hears(InvalidationMode::Tracking).await;
    let mut inspector = connection(&redis);
    for _ in 0..10 {
        let id = two.session().await;
        let before = reads(&mut inspector);
        link.set(Fault::Delay(Duration::from_millis(50)));
        let load = || {
            let near = two.near.clone();
            tokio::spawn(async move { near.load(&id).await })
        };
        let leader = load();
        until("the leader's read", async || reads(&mut inspector) > before).await;
        let followers: Vec<_> = (0..100).map(|_| load()).collect();
        tokio::task::yield_now().await;
        leader.abort();
        for follower in followers {
            assert!(found(&follower.await.unwrap().unwrap()));
        }
        link.set(Fault::None);
        assert!(
            reads(&mut inspector) - before <= 2,
            "the leader's and its successor's"
        );
        assert!(found(&two.near.load(&id).await.unwrap()));
    }
}

#[tokio::test]
async fn a_read_that_a_revocation_overtakes_is_joined_by_nobody() {
    let redis = RedisServer::start(&[]);
    let link = Link::refusing(redis.port(), NO_RESP3);
    let two = Two::over(&link.url(), &redis, CACHE);
    two.hears(InvalidationMode::Pubsub).await;
    let id = two.session().await;
    let mut inspector = connection(&redis);
    let before = reads(&mut inspector);
    link.set(Fault::Delay(Duration::from_millis(50)));
    let early = tokio::spawn({
        let near = two.near.clone();
        async move { near.load(&id).await }
    });
    until("the early read", async || reads(&mut inspector) > before).await;
    assert_eq!(
        two.near.remove(&id, &user("o1")).await.unwrap(),
        Written::Done
    );
    assert!(
        !found(&two.near.load(&id).await.unwrap()),
        "asked after the end"
    );
    early.await.unwrap().unwrap();
    assert!(
        !found(&two.near.load(&id).await.unwrap()),
        "the early read is not kept"
    );
}
