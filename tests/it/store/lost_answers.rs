//! What Redis has carried out and whose answers are lost or wait for replicas. With pub/sub, the
//! other gateways learn of revocations all the same. Reservations are let go.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{Either, LocalBoxFuture, join_all, select};
use hufu::metrics::Metrics;
use hufu::session::token::tag_of;
use hufu::session::{
    ClaimsPatch, Lifetime, Lookup, NewSession, PatchLife, Rotation, SessionId, SessionRules,
    SessionService, SessionToken, StoreError, UserKey, Written,
};
use hufu::store::near_cache::NearCacheSettings;
use hufu::store::{InvalidationChoice, InvalidationMode, StoreHandle, StoreSettings, Stores};

use crate::helpers::{
    CACHE, Fault, HOUR, Link, RedisServer, Two, follows, new_session,
    store::{Harness, settings, user},
    two_stores::found,
    until,
};

/// Nothing lapses by itself during the test.
const CACHE_FOR_LONG: NearCacheSettings = NearCacheSettings {
    push: InvalidationChoice::Pubsub,
    max_stale: Duration::from_secs(600),
    ..CACHE
};

async fn pair(redis: &RedisServer) -> Two {
    let two = Two::on(redis, CACHE_FOR_LONG);
    two.hears(InvalidationMode::Pubsub).await;
    two
}

/// A gateway that reaches the same Redis through the link.
fn over(link: &Link, two: &Two) -> StoreHandle {
    let settings = StoreSettings {
        near_cache: Some(CACHE_FOR_LONG),
        // For so long each lost answer is waited for.
        timeout: Duration::from_secs(5),
        ..settings(&link.url())
    };
    let (keys, naming) = (two.maker.keys.clone(), two.maker.naming.clone());
    hufu::store::open(&settings, keys, naming, Arc::new(Metrics::new())).unwrap()
}

/// A session of this user that the other gateway keeps.
async fn kept(two: &Two, owner: &UserKey) -> SessionId {
    let id = two.maker.sign_in(owner, HOUR, HOUR).await;
    until("the other gateway to keep the session", async || {
        assert!(found(&two.near.load(&id).await.unwrap()));
        two.near.known(&id)
    })
    .await;
    id
}

/// What loses the session, or its claims.
struct Loss<'a> {
    two: &'a Two,
    store: Stores,
    owner: UserKey,
    id: SessionId,
}

type Call = for<'a> fn(&'a Loss<'a>) -> LocalBoxFuture<'a, Result<(), StoreError>>;

impl Loss<'_> {
    async fn logout(&self) -> Result<(), StoreError> {
        let removed = self.store.sessions.remove(&self.id, &self.owner).await;
        removed.map(|written| assert_eq!(written, Written::Done))
    }

    async fn logout_all(&self) -> Result<(), StoreError> {
        self.store.sessions.remove_all(&self.owner).await.map(drop)
    }

    async fn block(&self) -> Result<(), StoreError> {
        let blocked = self.store.users.block(&self.owner, None, "").await;
        blocked.map(|_| ())
    }

    async fn eviction(&self) -> Result<(), StoreError> {
        let session = self.two.maker.session(&self.owner, HOUR).await;
        let new = NewSession {
            max_per_user: 1,
            ..new_session(self.two.maker.fresh_id(&self.owner), &session, HOUR)
        };
        self.store.sessions.create(new).await.map(|_| ())
    }

    async fn rotation(&self) -> Result<(), StoreError> {
        let Lookup::Found(loaded) = self.two.near.load(&self.id).await? else {
            panic!("it lives")
        };
        let rotation = Rotation {
            from: self.id,
            to: self.two.maker.fresh_id(&self.owner),
            session: &loaded.session,
            read: loaded.stamp,
            idle: HOUR,
            until: loaded.now,
            answer: b"",
        };
        self.store.sessions.rotate(rotation).await.map(|_| ())
    }

    async fn change(&self) -> Result<(), StoreError> {
        let patch: ClaimsPatch = serde_json::from_str(r#"{"role":"staff"}"#).unwrap();
        let users = &self.store.users;
        let changed = users.change_claims(&self.owner, &patch, PatchLife::Lasting);
        changed.await.map(|_| ())
    }

    /// Whether the other gateway knows of it.
    async fn is_heard(&self) -> bool {
        is_lost(&self.two.near.load(&self.id).await.unwrap())
    }
}

/// Whether the session has ended, or its claims have changed.
fn is_lost(lookup: &Lookup) -> bool {
    match lookup {
        Lookup::Found(loaded) => loaded.session.claims.get("role").is_some(),
        _ => true,
    }
}

/// The calls, and which of their scripts ends something: the first may only ask for the names.
const CALLS: [(&str, usize, Call); 6] = [
    ("logout", 1, |loss| Box::pin(loss.logout())),
    ("logout of all", 2, |loss| Box::pin(loss.logout_all())),
    ("block", 2, |loss| Box::pin(loss.block())),
    ("eviction", 2, |loss| Box::pin(loss.eviction())),
    ("rotation", 1, |loss| Box::pin(loss.rotation())),
    ("change of claims", 1, |loss| Box::pin(loss.change())),
];

