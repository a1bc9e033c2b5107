//! The near cache against real Redis: how seldom it asks, how soon it forgets, and what it does
//! when Redis is away.

use std::time::Duration;

use hufu::clock::{UnixMillis, monotonic_now};
use hufu::session::{Lookup, SessionId, UserKey, Written};
use hufu::store::{InvalidationChoice, InvalidationMode};

use crate::helpers::{
    Gateway, HOUR, RedisServer, Two, echo_upstream, http, inspect,
    store::user,
    two_stores::{calls, connection, found, reads},
    until,
};

#[tokio::test]
async fn two_hundred_calls_hardly_ask_redis_and_made_up_tokens_never_do() {
    let redis = RedisServer::start(&[]);
    let echo = echo_upstream();
    // Nothing lapses by itself.
    let config = format!(
        "session.near_cache.max_stale = \"60s\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::on(&redis.url(""), &config);
    let token = gateway.token("alice").await;
    let mut inspector = connection(&redis);
    let before = reads(&mut inspector);
    let client = http();
    for _ in 0..200 {
        assert_eq!(
            client
                .get(gateway.at("/api"))
                .bearer_auth(&token)
                .await
                .status(),
            200
        );
    }
    let after = reads(&mut inspector);
    assert!(
        after - before < 20,
        "{} reads for 200 calls",
        after - before
    );
    let made_up = (0..200).map(|n| format!("{}{n:03}", &token[..53]));
    // Some day it is one of them.
    for made_up in made_up.filter(|made_up| *made_up != token) {
        assert_eq!(
            client
                .get(gateway.at("/api"))
                .bearer_auth(&made_up)
                .await
                .status(),
            401
        );
    }
    assert_eq!(
        reads(&mut inspector),
        after,
        "a made-up token reached Redis"
    );
}

/// A read asks for Redis's time along only where no heartbeat has told it lately, and what it makes
/// of it is right all the same.
#[tokio::test]
async fn reads_know_the_time_from_heartbeats() {
    const READS: usize = 100;
    let redis = RedisServer::start(&[]);
    let mut inspector = connection(&redis);
    let two = Two::with(&redis, InvalidationChoice::Tracking).await;
    until("reads that do not ask for the time", async || {
        let mut ids = Vec::new();
        for _ in 0..READS {
            ids.push(two.session().await);
        }
        let (gets, times) = (reads(&mut inspector), calls(&mut inspector, "time"));
        for id in ids {
            let Lookup::Found(loaded) = two.near.load(&id).await.unwrap() else {
                panic!("{id} is gone")
            };
            let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(&mut inspector).unwrap();
            let now = UnixMillis(seconds * 1000 + micros / 1000);
            let apart = now.since(loaded.now).max(loaded.now.since(now));
            assert!(
                apart < Duration::from_secs(30),
                "Redis says {now:?}, the read {:?}",
                loaded.now
            );
            assert!(
                loaded.expires_in <= HOUR && loaded.expires_in > HOUR - Duration::from_secs(60),
                "{:?}",
                loaded.expires_in
            );
        }
        // The test's own questions are not the store's.
        let (gets, times) = (
            reads(&mut inspector) - gets,
            calls(&mut inspector, "time") - times - READS as u64,
        );
        assert_eq!(gets, READS as u64);
        times < READS as u64 / 2
    })
    .await;
}

#[tokio::test]
async fn a_revocation_on_one_gateway_is_known_on_the_other() {
    let redis = RedisServer::start(&[]);
    for push in [InvalidationChoice::Tracking, InvalidationChoice::Pubsub] {
        // So long that nothing lapses by itself.
        let two = Two::with_stale(&redis, push, Duration::from_secs(600)).await;
        revoked_on_one_known_on_the_other(&two, push).await;
    }
}

async fn revoked_on_one_known_on_the_other(two: &Two, push: InvalidationChoice) {
    let mut took = Vec::new();
    for _ in 0..200 {
        let id = two.session().await;
        assert!(
            found(&two.near.load(&id).await.unwrap()) && found(&two.near.load(&id).await.unwrap())
        );
        assert_eq!(
            two.other.remove(&id, &user("o1")).await.unwrap(),
            Written::Done
        );
        let revoked = monotonic_now();
        while found(&two.near.load(&id).await.unwrap()) {
            assert!(
                revoked.elapsed() < Duration::from_secs(60),
                "the revocation was not pushed"
            );
            tokio::task::yield_now().await;
        }
        took.push(revoked.elapsed());
    }
    took.sort();
    println!(
        "{push:?}: revocation on one store until the other refuses: median {:?}, worst {:?} of {}",
        took[100],
        took[199],
        took.len()
    );
}

#[tokio::test]
async fn no_load_that_a_deletion_overtakes_is_kept() {
    let redis = RedisServer::start(&[]);
    let two = Two::with(&redis, InvalidationChoice::Tracking).await;
    let mut deleter = inspect(&redis.url("")).await;
    race(&two, async |ids| {
        let mut deletions = redis::pipe();
        for (id, _) in ids {
            deletions.cmd("DEL").arg(two.maker.key_of(id)).ignore();
        }
        deletions.query_async::<()>(&mut deleter).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn no_load_that_a_published_revocation_overtakes_is_kept() {
    let redis = RedisServer::start(&[]);
    let two = Two::with(&redis, InvalidationChoice::Pubsub).await;
    race(&two, async |ids| {
        let removals =
            futures_util::future::join_all(ids.iter().map(|(id, user)| two.other.remove(id, user)))
                .await;
        assert!(
            removals
                .into_iter()
                .all(|removed| removed.unwrap() == Written::Done)
        );
    })
    .await;
}

/// Sessions that are read while they are ended: none may be served when all has been said.
async fn race(two: &Two, mut end: impl AsyncFnMut(&[(SessionId, UserKey)])) {
    const RACES: usize = 20_000;
    const AT_ONCE: usize = 100;
    let (mut stale, mut seen) = (0, 0);
    for _ in 0..RACES / AT_ONCE {
        let users = (0..AT_ONCE).map(|number| user(&format!("o{number}")));
        let made = users.map(async |user| (two.maker.sign_in(&user, HOUR, HOUR).await, user));
        let ids = futures_util::future::join_all(made).await;
        let loads = futures_util::future::join_all(ids.iter().map(|(id, _)| two.near.load(id)));
        let (loaded, ()) = tokio::join!(loads, end(&ids));
        seen += loaded
            .iter()
            .filter(|lookup| found(lookup.as_ref().unwrap()))
            .count();
        // With tracking whatever was pushed has arrived once a later answer of the same connection
        // has; with pub/sub it is on its way on another one.
        two.near.now().await.unwrap();
        let made_and_ended = two.session().await;
        assert!(found(&two.near.load(&made_and_ended).await.unwrap()));
        assert_eq!(
            two.other
                .remove(&made_and_ended, &user("o1"))
                .await
                .unwrap(),
            Written::Done
        );
        until("what was said before to have arrived", async || {
            !found(&two.near.load(&made_and_ended).await.unwrap())
        })
        .await;
        for (id, _) in &ids {
            stale += usize::from(found(&two.near.load(id).await.unwrap()));
        }
    }
    println!(
        "{RACES} reads that raced a deletion: {seen} came first, {stale} were stale afterwards"
    );
    assert!(seen > 0);
    assert_eq!(stale, 0, "of {RACES}");
}

#[tokio::test]
async fn a_flush_a_hand_and_a_cut_connection_are_noticed() {
    let redis = RedisServer::start(&[]);
    for push in [InvalidationChoice::Tracking, InvalidationChoice::Pubsub] {
        what_no_gateway_did_is_noticed(&redis, &Two::with(&redis, push).await, push).await;
    }
}

async fn what_no_gateway_did_is_noticed(redis: &RedisServer, two: &Two, push: InvalidationChoice) {
    let mut hand = connection(redis);
    let gone = async |id: &SessionId, what: &str| {
        until(what, async || !found(&two.near.load(id).await.unwrap())).await;
    };

    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()));
    redis::cmd("DEL")
        .arg(two.maker.key_of(&id))
        .exec(&mut hand)
        .unwrap();
    gone(&id, "a deletion by hand to be noticed").await;

    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()));
    redis::cmd("FLUSHALL").exec(&mut hand).unwrap();
    gone(&id, "the flush to be noticed").await;

    let id = two.session().await;
    assert!(found(&two.near.load(&id).await.unwrap()));
    // Nobody is told of a deletion while the pushing connections are cut.
    let kind = if push == InvalidationChoice::Pubsub {
        "pubsub"
    } else {
        "normal"
    };
    redis::pipe()
        .cmd("CLIENT")
        .arg(&["KILL", "TYPE", kind, "SKIPME", "yes"])
        .ignore()
        .cmd("DEL")
        .arg(two.maker.key_of(&id))
        .ignore()
        .exec(&mut hand)
        .unwrap();
    gone(&id, "the deletion behind the cut to be noticed").await;

    let missing = two.maker.unknown();
    assert!(!found(&two.near.load(&missing).await.unwrap()));
    let id = two.session().await;
    assert!(
        found(&two.near.load(&id).await.unwrap()),
        "a miss is not kept against a login"
    );
}

