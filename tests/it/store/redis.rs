//! Redis when it misbehaves.

use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::identity::Reservation;
use hufu::secret::Secret;
use hufu::session::store::Settlement;
use hufu::session::{
    Blocked, Claims, ClaimsPatch, Lookup, NewSession, PatchLife, SessionId, StoreError, Written,
};
use hufu::store::{RedisTls, StoreProbe, StoreSettings, StoreUrl};

use crate::helpers::{
    Harness, RedisServer, answer_in_time, inspect, new_session, session_key,
    store::{hasty_settings, open, settings, user},
    until,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Waits until the probe finds the store well. It gives each look a second, also on a machine that
/// stands still.
async fn is_well(probe: &StoreProbe) {
    until("the probe to find the store well", async || {
        probe.check().await.ok()
    })
    .await;
}

/// Waits until the probe says this.
async fn says(probe: &StoreProbe, what: &str) {
    until(what, async || {
        let error = probe.check().await.err()?;
        error.reason.contains(what).then_some(())
    })
    .await;
}

/// Every call of the store, none of which may answer anything but an error, each in time.
async fn all_calls_fail(h: &Harness, id: &SessionId) -> Vec<StoreError> {
    let (store, user) = (h.store(), user("o1"));
    let session = hufu::session::Session {
        user: user.clone(),
        unionid: None,
        created: hufu::clock::UnixMillis(0),
        absolute_deadline: hufu::clock::UnixMillis(u64::from(u32::MAX) * 1000),
        client_address: None,
        device: String::new(),
        claims: Claims::default(),
    };
    let settlement = Some(Settlement {
        login: [1; 16],
        ticket: [2; 16],
        answer: vec![3],
        keep: HOUR,
    });
    let new = NewSession {
        settlement,
        ..new_session(h.fresh_id(&user), &session, HOUR)
    };
    vec![
        answer_in_time(store.load(id)).await.map(drop).unwrap_err(),
        answer_in_time(store.create(new))
            .await
            .map(drop)
            .unwrap_err(),
        answer_in_time(store.now()).await.map(drop).unwrap_err(),
        answer_in_time(store.renew(id, &user, HOUR, session.absolute_deadline))
            .await
            .map(drop)
            .unwrap_err(),
        answer_in_time(store.remove(id, &user))
            .await
            .map(drop)
            .unwrap_err(),
        answer_in_time(h.codes().reserve(&[1; 16], HOUR))
            .await
            .map(drop)
            .unwrap_err(),
        answer_in_time(h.codes().settle(&[1; 16], &[2; 16], None))
            .await
            .map(drop)
            .unwrap_err(),
    ]
}

#[tokio::test]
async fn a_frozen_redis_gives_an_error_in_time_and_recovers() {
    let server = RedisServer::start(&[]);
    let patient = Harness::on(&server);
    let id = patient.sign_in(&user("o1"), HOUR, HOUR).await;
    let hasty = patient.beside(&hasty_settings(&server.url(""))).await;
    server.freeze();
    let first = answer_in_time(hasty.store().load(&id)).await.unwrap_err();
    assert!(first.reason.contains("no answer in time"), "{first}");
    for error in all_calls_fail(&hasty, &id).await {
        assert!(
            error.reason.contains("no answer in time")
                || error.reason.contains("no connection in time"),
            "{error}"
        );
    }
    server.thaw();
    let found = until("the session", async || hasty.store().load(&id).await.ok()).await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
}

/// A worker has hundreds of requests at once: they share one attempt to connect, and none waits in
/// a row behind it.
#[tokio::test]
async fn many_calls_wait_for_one_connection_together() {
    let server = RedisServer::start(&[]);
    let h = Harness::with_settings(&hasty_settings(&server.url("")), &server.url(""));
    server.freeze();
    let started = monotonic_now();
    let all = futures_util::future::join_all((0..100).map(|_| h.store().now())).await;
    assert!(all.iter().all(Result::is_err));
    // In a row they would take a hundred seconds.
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    server.thaw();
    h.recovers().await;
    let redis = inspect(&server.url("")).await;
    // Ours and the inspector's; those that were given up while it stood still go as it reads their
    // end.
    until("given-up connections to go", async || {
        client_list(&redis).await.lines().count() == 2
    })
    .await;
}

#[tokio::test]
async fn a_killed_redis_gives_an_error_and_a_new_one_is_found() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let h = Harness::on(&server);
    let id = h.sign_in(&user("o1"), HOUR, HOUR).await;
    server.kill();
    for error in all_calls_fail(&h, &id).await {
        assert!(!error.reason.contains("Gone"), "{error}");
    }
    server.start_again(&[]);
    h.recovers().await;
    assert!(h.alive(&id).await, "the session was on the disk");
    // Scripts are gone with the old process; they are loaded again.
    assert_eq!(h.remove(&id, &user("o1")).await, Written::Done);
}

