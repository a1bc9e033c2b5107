//! Failovers, moving slots and new nodes under a gateway that is in use: nobody who was signed in is told otherwise, and
//! nothing has to be restarted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hufu::clock::{UnixMillis, monotonic_now};
use hufu::metrics::Metrics;
use hufu::secret::Secret;
use hufu::session::token::tag_of;
use hufu::session::{Lookup, Session, SessionToken, Written};
use hufu::store::{self, StoreSettings, StoreTls, StoreUrl};
use serde_json::Value;

use crate::helpers::cluster::RedisCluster;
use crate::helpers::gateway::{Gateway, Setup, route};
use crate::helpers::load::Load;
use crate::helpers::redis_server::{Certificates, RedisServer};
use crate::helpers::sentinels::{SENTINEL_PASSWORD, SentinelGroup, info, replicated};
use crate::helpers::servers::{echo_upstream, http};
use crate::helpers::store::{Harness, Inspector, answer_within_two_seconds, fresh_keys, new_session, open, settings, user};
use crate::helpers::wait::{until, until_blocking};

const HOUR: Duration = Duration::from_secs(3600);
const USERS: usize = 24;

fn sentinel_settings(group: &SentinelGroup) -> StoreSettings {
    let mut settings = settings(&group.url());
    settings.sentinel_login.username = Some("watcher".to_owned());
    settings.sentinel_login.password = Some(Secret::new(SENTINEL_PASSWORD.to_owned()));
    settings
}

async fn store_state(gateway: &Gateway) -> (String, String) {
    let ready: Value = http().get(gateway.admin_at("/readyz")).send().await.unwrap().json().await.unwrap();
    let store = &ready["parts"]["store"];
    (store["state"].as_str().unwrap().to_owned(), store["reason"].as_str().unwrap_or_default().to_owned())
}

/// The value of a counter on the metrics page.
async fn counted(gateway: &Gateway, series: &str) -> u64 {
    let page = http().get(gateway.admin_at("/metrics")).send().await.unwrap().text().await.unwrap();
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0)
}