#[tokio::test]
async fn an_outage_is_ridden_out_for_the_grace_and_never_mistaken_for_a_logout() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    for push in [InvalidationChoice::Tracking, InvalidationChoice::Pubsub] {
        let two = Two::hasty(&redis, push, Duration::from_millis(1500)).await;
        let long = Two::hasty(&redis, push, HOUR).await;
        an_outage(&mut redis, &two, push).await;
        within_the_grace(&mut redis, &long).await;
    }
}

/// What a session is while the store says so, however late.
async fn found_at_last(two: &Two, id: &SessionId) -> bool {
    let lookup = until("the store to answer", async || two.near.load(id).await.ok());
    found(&lookup.await)
}

/// Within the grace a session is served as long as it takes, and no other.
async fn within_the_grace(redis: &mut RedisServer, two: &Two) {
    let (kept, missing) = (two.session().await, two.maker.unknown());
    assert!(found_at_last(two, &kept).await && !found_at_last(two, &missing).await);
    for frozen in [true, false] {
        // What was served without an answer does not prove that it is kept.
        until("the session to be kept", async || {
            let _ = two.near.load(&kept).await;
            two.near.known(&kept)
        })
        .await;
        if frozen {
            redis.freeze();
        } else {
            redis.kill();
        }
        until("the store to be missed", async || {
            two.near.load(&missing).await.is_err()
        })
        .await;
        for _ in 0..3 {
            assert!(found(&two.near.load(&kept).await.unwrap()), "{frozen}");
        }
        if frozen {
            redis.thaw();
        } else {
            redis.start_again(&[]);
        }
        assert!(found_at_last(two, &kept).await);
    }
}