/// Redis is restarted between two requests: the connection turns out to be dead only when it is
/// used.
#[tokio::test]
async fn a_restart_between_two_requests_costs_no_error() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let h = Harness::on(&server);
    let id = h.sign_in(&user("o1"), HOUR, HOUR).await;
    server.kill();
    server.start_again(&[]);
    assert!(h.alive(&id).await);
}

#[tokio::test]
async fn a_refused_connection_is_an_error_at_once() {
    let mut server = RedisServer::start(&[]);
    let minute = Duration::from_secs(60);
    let settings = StoreSettings {
        connect_timeout: minute,
        timeout: minute,
        ..settings(&server.url(""))
    };
    let h = Harness::with_settings(&settings, &server.url(""));
    server.kill();
    let started = monotonic_now();
    let error = h.store().now().await.unwrap_err();
    assert!(
        error.reason.to_lowercase().contains("connection refused"),
        "{error}"
    );
    // Nobody has waited for the end of a minute.
    assert!(started.elapsed() < minute / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_full_redis_takes_no_login_and_keeps_those_who_are_signed_in() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]);
    let h = Harness::on(&server);
    let session = h.session(&user("o1"), HOUR).await;
    let (kept, ended) = (
        h.sign_in(&session.user, HOUR / 2, HOUR).await,
        h.sign_in(&session.user, HOUR / 2, HOUR).await,
    );
    let Reservation::Leader { ticket, .. } = h.codes().reserve(&[1; 16], HOUR).await.unwrap()
    else {
        panic!("nobody else is here")
    };
    let mut redis = inspect(&server.url("")).await;
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("1")
        .exec_async(&mut redis)
        .await
        .unwrap();

    let generation = session_key("AAAAAAAAAAAAAAAAAAAAAA==", session.created);
    let settlement = Some(Settlement {
        login: [1; 16],
        ticket,
        answer: b"answer".to_vec(),
        keep: HOUR,
    });
    let new = NewSession {
        settlement,
        session_key: Some(&generation),
        max_per_user: 2,
        ..new_session(h.fresh_id(&session.user), &session, HOUR)
    };
    let error = h.store().create(new).await.unwrap_err();
    assert!(error.reason.contains("OOM"), "{error}");
    h.codes().reserve(&[2; 16], HOUR).await.unwrap_err();

    assert!(
        h.alive(&kept).await && h.alive(&ended).await,
        "nobody was evicted for a session that was not made"
    );
    assert_eq!(
        h.renew(&kept, &session.user, HOUR, session.absolute_deadline)
            .await,
        Written::Done
    );
    assert_eq!(h.remove(&ended, &session.user).await, Written::Done);
    assert!(h.session_keys(&session.user).await.is_empty());
    let patch: ClaimsPatch = serde_json::from_str(r#"{"role":"staff"}"#).unwrap();
    let change = h
        .users()
        .change_claims(&session.user, &patch, PatchLife::Lasting);
    let error = change.await.unwrap_err();
    assert!(error.reason.contains("OOM"), "{error}");
    let Lookup::Found(unchanged) = h.load(&kept).await else {
        panic!("it lives")
    };
    assert_eq!(unchanged.session.claims, session.claims);
    // What is urgent works, also for somebody who is not here.
    for (user, sessions) in [(session.user.clone(), 1), (user("o2"), 0)] {
        let blocked = h.users().block(&user, None, "fraud").await.unwrap();
        assert!(
            matches!(blocked, Blocked::Done { ended, .. } if ended == sessions),
            "{blocked:?}"
        );
        assert!(
            h.store()
                .user_state(&user)
                .await
                .unwrap()
                .unwrap()
                .blocked
                .is_some()
        );
        assert!(h.users().unblock(&user).await.unwrap().is_some());
    }
    assert!(!h.alive(&kept).await);

    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("0")
        .exec_async(&mut redis)
        .await
        .unwrap();
    h.sign_in(&session.user, HOUR, HOUR).await;
}