fn follows(server: &RedisServer) {
    until_blocking("the old master to follow the new one", || info(server, "replication").contains("master_link_status:up").then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_failover_of_sentinels_signs_nobody_out() {
    let mut group = SentinelGroup::start();
    a_worker_without_requests_hears_of_a_new_master(&group).await;
    let (master, replica) = (1, 0);
    follows(&group.servers[replica]);

    let echo = echo_upstream();
    let config = format!("store.sentinel_password = \"{SENTINEL_PASSWORD}\"\n{}", route("/api", &echo.url, "required"));
    let gateway = Gateway::with(&Setup { store: group.url(), config });
    let load = Load::start(&gateway, USERS).await;
    load.served().await;
    let before = load.tally();
    assert_eq!(before.unavailable, 0);
    // Any sentinel may die: the others are asked.
    group.kill_sentinel(0);
    replicated(&group.servers[master]);
    let killed = monotonic_now();
    group.servers[master].kill();
    load.turned_away().await;
    let (state, reason) = store_state(&gateway).await;
    assert!(state == "down" && reason.contains(&format!("127.0.0.1:{}", group.servers[master].port())), "{state} {reason}");
    load.served().await;
    let took = killed.elapsed();
    let during = load.tally();
    println!("sentinel, kill -9 of the master under {USERS} users: served again after {took:?}; {during}");
    assert!(during.unavailable > 0 && during.ok > 0 && during.outage < Duration::from_secs(10), "{during}");
    assert_eq!(store_state(&gateway).await.0, "up");

    // What comes back as the old master is one no more, and nobody notices.
    group.servers[master].start_again(&[]);
    follows(&group.servers[master]);
    load.served().await;
    let after = load.tally();
    assert_eq!(after.unavailable, 0, "{after}");
    assert!(counted(&gateway, "hufu_store_refreshes_total{outcome=\"ok\"}").await > 0);
    gateway.login("somebody new").await;
}

/// A frozen master is replaced; when it thaws it believes for a moment that it is still the master. A worker that had no
/// request meanwhile has an open connection to it, and would not find the sessions made since.
async fn a_worker_without_requests_hears_of_a_new_master(group: &SentinelGroup) {
    let (keys, naming) = fresh_keys();
    let handle = store::open(&sentinel_settings(group), keys.clone(), naming.clone(), Arc::new(Metrics::new())).unwrap();
    let (busy, idle) = (handle.for_worker(), handle.for_worker());
    busy.now().await.unwrap();
    idle.now().await.unwrap();
    until("both workers to listen", async || (group.listeners() == 2).then_some(())).await;
    group.servers[0].freeze();
    until("another master", async || {
        let _ = answer_within_two_seconds(busy.now()).await;
        (group.master() == Some(1)).then_some(())
    })
    .await;
    let now = until("the new master", async || busy.now().await.ok()).await;
    let session = session_of("alice", now);
    let id = SessionToken::issue(&keys, tag_of(&naming, &session.user)).id();
    busy.create(new_session(id, &session, HOUR)).await.unwrap();
    group.servers[0].thaw();
    let found = idle.load(&id).await.unwrap();
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    handle.probe().check().await.unwrap();
}

fn session_of(subject: &str, now: UnixMillis) -> Session {
    Session {
        user: user(subject),
        unionid: None,
        created: now,
        absolute_deadline: now.plus(HOUR),
        client_address: None,
        device: String::new(),
        claims: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cluster_loses_a_master_moves_slots_and_grows_and_signs_nobody_out() {
    let mut cluster = RedisCluster::start();
    a_worker_without_requests_asks_who_is_master(&cluster).await;
    let echo = echo_upstream();
    let gateway = Gateway::with(&Setup { store: cluster.url(), config: route("/api", &echo.url, "required") });
    let load = Load::start(&gateway, USERS).await;
    load.served().await;
    assert_eq!(load.tally().unavailable, 0);
    assert_eq!(store_state(&gateway).await.0, "up");

    a_master_dies(&mut cluster, &gateway, &load).await;
    slots_move(&cluster, &load).await;
    a_node_joins(&mut cluster, &gateway, &load).await;
    a_script_waits_for_its_slot(&cluster).await;
    gateway.login("somebody new").await;
}

/// As above, of a cluster: there is nothing to listen to, so after a silence another node is asked.
async fn a_worker_without_requests_asks_who_is_master(cluster: &RedisCluster) {
    let (keys, naming) = fresh_keys();
    let handle = store::open(&settings(&cluster.url()), keys.clone(), naming.clone(), Arc::new(Metrics::new())).unwrap();
    let (busy, idle) = (handle.for_worker(), handle.for_worker());
    let session = session_of("alice", busy.now().await.unwrap());
    let (slot, id) = loop {
        let id = SessionToken::issue(&keys, hufu::crypto::random::bytes()).id();
        let slot = slot_of(cluster, &id.tag);
        if cluster.owner(slot, 1) == Some(0) {
            break (slot, id);
        }
    };
    assert!(matches!(idle.load(&id).await.unwrap(), Lookup::Gone));
    cluster.nodes[0].freeze();
    until("another master", async || (cluster.owner(slot, 1) != Some(0)).then_some(())).await;
    let made = until("a session on it", async || busy.create(new_session(id, &session, HOUR)).await.ok()).await;
    assert!(made.evicted.is_empty());
    cluster.nodes[0].thaw();
    let found = idle.load(&id).await.unwrap();
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    follows(&cluster.nodes[0]);
    cluster.is_well();
}

fn slot_of(cluster: &RedisCluster, tag: &[u8]) -> u16 {
    cluster.ask(1, &["CLUSTER", "KEYSLOT", &hufu::crypto::encoding::base64url(tag)]).unwrap()
}

async fn a_master_dies(cluster: &mut RedisCluster, gateway: &Gateway, load: &Load) {
    let masters = cluster.masters_of(1);
    assert_eq!(masters.len(), 3);
    for master in &masters {
        replicated(&cluster.nodes[*master]);
    }
    let master = *masters.iter().find(|master| **master != 1).unwrap();
    let killed = monotonic_now();
    cluster.nodes[master].kill();
    load.turned_away().await;
    let (state, reason) = store_state(gateway).await;
    assert!(state == "down" && reason.contains(&format!("127.0.0.1:{}", cluster.nodes[master].port())), "{state} {reason}");
    load.served().await;
    let took = killed.elapsed();
    let during = load.tally();
    println!("cluster, kill -9 of one master of three under {USERS} users: served again after {took:?}; {during}");
    assert!(during.unavailable > 0 && during.ok > 0 && during.outage < Duration::from_secs(10), "{during}");
    until("readiness", async || (store_state(gateway).await.0 == "up").then_some(())).await;
    cluster.nodes[master].start_again(&[]);
    follows(&cluster.nodes[master]);
    cluster.is_well();
    load.served().await;
    let after = load.tally();
    assert_eq!(after.unavailable, 0, "{after}");
}

/// The slots of some users' sessions go to another node, key by key: ASK, then MOVED.
async fn slots_move(cluster: &RedisCluster, load: &Load) {
    let slots = slots_of(cluster, load);
    assert!(slots.len() > 4);
    for slot in slots.iter().take(4) {
        let from = cluster.owner(*slot, 1).unwrap();
        let to = cluster.masters_of(1).into_iter().find(|node| *node != from).unwrap();
        cluster.begin_move(*slot, from, to);
        load.served().await;
        for key in cluster.keys(*slot, from).iter().filter(|key| key.contains(":s:")) {
            cluster.move_key(key, from, to);
        }
        load.served().await;
        cluster.end_move(*slot, from, to);
        load.served().await;
    }
    let moved = load.tally();
    println!("cluster, four slots moved key by key: {moved}");
    assert_eq!(moved.unavailable, 0, "reading needs no more than to ask the right node: {moved}");
}

/// The slots of all sessions.
fn slots_of(cluster: &RedisCluster, load: &Load) -> BTreeSet<u16> {
    let ids = load.tokens().into_iter().map(|token| token[5..].to_owned());
    let slots = ids.map(|token| {
        let bytes: [u8; 38] = hufu::crypto::encoding::from_base64url(&token).unwrap();
        slot_of(cluster, &bytes[..2])
    });
    slots.collect()
}

/// A node that nobody has named to the gateway takes slots over.
async fn a_node_joins(cluster: &mut RedisCluster, gateway: &Gateway, load: &Load) {
    cluster.nodes.push(RedisCluster::node());
    let newcomer = cluster.nodes.len() - 1;
    cluster.meet(newcomer);
    cluster.is_well();
    for slot in slots_of(cluster, load).iter().take(6) {
        let from = cluster.owner(*slot, 1).unwrap();
        cluster.begin_move(*slot, from, newcomer);
        cluster.end_move(*slot, from, newcomer);
    }
    load.served().await;
    let grown = load.tally();
    println!("cluster, a node added and six slots moved there: {grown}");
    assert_eq!(grown.unavailable, 0, "{grown}");
    let series = format!("hufu_store_connections_total{{node=\"127.0.0.1:{}\"}}", cluster.nodes[newcomer].port());
    assert!(counted(gateway, &series).await > 0, "{series}");
}

/// While one of a script's keys has moved and the other has not, no node can run it: the call waits, and when the move
/// takes too long it is an error, never "there is no such session".
async fn a_script_waits_for_its_slot(cluster: &RedisCluster) {
    let h = Harness::looked_into(&settings(&cluster.url()), Inspector(Vec::new()));
    let id = h.sign_in(&user("mover"), HOUR, HOUR).await;
    let slot = slot_of(cluster, &id.tag);
    let from = cluster.owner(slot, 1).unwrap();
    let to = cluster.masters_of(1).into_iter().find(|node| *node != from).unwrap();
    cluster.begin_move(slot, from, to);
    for key in cluster.keys(slot, from).iter().filter(|key| key.contains(":s:")) {
        cluster.move_key(key, from, to);
    }
    assert!(h.alive(&id).await);
    let error = answer_within_two_seconds(h.store().remove(&id, &user("mover"))).await.unwrap_err();
    assert!(error.reason.contains("TRYAGAIN"), "{error}");
    let mover = user("mover");
    let (removed, ()) = tokio::join!(h.store().remove(&id, &mover), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.end_move(slot, from, to);
    });
    assert_eq!(removed.unwrap(), Written::Done);
    assert!(!h.alive(&id).await);
}

#[tokio::test]
async fn a_cluster_that_freezes_gives_errors_in_time_and_recovers() {
    let cluster = RedisCluster::start_small();
    let h = Harness::looked_into(&settings(&cluster.url()), Inspector(Vec::new()));
    let id = h.sign_in(&user("o1"), HOUR, HOUR).await;
    cluster.nodes.iter().for_each(RedisServer::freeze);
    for _ in 0..3 {
        answer_within_two_seconds(h.store().load(&id)).await.unwrap_err();
        answer_within_two_seconds(h.store().now()).await.unwrap_err();
        answer_within_two_seconds(h.store().remove(&id, &user("o1"))).await.unwrap_err();
    }
    cluster.nodes.iter().for_each(RedisServer::thaw);
    until("the session", async || h.store().load(&id).await.ok().filter(|found| matches!(found, Lookup::Found(_)))).await;
    // A cluster without all its slots says so, in the words of an operator.
    let plain = open(&settings(&cluster.nodes[0].url("hufu:tiger@"))).for_worker();
    let error = until("a key of another node", async || {
        let mut key = [0; 16];
        key[0] = hufu::crypto::random::bytes::<1>()[0];
        plain.reserve(&key, HOUR).await.err()
    })
    .await;
    assert!(error.reason.contains("redis+cluster://"), "{error}");
}

#[tokio::test]
async fn a_revocation_waits_for_replicas_and_holds_up_nobody_else() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port().to_string(), "--repl-diskless-sync-delay", "0"]);
    follows(&replica);
    let (keys, naming, metrics) = (fresh_keys().0, fresh_keys().1, Arc::new(Metrics::new()));
    let settings = StoreSettings { wait_replicas: 1, ..settings(&master.url("")) };
    let store = store::open(&settings, keys.clone(), naming.clone(), metrics.clone()).unwrap().for_worker();
    let sign_in = async || {
        let session = session_of("o1", store.now().await.unwrap());
        let id = SessionToken::issue(&keys, tag_of(&naming, &session.user)).id();
        store.create(new_session(id, &session, HOUR)).await.unwrap();
        id
    };
    let waits = || {
        let page = metrics.encode().unwrap();
        let of =
            |outcome: &str| page.lines().find_map(|line| line.strip_prefix(&format!("hufu_store_replica_waits_total{{outcome=\"{outcome}\"}} "))?.parse().ok());
        (of("replicated").unwrap_or(0), of("short").unwrap_or(0))
    };
    let id = sign_in().await;
    assert_eq!(store.remove(&id, &user("o1")).await.unwrap(), Written::Done);
    let left: u32 = replica.ask(&["DBSIZE"]).unwrap();
    assert_eq!((waits(), left), ((1, 0), 0), "the replica has it already");

    let (kept, ended) = (sign_in().await, sign_in().await);
    replica.freeze();
    let started = monotonic_now();
    let user = user("o1");
    let (removed, looked_up) = tokio::join!(answer_within_two_seconds(store.remove(&ended, &user)), async {
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let sent = monotonic_now();
            assert!(matches!(store.load(&kept).await.unwrap(), Lookup::Found(_)));
            longest = longest.max(sent.elapsed());
        }
        longest
    });
    assert_eq!(removed.unwrap(), Written::Done, "the revocation stands");
    assert!(started.elapsed() >= Duration::from_millis(350) && looked_up < Duration::from_millis(300), "{looked_up:?}");
    assert_eq!(waits(), (1, 1));
    assert!(matches!(store.load(&ended).await.unwrap(), Lookup::Gone));
}