#[tokio::test]
async fn a_revocation_whose_answer_is_lost_is_announced() {
    let redis = RedisServer::start(&[]);
    let two = pair(&redis).await;
    let lost = CALLS.map(|(what, script, call)| {
        let (two, redis) = (&two, &redis);
        async move {
            let link = Link::to(redis.port());
            let owner = user(what);
            let loss = Loss {
                two,
                store: over(&link, two).worker(),
                id: kept(two, &owner).await,
                owner,
            };
            // A script that comes late changes no claims. Then what was lost said so.
            until(what, async || {
                let script = Arc::new(AtomicUsize::new(script));
                link.set(Fault::LoseOne("EVALSHA", script));
                assert!(call(&loss).await.is_err(), "{what}");
                is_lost(&two.maker.load(&loss.id).await)
            })
            .await;
            until(what, async || loss.is_heard().await).await;
        }
    });
    assert_eq!(join_all(lost).await.len(), CALLS.len());
}

#[tokio::test]
async fn a_revocation_is_announced_while_a_replica_is_waited_for() {
    let redis = RedisServer::start(&[]);
    let replica = RedisServer::replica_of(&redis);
    follows(&replica);
    let two = pair(&redis).await;
    let settings = StoreSettings {
        near_cache: Some(CACHE_FOR_LONG),
        // The wait for the replica is longer than a busy machine needs for the announcements.
        timeout: Duration::from_secs(30),
        wait_replicas: 1,
        ..settings(&redis.url(""))
    };
    let (keys, naming) = (two.maker.keys.clone(), two.maker.naming.clone());
    let waiting = hufu::store::open(&settings, keys, naming, Arc::new(Metrics::new())).unwrap();
    let losses = CALLS.map(|(what, ..)| {
        let (two, store) = (&two, waiting.worker());
        async move {
            let owner = user(what);
            Loss {
                two,
                store,
                id: kept(two, &owner).await,
                owner,
            }
        }
    });
    let losses = join_all(losses).await;
    replica.freeze();
    let calls = join_all(
        losses
            .iter()
            .zip(CALLS)
            .map(|(loss, (.., call))| call(loss)),
    );
    let heard = until("the other gateway to learn of all", async || {
        for loss in &losses {
            if !loss.is_heard().await {
                return false;
            }
        }
        true
    });
    match select(calls, pin!(heard)).await {
        Either::Left(_) => panic!("the replica says nothing"),
        Either::Right((_, calls)) => {
            replica.thaw();
            for done in calls.await {
                done.unwrap();
            }
        }
    }
}

/// The repeated login finds nothing left to evict.
#[tokio::test]
async fn an_eviction_is_announced_when_a_connection_that_closed_made_the_login_repeat_it() {
    let redis = RedisServer::start(&[]);
    let two = pair(&redis).await;
    let link = Link::to(redis.port());
    let owner = user("o1");
    let loss = Loss {
        two: &two,
        store: over(&link, &two).worker(),
        id: kept(&two, &owner).await,
        owner,
    };
    // The second script names the session; a connection that was just made is not replaced.
    link.set(Fault::CloseOne("EVALSHA", Arc::new(AtomicUsize::new(2))));
    loss.eviction().await.unwrap();
    until("the other gateway to learn of it", async || {
        !found(&two.near.load(&loss.id).await.unwrap())
    })
    .await;
}

/// Whoever made it does not know its ticket.
#[tokio::test]
async fn a_reservation_whose_answer_is_lost_is_let_go() {
    let redis = RedisServer::start(&[]);
    let link = Link::to(redis.port());
    let settings = StoreSettings {
        connect_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(2),
        ..settings(&link.url())
    };
    let h = Harness::with_settings(&settings, &redis.url(""));
    let before_lost = Arc::new(AtomicUsize::new(1));
    link.set(Fault::LoseOne("EVALSHA", before_lost.clone()));
    until("the answer to be lost", async || {
        let reserved = h.codes().reserve(&[1; 16], HOUR).await;
        reserved.is_err() && before_lost.load(Ordering::SeqCst) != 1
    })
    .await;
    until("the code to be free", async || h.look().await.is_empty()).await;
}

/// A gateway that was killed has announced nothing.
#[tokio::test]
async fn a_repeated_logout_announces_the_end_of_a_session_that_is_gone() {
    let redis = RedisServer::start(&[]);
    let two = pair(&redis).await;
    let owner = user("o1");
    let token = SessionToken::issue(&two.maker.keys, tag_of(&two.maker.naming, &owner));
    let id = token.id();
    let session = two.maker.session(&owner, HOUR).await;
    two.maker.create(new_session(id, &session, HOUR)).await;
    until("the session to be kept", async || {
        assert!(found(&two.near.load(&id).await.unwrap()));
        two.near.known(&id)
    })
    .await;
    let _: () = redis.ask(&["FLUSHALL"]).unwrap();
    assert!(
        found(&two.near.load(&id).await.unwrap()),
        "nobody has said so"
    );
    let rules = SessionRules {
        lifetime: Lifetime {
            idle: HOUR,
            absolute: HOUR,
        },
        max_per_user: 0,
        rotate_grace: Duration::ZERO,
    };
    let (keys, naming) = (two.maker.keys.clone(), two.maker.naming.clone());
    let metrics = Arc::new(Metrics::new());
    let service = SessionService::new(two.other.clone(), keys, naming, rules, metrics);
    service.end(&token).await.unwrap();
    until("the other gateway to learn of it", async || {
        !found(&two.near.load(&id).await.unwrap())
    })
    .await;
}