/// An answer without its session would hand out a token that opens nothing, a session without its
/// answer counts for nobody.
#[tokio::test]
async fn session_and_answer_are_undone_together() {
    let server = RedisServer::start(&[]);
    let h = Harness::on(&server);
    let session = h.session(&user("o1"), HOUR).await;
    let mut redis = inspect(&server.url("")).await;
    for broken in ["c", "u"] {
        let Reservation::Leader { ticket, .. } = h.codes().reserve(&[1; 16], HOUR).await.unwrap()
        else {
            panic!("nobody else is here")
        };
        let id = h.sign_in(&session.user, HOUR, HOUR).await;
        // What somebody else has put in the place of one of the two makes its half fail.
        let (key, _) = h.only(broken).await.unwrap();
        redis::pipe()
            .cmd("DEL")
            .arg(&key)
            .cmd("LPUSH")
            .arg(&key)
            .arg("x")
            .cmd("EXPIRE")
            .arg(&key)
            .arg(3600)
            .exec_async(&mut redis)
            .await
            .unwrap();
        let settlement = Some(Settlement {
            login: [1; 16],
            ticket,
            answer: b"answer".to_vec(),
            keep: HOUR,
        });
        let new = h.fresh_id(&session.user);
        let error = h
            .store()
            .create(NewSession {
                settlement,
                ..new_session(new, &session, HOUR)
            })
            .await
            .unwrap_err();
        assert!(error.reason.contains("WRONGTYPE"), "{error}");
        assert!(!h.alive(&new).await, "{broken}");
        redis::cmd("DEL")
            .arg(&key)
            .exec_async(&mut redis)
            .await
            .unwrap();
        assert!(h.only("c").await.is_none(), "{broken}");
        let _ = h.remove(&id, &session.user).await;
    }
}

#[tokio::test]
async fn a_replica_is_told_apart_and_left_when_it_becomes_master() {
    let server = RedisServer::start(&[]);
    let h = Harness::on(&server);
    let id = h.sign_in(&user("o1"), HOUR, HOUR).await;
    let probe = open(&settings(&server.url(""))).probe();
    is_well(&probe).await;
    let mut redis = inspect(&server.url("")).await;
    redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg("1")
        .exec_async(&mut redis)
        .await
        .unwrap();
    let before = client_id(&server).await;
    let error = h.store().remove(&id, &user("o1")).await.unwrap_err();
    assert!(error.reason.contains("READONLY"), "{error}");
    says(&probe, "replica").await;
    redis::cmd("REPLICAOF")
        .arg("NO")
        .arg("ONE")
        .exec_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(h.remove(&id, &user("o1")).await, Written::Done);
    assert_ne!(
        before,
        client_id(&server).await,
        "the connection was made anew"
    );
    is_well(&probe).await;
}

async fn client_list(redis: &redis::aio::MultiplexedConnection) -> String {
    let mut list = redis::cmd("CLIENT");
    list.arg("LIST");
    list.query_async(&mut redis.clone()).await.unwrap()
}

