//! A failover of Sentinel under a gateway that is in use: nobody who was signed in is told
//! otherwise, and nothing has to be restarted.

use std::sync::Arc;
use std::time::Duration;

use hufu::metrics::Metrics;
use hufu::session::token::tag_of;
use hufu::session::{Lookup, SessionToken};
use hufu::store::{self, StoreSettings};

use crate::helpers::{
    Gateway, Load, SENTINEL_PASSWORD, STEADY, SentinelGroup, answer_in_time, echo_upstream,
    follows, fresh_keys, new_session, replicated, session_of, until,
};

const HOUR: Duration = Duration::from_secs(3600);
const USERS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_failover_of_sentinels_signs_nobody_out() {
    let mut group = SentinelGroup::start();
    stores_without_requests_hear_of_a_new_master(&mut group).await;
    let (master, replica) = (1, 0);
    follows(&group.servers[replica]);

    let echo = echo_upstream();
    // With a grace the near cache may ride out the whole failover, and there is nothing to count.
    let config = format!(
        "{STEADY}session.near_cache.outage_grace = \"0s\"\nstore.sentinel_password = \"{SENTINEL_PASSWORD}\"\n{}",
        echo.route("/api", "required")
    );
    let gateway = Gateway::on(&group.url(), &config);
    let load = Load::start(&gateway, USERS).await;
    load.served().await;
    let before = load.tally();
    assert_eq!(before.unavailable, 0);
    // Any sentinel may die: the others are asked.
    group.kill_sentinel(0);
    replicated(&group.servers[master]);
    let port = group.servers[master].port();
    group.servers[master].kill();
    let what = "sentinel, kill -9 of the master";
    load.outage(&gateway, what, port, async || {
        group.watch_closely();
        until("another master", async || group.master() == Some(replica)).await;
        group.watch_at_ease();
    })
    .await;

    // What comes back as the old master is one no more.
    load.notices_nothing_of(&mut group.servers[master]).await;
    assert!(
        gateway
            .counted("hufu_store_refreshes_total{outcome=\"ok\"}")
            .await
            > 0
    );
    gateway.login("somebody new").await;
}

/// A frozen master is replaced; when it thaws it believes for a moment that it is still the master.
/// A worker that had no request meanwhile has an open connection to it, and would not find the
/// sessions made since; the same is true of the process's store.
async fn stores_without_requests_hear_of_a_new_master(group: &mut SentinelGroup) {
    let (keys, naming) = fresh_keys();
    // Longer than a machine stands still, and not as long as one may wait for the frozen master.
    let limit = Duration::from_secs(4);
    let settings = StoreSettings {
        connect_timeout: limit,
        timeout: limit,
        ..group.settings()
    };
    let metrics = Arc::new(Metrics::new());
    let handle = store::open(&settings, keys.clone(), naming.clone(), metrics).unwrap();
    let busy = handle.worker().sessions;
    let idle = [handle.worker().sessions, handle.process().sessions];
    busy.now().await.unwrap();
    for store in &idle {
        store.now().await.unwrap();
    }
    until("all stores to listen", async || group.listeners() == 3).await;
    // Whom they listen to may die: they listen to another one.
    group.kill_sentinel(0);
    until("all stores to listen again", async || {
        group.listeners() == 3
    })
    .await;
    group.start_sentinel_again(0);
    group.servers[0].freeze();
    group.watch_closely();
    until("another master", async || {
        let _ = answer_in_time(busy.now()).await;
        group.master() == Some(1)
    })
    .await;
    group.watch_at_ease();
    let now = until("the new master", async || busy.now().await.ok()).await;
    let session = session_of("alice", now);
    let id = SessionToken::issue(&keys, tag_of(&naming, &session.user)).id();
    until("a session on it", async || {
        busy.create(new_session(id, &session, HOUR)).await.ok()
    })
    .await;
    group.servers[0].thaw();
    for store in idle {
        let found = store.load(&id).await.unwrap();
        assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    }
    let probe = handle.probe();
    until("the probe to find the store well", async || {
        probe.check().await.ok()
    })
    .await;
}
