//! A `[store]` that is wrong for the server that is there: the log of `serve`, `/readyz` and `hufu
//! doctor` say the same cure.

use crate::helpers::{
    Certificates, Gateway, RedisServer, SENTINEL_PASSWORD, SentinelGroup, openssl, until,
};
use crate::operations::doctor::doctor;

/// Whether all three say it; the doctor in one of its checks.
async fn all_say(store: &str, check: &str, config: &str, advice: &str) {
    let gateway = Gateway::on(store, config);
    until(&format!("the log of {store} to say {advice}"), async || {
        gateway.stderr().contains(advice)
    })
    .await;
    until(
        &format!("readiness of {store} to say {advice}"),
        async || {
            let (state, reason) = gateway.store_state().await;
            state == "down" && reason.contains(advice)
        },
    )
    .await;
    doctor(store, config).has("FAIL", check, &[advice]);
}

#[tokio::test]
async fn a_single_server_is_no_cluster_and_no_sentinel() {
    let server = RedisServer::start(&[]);
    let single = server.url("");
    all_say(
        &single
            .replace("redis://", "redis+cluster://")
            .replace("/0", ""),
        "slots",
        "",
        "write redis:// in store.url",
    )
    .await;
    let sentinel = single
        .replace("redis://", "redis+sentinel://")
        .replace("/0", "/sessions/0");
    all_say(
        &sentinel,
        "master",
        "",
        "it is no Sentinel: write redis:// in store.url",
    )
    .await;
}

#[tokio::test]
async fn a_sentinel_holds_no_data() {
    let group = SentinelGroup::start();
    let url = group.url();
    let (_, sentinels) = url.split_once('@').unwrap();
    let first = sentinels.split([',', '/']).next().unwrap();
    all_say(
        &format!("redis://default:{SENTINEL_PASSWORD}@{first}"),
        "role",
        "",
        "write redis+sentinel:// and the master's name in store.url",
    )
    .await;
}

#[tokio::test]
async fn a_port_without_tls_and_one_with_it_are_told_from_a_server_that_is_gone() {
    let (plain, encrypted) = (RedisServer::start(&[]), RedisServer::start_tls());
    let patience = "store.connect_timeout = \"1s\"\nstore.timeout = \"1s\"\n";
    let wrong = plain.url("").replace("redis://", "rediss://");
    let gateway = Gateway::on(&wrong, patience);
    until("readiness to name the scheme", async || {
        gateway
            .store_state()
            .await
            .1
            .contains("write redis:// in store.url")
    })
    .await;
    gateway.logs("write redis:// in store.url").await;
    doctor(&wrong, "").has(
        "FAIL",
        "connection",
        &["speaks no TLS there", "write redis:// in store.url"],
    );
    all_say(
        &encrypted.url("").replace("rediss://", "redis://"),
        "connection",
        "",
        "write rediss://",
    )
    .await;
    let untrusted = encrypted.url("");
    all_say(
        &untrusted,
        "connection",
        "",
        "set store.tls.ca to the certificate itself or to that of its authority",
    )
    .await;
}

#[tokio::test]
async fn a_password_that_nobody_asked_for_is_no_failure() {
    let server = RedisServer::start(&[]);
    for near_cache in ["", "session.near_cache.capacity = 0\n"] {
        let config = format!("store.password = \"abc\"\n{near_cache}");
        let gateway = Gateway::on(&server.url(""), &config);
        gateway.login("alice").await;
        until("the store to be up", async || {
            gateway.store_state().await.0 == "up"
        })
        .await;
        let words = ["this Redis has no password", "remove store.password"];
        until("the log to say it", async || {
            words.iter().all(|word| gateway.stderr().contains(word))
        })
        .await;
        let said = doctor(&server.url(""), &config);
        said.has("warn", "password", &words);
        assert_eq!(said.code, 0, "{}", said.text);
    }
    // One that is needed and wrong stays wrong, and so does one for a user that is not there.
    let locked = RedisServer::start(&["--requirepass", "tiger"]);
    all_say(
        &locked.url(""),
        "connection",
        "store.password = \"abc\"\n",
        "check store.password",
    )
    .await;
    all_say(
        &server.url(""),
        "connection",
        "store.username = \"hufu\"\nstore.password = \"abc\"\n",
        "check store.username and store.password",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_not_taken_says_what_to_do_about_it() {
    let certificates = std::sync::Arc::new(Certificates::new());
    let server = RedisServer::start_with_certificates(&certificates, &["--tls-auth-clients", "no"]);
    let ca = |path: &std::path::Path| format!("store.tls.ca = \"{}\"\n", path.display());
    let other = Certificates::new();
    all_say(
        &server.url(""),
        "connection",
        &ca(&other.path("ca.pem")),
        "what store.tls.ca holds is another authority's",
    )
    .await;
    let name = server.url("").replace("127.0.0.1", "localhost");
    all_say(
        &name,
        "connection",
        &ca(&server.path("ca.pem")),
        "write a name that it has in store.url",
    )
    .await;
    // As `openssl req -x509` makes one without being told more.
    let own = [
        "--tls-cert-file",
        "ca.pem",
        "--tls-key-file",
        "own.key",
        "--tls-auth-clients",
        "no",
    ];
    let folder = tempfile::tempdir().unwrap();
    openssl(
        folder.path(),
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -keyout own.key -out own.pem",
    );
    let at = |name: &str| folder.path().join(name).display().to_string();
    let own = [
        own[0],
        &at("own.pem"),
        own[2],
        &at("own.key"),
        own[4],
        own[5],
    ];
    let alone = RedisServer::start_with_certificates(&certificates, &own);
    for config in [String::new(), ca(&folder.path().join("own.pem"))] {
        all_say(
            &alone.url(""),
            "connection",
            &config,
            "basicConstraints=critical,CA:FALSE",
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_that_is_gone_or_refuses_is_told_with_a_cure() {
    let mut server =
        RedisServer::start(&["--user", "hufu", "on", ">tiger", "+@all", "~other:*", "&*"]);
    all_say(&server.url("hufu:tiger@"), "rights", "", "~").await;
    let gateway = Gateway::on(&server.url("hufu:tiger@"), "");
    gateway.logs("may not touch all").await;
    until("readiness to say so", async || {
        let (_, reason) = gateway.store_state().await;
        reason.contains("may not touch all keys")
    })
    .await;
    gateway.assert_not_logged("cannot be reached");
    all_say(
        &server.url("").replace("/0", "/99"),
        "connection",
        "",
        "no database 99 for us: DB index is out of range",
    )
    .await;
    all_say(
        &server.url("").replace("127.0.0.1", "nothing.invalid"),
        "connection",
        "",
        "is the host in store.url right",
    )
    .await;
    server.kill();
    all_say(
        &server.url(""),
        "connection",
        "",
        "s it running, and is store.url right?",
    )
    .await;
}
