//! A `store.url` whose scheme is for another kind of server: the log of `serve`, `/readyz` and `hufu doctor` say what to write instead.

use crate::doctor::doctor;
use crate::helpers::gateway::{Gateway, Setup};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::sentinels::{SENTINEL_PASSWORD, SentinelGroup};
use crate::helpers::wait::until;

/// Whether all three say it; the doctor in one of its checks.
async fn all_say(store: &str, check: &str, config: &str, advice: &str) {
    let gateway = Gateway::with(&Setup { store: store.to_owned(), config: config.to_owned() });
    until(&format!("the log of {store} to say {advice}"), async || gateway.stderr().contains(advice).then_some(())).await;
    until(&format!("readiness of {store} to say {advice}"), async || {
        let (state, reason) = gateway.store_state().await;
        (state == "down" && reason.contains(advice)).then_some(())
    })
    .await;
    doctor(store, config).has("FAIL", check, &[advice]);
}

#[tokio::test]
async fn a_single_server_is_no_cluster_and_no_sentinel() {
    let server = RedisServer::start(&[]);
    let single = server.url("");
    all_say(&single.replace("redis://", "redis+cluster://").replace("/0", ""), "slots", "", "write redis:// in store.url").await;
    let sentinel = single.replace("redis://", "redis+sentinel://").replace("/0", "/sessions/0");
    all_say(&sentinel, "master", "", "it is no Sentinel: write redis:// in store.url").await;
}

#[tokio::test]
async fn a_sentinel_holds_no_data() {
    let group = SentinelGroup::start();
    let url = group.url();
    let (_, sentinels) = url.split_once('@').unwrap();
    let first = sentinels.split([',', '/']).next().unwrap();
    all_say(&format!("redis://default:{SENTINEL_PASSWORD}@{first}"), "role", "", "write redis+sentinel:// and the master's name in store.url").await;
}

#[tokio::test]
async fn a_port_without_tls_and_one_with_it_are_told_from_a_server_that_is_gone() {
    let (plain, encrypted) = (RedisServer::start(&[]), RedisServer::start_tls());
    let patience = "store.connect_timeout = \"1s\"\nstore.timeout = \"1s\"\n";
    let wrong = plain.url("").replace("redis://", "rediss://");
    let gateway = Gateway::with(&Setup { store: wrong.clone(), config: patience.to_owned() });
    until("readiness to name the scheme", async || gateway.store_state().await.1.contains("write redis:// in store.url").then_some(())).await;
    assert!(gateway.stderr().contains("write redis:// in store.url"), "{}", gateway.stderr());
    doctor(&wrong, "").has("FAIL", "connection", &["no TLS there", "write redis:// in store.url"]);
    all_say(&encrypted.url("").replace("rediss://", "redis://"), "connection", "", "write rediss://").await;
    let untrusted = encrypted.url("");
    all_say(&untrusted, "connection", "", "name the authority that has signed it in store.tls.ca").await;
}