#[tokio::test]
async fn servers_that_want_a_certificate_get_one() {
    let certificates = Arc::new(Certificates::new());
    let server = RedisServer::start_with_certificates(&certificates, &[]);
    let cluster = RedisCluster::start_tls(&certificates);
    let cluster_url = format!("rediss+cluster://{}", cluster.addresses());
    for url in [server.url(""), cluster_url] {
        let trusting = StoreTls { ca: Some(certificates.read("ca.pem")), cert: None, key: None };
        let stranger = StoreSettings { tls: trusting.clone(), ..settings(&url) };
        answer_within_two_seconds(open(&stranger).for_worker().now()).await.unwrap_err();
        let known = StoreTls { cert: Some(certificates.read("client.pem")), key: Some(Secret::new(certificates.read("client.key"))), ..trusting };
        let known = StoreSettings { tls: known, ..settings(&url) };
        let h = Harness::looked_into(&known, Inspector(Vec::new()));
        h.recovers().await;
        // Users of all nodes.
        for number in 0..8 {
            let id = h.sign_in(&user(&format!("o{number}")), HOUR, HOUR).await;
            assert!(h.alive(&id).await);
        }
        open(&known).probe().check().await.unwrap();
    }
}

#[tokio::test]
async fn sentinels_that_are_not_there_or_refuse_are_named() {
    let group = SentinelGroup::start();
    let error = open(&settings(&group.url())).for_worker().now().await.unwrap_err();
    assert!(error.reason.contains("store.sentinel_password"), "{error}");
    let probe = open(&settings(&group.url())).probe().check().await.unwrap_err();
    assert!(probe.reason.contains("store.sentinel_password"), "{probe}");
    let unknown = StoreUrl::parse(&group.url().replace("/sessions/", "/other/")).unwrap();
    let error = open(&StoreSettings { url: unknown, ..sentinel_settings(&group) }).for_worker().now().await.unwrap_err();
    assert!(error.reason.contains("knows no master \"other\""), "{error}");
    let nowhere = settings("redis+sentinel://127.0.0.1:1/sessions");
    let error = open(&nowhere).for_worker().now().await.unwrap_err();
    assert!(error.reason.to_lowercase().contains("127.0.0.1:1: connection refused"), "{error}");
    let nowhere = settings("redis+cluster://127.0.0.1:1");
    let error = open(&nowhere).for_worker().now().await.unwrap_err();
    assert!(error.reason.to_lowercase().contains("127.0.0.1:1: connection refused"), "{error}");
    let no_cluster = settings(&group.servers[0].url("").replace("redis://", "redis+cluster://"));
    let error = open(&no_cluster).for_worker().now().await.unwrap_err();
    assert!(error.reason.contains("cluster support disabled"), "{error}");
}