async fn an_outage(redis: &mut RedisServer, two: &Two, push: InvalidationChoice) {
    let (kept, missing) = (two.session().await, two.maker.unknown());
    assert!(found_at_last(two, &kept).await && !found_at_last(two, &missing).await);
    redis.freeze();
    let started = monotonic_now();
    let served = until("the grace to end", async || {
        match two.near.load(&kept).await {
            Ok(lookup) => {
                assert!(found(&lookup), "a frozen store must not sign anybody out");
                None
            }
            Err(_) => Some(started.elapsed()),
        }
    })
    .await;
    println!("{push:?}: a frozen Redis: the kept session was served for {served:?}");
    assert!(
        two.near.load(&missing).await.is_err(),
        "a missing session is not told on a guess"
    );
    redis.thaw();
    until("the session after the thaw", async || {
        two.near.load(&kept).await.ok().filter(found)
    })
    .await;
    two.hears(if push == InvalidationChoice::Pubsub {
        InvalidationMode::Pubsub
    } else {
        InvalidationMode::Tracking
    })
    .await;
    assert!(found_at_last(two, &kept).await);

    redis.kill();
    until("the missing session not to be known", async || {
        two.near.load(&missing).await.is_err()
    })
    .await;
    until("the grace to end", async || {
        two.near.load(&kept).await.err()
    })
    .await;
    redis.start_again(&[]);
    until("the session after the restart", async || {
        two.near.load(&kept).await.ok().filter(found)
    })
    .await;
    // Where the first answer is late, the second says that it is gone.
    until("the session's end", async || {
        two.other.remove(&kept, &user("o1")).await.ok().map(drop)
    })
    .await;
    until("the revocation after the restart", async || {
        two.near
            .load(&kept)
            .await
            .ok()
            .filter(|lookup| !found(lookup))
    })
    .await;
}
