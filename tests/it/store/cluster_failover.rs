//! A cluster under a gateway that is in use: a master dies, slots move, a node joins. Nobody who
//! was signed in is told otherwise, and nothing has to be restarted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::metrics::Metrics;
use hufu::session::store::Created;
use hufu::session::{Lookup, SessionToken, Written};
use hufu::store::{self, StoreSettings};

use crate::helpers::{
    Gateway, Harness, Inspector, Load, RedisCluster, RedisServer, STEADY, answer_in_time,
    echo_upstream, follows, fresh_keys, new_session, replicated, session_of,
    store::{hasty_settings, open, settings, user},
    until,
};

const HOUR: Duration = Duration::from_secs(3600);
const USERS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cluster_loses_a_master_moves_slots_and_grows_and_signs_nobody_out() {
    let mut cluster = RedisCluster::start();
    stores_without_requests_ask_who_is_master(&cluster).await;
    let echo = echo_upstream();
    // With a grace the near cache may ride out the whole failover, and there is nothing to count.
    let config = format!(
        "{STEADY}session.near_cache.outage_grace = \"0s\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::on(&cluster.url(), &config);
    let load = Load::start(&gateway, USERS).await;
    load.served().await;
    assert_eq!(load.tally().unavailable, 0);
    assert_eq!(gateway.store_state().await.0, "up");

    a_master_dies(&mut cluster, &gateway, &load).await;
    slots_move(&cluster, &load).await;
    a_node_joins(&mut cluster, &gateway, &load).await;
    a_script_waits_for_its_slot(&cluster).await;
    gateway.login("somebody new").await;
}

/// A frozen master is replaced; when it thaws it believes for a moment that it is still the master.
/// A worker that had no request meanwhile has an open connection to it, and would not find the
/// sessions made since; the same is true of the process's store. There is nothing to listen to, so
/// after a silence another node is asked.
async fn stores_without_requests_ask_who_is_master(cluster: &RedisCluster) {
    let (keys, naming) = fresh_keys();
    // Half of it is how long the others may take to say who is master: longer than a machine stands
    // still.
    let silence = Duration::from_secs(6);
    let settings = StoreSettings {
        timeout: silence,
        ..settings(&cluster.url())
    };
    let metrics = Arc::new(Metrics::new());
    let handle = store::open(&settings, keys.clone(), naming.clone(), metrics).unwrap();
    let busy = handle.worker().sessions;
    let idle = [handle.worker().sessions, handle.process().sessions];
    let session = session_of("alice", busy.now().await.unwrap());
    let (slot, id) = loop {
        let id = SessionToken::issue(&keys, hufu::crypto::random::bytes()).id();
        let slot = slot_of(cluster, &id.tag);
        if cluster.owner(slot, 1) == Some(0) {
            break (slot, id);
        }
    };
    for store in &idle {
        assert!(matches!(store.load(&id).await.unwrap(), Lookup::Gone));
    }
    let idle_since = monotonic_now();
    cluster.nodes[0].freeze();
    cluster.watch_closely(0);
    until("another master", async || cluster.owner(slot, 1) != Some(0)).await;
    cluster.watch_at_ease(0);
    let made = until("a session on it", async || {
        busy.create(new_session(id, &session, HOUR)).await.ok()
    })
    .await;
    assert!(matches!(made, Created::Made(made) if made.evicted.is_empty()));
    // Only after this silence are others asked.
    until("the silence", async || idle_since.elapsed() > silence).await;
    cluster.nodes[0].thaw();
    for store in idle {
        let found = store.load(&id).await.unwrap();
        assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    }
    follows(&cluster.nodes[0]);
    cluster.is_healthy();
}

fn slot_of(cluster: &RedisCluster, tag: &[u8]) -> u16 {
    cluster
        .ask(
            1,
            &[
                "CLUSTER",
                "KEYSLOT",
                &hufu::crypto::encoding::base64url(tag),
            ],
        )
        .unwrap()
}

async fn a_master_dies(cluster: &mut RedisCluster, gateway: &Gateway, load: &Load) {
    let masters = cluster.masters_of(1);
    assert_eq!(masters.len(), 3);
    for master in &masters {
        replicated(&cluster.nodes[*master]);
    }
    let master = *masters.iter().find(|master| **master != 1).unwrap();
    let port = cluster.nodes[master].port();
    cluster.nodes[master].kill();
    let what = "cluster, kill -9 of one master of three";
    load.outage(gateway, what, port, async || {
        cluster.watch_closely(master);
        until("another master", async || {
            !cluster.masters_of(1).contains(&master)
        })
        .await;
        cluster.watch_at_ease(master);
    })
    .await;
    load.notices_nothing_of(&mut cluster.nodes[master]).await;
    cluster.is_healthy();
}

/// The slots of some users' sessions go to another node, key by key: ASK, then MOVED.
async fn slots_move(cluster: &RedisCluster, load: &Load) {
    let slots = slots_of(cluster, load);
    assert!(slots.len() > 4);
    for slot in slots.iter().take(4) {
        let from = cluster.owner(*slot, 1).unwrap();
        let to = cluster
            .masters_of(1)
            .into_iter()
            .find(|node| *node != from)
            .unwrap();
        cluster.begin_move(*slot, from, to);
        load.served().await;
        for key in cluster
            .keys(*slot, from)
            .iter()
            .filter(|key| key.contains(":s:"))
        {
            cluster.move_key(key, from, to);
        }
        load.served().await;
        cluster.end_move(*slot, from, to);
        load.served().await;
    }
    let moved = load.tally();
    println!("cluster, four slots moved key by key: {moved}");
    assert_eq!(
        moved.unavailable, 0,
        "reading needs no more than to ask the right node: {moved}"
    );
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
    cluster.is_healthy();
    for slot in slots_of(cluster, load).iter().take(6) {
        let from = cluster.owner(*slot, 1).unwrap();
        cluster.begin_move(*slot, from, newcomer);
        cluster.end_move(*slot, from, newcomer);
    }
    load.served().await;
    let grown = load.tally();
    println!("cluster, a node added and six slots moved there: {grown}");
    assert_eq!(grown.unavailable, 0, "{grown}");
    let series = format!(
        "hufu_store_connections_total{{node=\"127.0.0.1:{}\"}}",
        cluster.nodes[newcomer].port()
    );
    assert!(gateway.counted(&series).await > 0, "{series}");
}

/// While one of a script's keys has moved and the other has not, no node can run it: the call
/// waits, and when the move takes too long it is an error, never "there is no such session".
async fn a_script_waits_for_its_slot(cluster: &RedisCluster) {
    let h = Harness::looked_into(&settings(&cluster.url()), Inspector(Vec::new()));
    let id = h.sign_in(&user("mover"), HOUR, HOUR).await;
    let slot = slot_of(cluster, &id.tag);
    let from = cluster.owner(slot, 1).unwrap();
    let to = cluster
        .masters_of(1)
        .into_iter()
        .find(|node| *node != from)
        .unwrap();
    cluster.begin_move(slot, from, to);
    for key in cluster
        .keys(slot, from)
        .iter()
        .filter(|key| key.contains(":s:"))
    {
        cluster.move_key(key, from, to);
    }
    assert!(h.alive(&id).await);
    let hasty = h.beside(&hasty_settings(&cluster.url())).await;
    until("the call to be put off for too long", async || {
        let removed = answer_in_time(hasty.store().remove(&id, &user("mover"))).await;
        let error = removed.unwrap_err();
        error.reason.contains("TRYAGAIN")
    })
    .await;
    let (mover, before) = (user("mover"), put_off(cluster, from));
    let (removed, ()) = tokio::join!(h.store().remove(&id, &mover), async {
        until("the call to be put off", async || {
            put_off(cluster, from) > before
        })
        .await;
        cluster.end_move(slot, from, to);
    });
    assert_eq!(removed.unwrap(), Written::Done);
    assert!(!h.alive(&id).await);
}

/// How many calls a node has put off because of a slot that is on the move.
fn put_off(cluster: &RedisCluster, node: usize) -> u32 {
    let errors: String = cluster.ask(node, &["INFO", "errorstats"]).unwrap();
    errors
        .lines()
        .find_map(|line| {
            line.strip_prefix("errorstat_TRYAGAIN:count=")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

#[tokio::test]
async fn a_cluster_that_freezes_gives_errors_in_time_and_recovers() {
    let cluster = RedisCluster::start_small();
    let patient = Harness::looked_into(&settings(&cluster.url()), Inspector(Vec::new()));
    let id = patient.sign_in(&user("o1"), HOUR, HOUR).await;
    let h = patient.beside(&hasty_settings(&cluster.url())).await;
    cluster.nodes.iter().for_each(RedisServer::freeze);
    for _ in 0..3 {
        answer_in_time(h.store().load(&id)).await.unwrap_err();
        answer_in_time(h.store().now()).await.unwrap_err();
        answer_in_time(h.store().remove(&id, &user("o1")))
            .await
            .unwrap_err();
    }
    cluster.nodes.iter().for_each(RedisServer::thaw);
    until("the session", async || {
        h.store()
            .load(&id)
            .await
            .ok()
            .filter(|found| matches!(found, Lookup::Found(_)))
    })
    .await;
    // A cluster without all its slots says so, in the words of an operator.
    let plain = open(&settings(&cluster.nodes[0].url("hufu:tiger@"))).worker();
    let error = until("a key of another node", async || {
        let mut key = [0; 16];
        key[0] = hufu::crypto::random::bytes::<1>()[0];
        plain.login_codes.reserve(&key, HOUR).await.err()
    })
    .await;
    assert!(error.reason.contains("redis+cluster://"), "{error}");
}