/// The ids of all connections that have run a script.
async fn client_id(server: &RedisServer) -> Vec<String> {
    let redis = inspect(&server.url("")).await;
    let clients = client_list(&redis).await;
    let ids = clients
        .lines()
        .filter(|line| line.contains("cmd=evalsha") || line.contains("cmd=time"));
    ids.map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_never_a_missing_session() {
    let server = RedisServer::start(&["--requirepass", "tiger"]);
    let inspector = server.url(":tiger@");
    let right = Harness::redis(&inspector, &inspector, "hufu");
    let id = right.sign_in(&user("o1"), HOUR, HOUR).await;
    for login in ["", ":lion@", "hufu:tiger@"] {
        let h = Harness::redis(&server.url(login), &inspector, "hufu");
        for error in all_calls_fail(&h, &id).await {
            assert!(error.reason.contains("store.password"), "{error}");
            assert!(
                !error.reason.contains("lion") && !error.reason.contains("tiger"),
                "{error}"
            );
        }
        let probe = open(&settings(&server.url(login))).probe();
        says(&probe, "store.password").await;
    }
}

#[tokio::test]
async fn the_probe_answers_in_time_and_recovers() {
    let mut server = RedisServer::start(&[]);
    let patient = StoreSettings {
        connect_timeout: HOUR,
        timeout: HOUR,
        ..settings(&server.url(""))
    };
    let probe = open(&patient).probe();
    is_well(&probe).await;
    server.freeze();
    // The store itself would wait for longer.
    let started = monotonic_now();
    probe.check().await.unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    server.thaw();
    is_well(&probe).await;
    server.kill();
    probe.check().await.unwrap_err();
    assert_eq!(
        open(&settings("memory:")).probe().check().await.unwrap(),
        Duration::ZERO
    );
}

#[tokio::test]
async fn rediss_takes_the_authority_that_was_configured_and_no_other() {
    let server = RedisServer::start_tls();
    let mut trusting = settings(&server.url(""));
    trusting.tls = RedisTls {
        ca: Some(server.ca()),
        cert: None,
        key: None,
    };
    let handle = open(&trusting);
    let worker = handle.worker().sessions;
    until("TLS to be up", async || worker.now().await.ok()).await;
    is_well(&handle.probe()).await;
    let error = open(&settings(&server.url("")))
        .worker()
        .sessions
        .now()
        .await
        .unwrap_err();
    assert!(error.reason.contains("certificate"), "{error}");
    let other_host = StoreUrl::parse(&server.url("").replace("127.0.0.1", "localhost")).unwrap();
    trusting.url = other_host;
    open(&trusting).worker().sessions.now().await.unwrap_err();
    let plain = hasty_settings(&server.url("").replace("rediss", "redis"));
    answer_in_time(open(&plain).worker().sessions.now())
        .await
        .unwrap_err();
}

#[test]
fn certificates_that_cannot_be_used_are_found_when_the_store_is_opened() {
    for tls in [
        RedisTls {
            ca: None,
            cert: Some(b"x".to_vec()),
            key: None,
        },
        RedisTls {
            ca: None,
            cert: Some(b"x".to_vec()),
            key: Some(Secret::new(b"tiger".to_vec())),
        },
        RedisTls {
            ca: Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
            cert: None,
            key: None,
        },
    ] {
        let mut settings = settings("rediss://127.0.0.1:1/0");
        settings.tls = tls;
        let (keys, naming) = crate::helpers::store::fresh_keys();
        let error = hufu::store::open(&settings, keys, naming, std::sync::Arc::default())
            .err()
            .unwrap();
        assert!(!error.reason.contains("tiger"), "{error}");
    }
}

#[tokio::test]
async fn each_worker_has_one_connection_of_its_own() {
    let server = RedisServer::start(&[]);
    let handle = open(&settings(&server.url("")));
    let (one, two) = (handle.worker().sessions, handle.worker().sessions);
    for _ in 0..10 {
        let (a, b, c) = tokio::join!(one.now(), one.now(), two.now());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
    }
    let redis = inspect(&server.url("")).await;
    let clients = client_list(&redis).await;
    assert_eq!(clients.lines().count(), 3, "{clients}");
}
