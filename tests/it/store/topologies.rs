//! Groups of Redis servers: logins, certificates, replicas that are waited for, and what is said
//! when something is wrong.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use hufu::metrics::{Exposition, Metrics};
use hufu::secret::Secret;
use hufu::session::token::tag_of;
use hufu::session::{
    Blocked, ClaimsChange, ClaimsPatch, Lookup, NewSession, PatchLife, Rotated, Rotation,
    SessionToken, Written,
};
use hufu::store::{self, RedisTls, StoreSettings, StoreUrl};

use crate::helpers::{
    Certificates, Harness, Inspector, RedisCluster, RedisServer, SentinelGroup, answer_in_time,
    follows, fresh_keys, new_session, session_of,
    store::{made, open, settings, user},
    until,
};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_revocation_waits_for_replicas_and_holds_up_nobody_else() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&[
        "--replicaof",
        "127.0.0.1",
        &master.port().to_string(),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    follows(&replica);
    let (keys, naming, metrics) = (fresh_keys().0, fresh_keys().1, Arc::new(Metrics::new()));
    let open = |timeout: u64| {
        let settings = StoreSettings {
            wait_replicas: 1,
            timeout: Duration::from_secs(timeout),
            ..settings(&master.url(""))
        };
        let opened = store::open(&settings, keys.clone(), naming.clone(), metrics.clone());
        opened.unwrap().worker()
    };
    let stores = open(30);
    let (store, users) = (stores.sessions, stores.users);
    let sign_in = async || {
        let session = session_of("o1", store.now().await.unwrap());
        let id = SessionToken::issue(&keys, tag_of(&naming, &session.user)).id();
        store.create(new_session(id, &session, HOUR)).await.unwrap();
        id
    };
    let waits = || {
        let page = metrics.encode(Exposition::Text).unwrap();
        let of = |outcome: &str| {
            page.lines().find_map(|line| {
                line.strip_prefix(&format!(
                    "hufu_store_replica_waits_total{{outcome=\"{outcome}\"}} "
                ))?
                .parse()
                .ok()
            })
        };
        (of("replicated").unwrap_or(0), of("short").unwrap_or(0))
    };
    let id = sign_in().await;
    assert_eq!(store.remove(&id, &user("o1")).await.unwrap(), Written::Done);
    let left: u32 = replica.ask(&["DBSIZE"]).unwrap();
    assert_eq!((waits(), left), ((1, 0), 0), "the replica has it already");

    sign_in().await;
    assert_eq!(
        (store.remove_all(&user("o1")).await.unwrap(), waits()),
        (1, (2, 0))
    );

    let oldest = sign_in().await;
    let session = session_of("o1", store.now().await.unwrap());
    let fresh = || SessionToken::issue(&keys, tag_of(&naming, &session.user)).id();
    let newest = fresh();
    let created = made(
        store
            .create(NewSession {
                max_per_user: 1,
                ..new_session(newest, &session, HOUR)
            })
            .await
            .unwrap(),
    );
    assert_eq!(
        (created.evicted, waits()),
        (vec![oldest], (3, 0)),
        "an eviction ends a session too"
    );
    let to = fresh();
    let Lookup::Found(loaded) = store.load(&newest).await.unwrap() else {
        panic!("it lives")
    };
    let rotation = Rotation {
        from: newest,
        to,
        session: &session,
        read: loaded.stamp,
        idle: HOUR,
        until: session.created,
        answer: b"",
    };
    assert!(matches!(
        store.rotate(rotation).await.unwrap(),
        Rotated::Done { .. }
    ));
    let left: u32 = replica.ask(&["DBSIZE"]).unwrap();
    assert_eq!(
        (waits(), left),
        ((4, 0), 2),
        "the old token is gone there, the new one and the index are there"
    );
    assert_eq!(store.remove(&to, &user("o1")).await.unwrap(), Written::Done);

    // Whoever is blocked, or has lost a role, stays so after a failover.
    let patch: ClaimsPatch = serde_json::from_str(r#"{"role":null}"#).unwrap();
    let other = user("o2");
    let changed = users.change_claims(&other, &patch, PatchLife::Lasting);
    assert!(matches!(changed.await.unwrap(), ClaimsChange::Done { .. }));
    let blocked = users.block(&other, None, "").await.unwrap();
    assert!(matches!(blocked, Blocked::Done { .. }));
    let left: u32 = replica.ask(&["DBSIZE"]).unwrap();
    assert_eq!((waits(), left), ((7, 0), 1));

    let (kept, ended, other) = (sign_in().await, sign_in().await, sign_in().await);
    replica.freeze();
    let user = user("o1");
    let is_answered = Cell::new(false);
    let removal = async {
        let removed = store.remove(&ended, &user).await;
        is_answered.set(true);
        removed
    };
    let lookups = async {
        until("the wait for the replica", async || {
            let clients: String = master.ask(&["INFO", "clients"]).unwrap();
            clients.contains("blocked_clients:1\r")
        })
        .await;
        for _ in 0..20 {
            assert!(matches!(store.load(&kept).await.unwrap(), Lookup::Found(_)));
        }
        assert!(!is_answered.get(), "the revocation waits");
        replica.thaw();
    };
    let (removed, ()) = tokio::join!(removal, lookups);
    assert_eq!(removed.unwrap(), Written::Done);
    assert_eq!(waits(), (8, 0));
    assert!(matches!(store.load(&ended).await.unwrap(), Lookup::Gone));

    replica.freeze();
    let removed = open(4).sessions.remove(&other, &user).await;
    assert_eq!(removed.unwrap(), Written::Done, "the revocation stands");
    assert_eq!(waits(), (8, 1));
    assert!(matches!(store.load(&other).await.unwrap(), Lookup::Gone));
}

#[tokio::test]
async fn servers_that_want_a_certificate_get_one() {
    let certificates = Arc::new(Certificates::new());
    let server = RedisServer::start_with_certificates(&certificates, &[]);
    let cluster = RedisCluster::start_tls(&certificates);
    let cluster_url = format!("rediss+cluster://{}", cluster.addresses());
    for url in [server.url(""), cluster_url] {
        let trusting = RedisTls {
            ca: Some(certificates.read("ca.pem")),
            cert: None,
            key: None,
        };
        let stranger = StoreSettings {
            tls: trusting.clone(),
            ..settings(&url)
        };
        answer_in_time(open(&stranger).worker().sessions.now())
            .await
            .unwrap_err();
        let known = RedisTls {
            cert: Some(certificates.read("client.pem")),
            key: Some(Secret::new(certificates.read("client.key"))),
            ..trusting
        };
        let known = StoreSettings {
            tls: known,
            ..settings(&url)
        };
        let h = Harness::looked_into(&known, Inspector(Vec::new()));
        h.recovers().await;
        // Users of all nodes.
        for number in 0..8 {
            let id = h.sign_in(&user(&format!("o{number}")), HOUR, HOUR).await;
            assert!(h.alive(&id).await);
        }
        let probe = open(&known).probe();
        until("the probe to find the store well", async || {
            probe.check().await.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn sentinels_that_are_not_there_or_refuse_are_named() {
    let group = SentinelGroup::start();
    let error = open(&settings(&group.url()))
        .worker()
        .sessions
        .now()
        .await
        .unwrap_err();
    assert!(error.reason.contains("store.sentinel_password"), "{error}");
    let probe = open(&settings(&group.url())).probe();
    until("the probe to name the key", async || {
        let error = probe.check().await.unwrap_err();
        error.reason.contains("store.sentinel_password")
    })
    .await;
    let unknown = StoreUrl::parse(&group.url().replace("/sessions/", "/other/")).unwrap();
    let error = open(&StoreSettings {
        url: unknown,
        ..group.settings()
    })
    .worker()
    .sessions
    .now()
    .await
    .unwrap_err();
    assert!(
        error.reason.contains("knows no master \"other\""),
        "{error}"
    );
    for nowhere in [
        "redis+sentinel://127.0.0.1:1/sessions",
        "redis+cluster://127.0.0.1:1",
    ] {
        let store = open(&settings(nowhere)).worker().sessions;
        let error = store.now().await.unwrap_err();
        assert!(
            error
                .reason
                .to_lowercase()
                .contains("127.0.0.1:1: connection refused"),
            "{error}"
        );
    }
    let no_cluster = settings(
        &group.servers[0]
            .url("")
            .replace("redis://", "redis+cluster://"),
    );
    let error = open(&no_cluster).worker().sessions.now().await.unwrap_err();
    assert!(error.reason.contains("cluster support disabled"), "{error}");
}
