//! What is said of one Redis.

use super::{doctor, run};
use crate::helpers::{
    GatewayBuilder, RedisCluster, RedisServer, echo_upstream, sentinels::shipped_user,
    until_blocking,
};
use crate::store::redis_conf::shipped_configuration;

/// A server with the user of redis.conf, changed by these rules.
fn server_with_user(rules: &[&str]) -> RedisServer {
    let user = shipped_user();
    let user: Vec<&str> = user
        .iter()
        .map(String::as_str)
        .chain(rules.iter().copied())
        .collect();
    RedisServer::start(&user)
}

#[test]
fn a_redis_that_is_gone_or_refuses_the_password_fails() {
    let mut server = server_with_user(&[]);
    let wrong = doctor(&server.url("hufu:lion@"), "");
    wrong.has(
        "FAIL",
        "connection",
        &["check store.username and store.password"],
    );
    server.kill();
    let gone = doctor(&server.url("hufu:tiger@"), "");
    gone.has("FAIL", "connection", &["refused", "503"]);
    assert_eq!((wrong.code, gone.code), (1, 1));
}

#[test]
fn a_missing_login_is_no_answer() {
    let acl = RedisServer::start_with_file(&shipped_configuration("tiger"), &[]);
    let password = server_with_user(&["--requirepass", "tiger"]);
    let database = password.url("").replace("/0", "/3");
    for store in [acl.url(""), password.url(""), database] {
        let said = doctor(&store, "");
        said.has(
            "FAIL",
            "connection",
            &[
                "the server requires a login (NOAUTH)",
                "set store.username and store.password",
            ],
        );
        assert_eq!((said.code, said.troubles().len()), (1, 1), "{}", said.text);
        assert!(!said.text.contains("rights"), "{}", said.text);
    }
}

#[test]
fn a_database_that_is_not_to_be_had_is_named() {
    let server = server_with_user(&[]);
    let of = |login: &str, number: &str| doctor(&server.url(login).replace("/0", number), "");
    of("hufu:tiger@", "/3").has(
        "FAIL",
        "connection",
        &["no database 3 for us", "`+select`", "store.key_prefix"],
    );
    of("", "/99").has(
        "FAIL",
        "connection",
        &[
            "no database 99 for us: DB index is out of range",
            "leave the number out",
        ],
    );
}

#[test]
fn another_server_at_the_port_is_told_from_a_redis() {
    let (web, plain) = (echo_upstream(), RedisServer::start(&[]));
    doctor(&web.url.replace("http://", "redis://"), "").has(
        "FAIL",
        "connection",
        &["the server there is not Redis", "host and port"],
    );
    let encrypted = plain.url("").replace("redis://", "rediss://");
    let said = run(
        &GatewayBuilder::new()
            .store(encrypted)
            .config(web.route("/api", "required")),
        &web.url,
        &[],
    );
    said.has(
        "FAIL",
        "connection",
        &["it speaks no TLS there", "redis://"],
    );
}

#[test]
fn missing_rights_are_named_one_by_one() {
    let server = server_with_user(&["-evalsha", "-hmget", "-dbsize", "-client|tracking"]);
    let said = doctor(&server.url("hufu:tiger@"), "");
    assert_eq!(said.code, 1);
    said.has(
        "FAIL",
        "rights",
        &[
            "hufu may not run evalsha, hmget →",
            "`ACL SETUSER hufu +evalsha +hmget`",
        ],
    );
    said.has(
        "warn",
        "rights",
        &[
            "hufu may not run dbsize: `hufu sessions count`",
            "`ACL SETUSER hufu +dbsize`",
        ],
    );
    said.has(
        "ok",
        "near cache",
        &["pubsub, since", "CLIENT TRACKING: the ACL user may not"],
    );
    let deaf = doctor(
        &server_with_user(&["-client|tracking", "-subscribe", "-publish"]).url("hufu:tiger@"),
        "",
    );
    deaf.has(
        "warn",
        "near cache",
        &[
            "no SUBSCRIBE: the ACL user may not",
            "every lookup calls Redis",
        ],
    )
    .has("warn", "rights", &["may not run publish"]);

    let keys = doctor(
        &server_with_user(&["resetkeys", "~other:*"]).url("hufu:tiger@"),
        "",
    );
    keys.has(
        "FAIL",
        "rights",
        &["may not touch all of hufu:*", "~hufu:*"],
    );
    let blind = doctor(&server_with_user(&["-info"]).url("hufu:tiger@"), "");
    blind.has("warn", "rights", &["may not run info"]);
    assert_eq!(blind.code, 0);
}

#[test]
fn rights_that_the_configuration_does_not_need_are_not_asked_for() {
    let server = server_with_user(&["-wait", "-role", "-asking", "-cluster|slots"]);
    assert_eq!(doctor(&server.url("hufu:tiger@"), "").code, 0);
    let waiting = doctor(&server.url("hufu:tiger@"), "store.wait_replicas = 1");
    waiting.has("FAIL", "rights", &["may not run wait →"]).has(
        "FAIL",
        "replicas",
        &["0 online", "wait_replicas = 1"],
    );
}

#[test]
fn what_redis_does_when_it_is_full_or_crashes_is_judged() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let said = doctor(&server.url(""), "");
    said.has("FAIL", "eviction", &["allkeys-lru", "noeviction"])
        .has("warn", "memory", &["no limit"]);
    said.has("warn", "persistence", &["nothing is kept"]);
    assert_eq!(said.code, 1);
    server
        .ask::<()>(&[
            "CONFIG",
            "SET",
            "save",
            "3600 1",
            "maxmemory",
            "1gb",
            "maxmemory-policy",
            "noeviction",
        ])
        .unwrap();
    let better = doctor(&server.url(""), "");
    better
        .has("ok", "eviction", &[])
        .has("ok", "memory", &["1.0 GiB"])
        .has("warn", "persistence", &["snapshots only"]);
    assert_eq!(better.code, 0);
}

#[test]
fn gateways_on_a_server_without_resp3_tell_each_other() {
    let server = RedisServer::start(&["--rename-command", "HELLO", ""]);
    let said = doctor(&server.url(""), "");
    said.has(
        "ok",
        "near cache",
        &["pubsub, since", "no RESP3", "a message came through"],
    )
    .has("ok", "rights", &[]);
    assert_eq!(said.code, 0);
    let wanted = doctor(&server.url(""), "session.near_cache.push = \"tracking\"");
    wanted.has(
        "warn",
        "near cache",
        &["no RESP3", "every lookup calls Redis"],
    );
    let off = doctor(&server.url(""), "session.near_cache.push = \"off\"");
    off.has("note", "near cache", &["off"]);
}

#[test]
fn a_default_user_that_lost_its_permissions_is_a_trap() {
    let server = server_with_user(&[
        "+acl|getuser",
        "--appendonly",
        "yes",
        "--user",
        "default",
        "off",
        "resetpass",
        "-@all",
    ]);
    let said = doctor(&server.url("hufu:tiger@"), "");
    said.has(
        "warn",
        "default user",
        &["restart loses all sessions", "redis/redis#14541"],
    );
}

#[test]
fn a_replica_and_a_node_of_a_cluster_are_not_the_store() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    doctor(&replica.url(""), "").has("FAIL", "role", &["replica"]);
    let node = RedisCluster::node();
    doctor(&node.url("hufu:tiger@"), "").has("FAIL", "role", &["redis+cluster://"]);
}

#[test]
fn the_certificate_is_verified() {
    let server = RedisServer::start_tls();
    let ca = format!("store.tls.ca = \"{}\"", server.path("ca.pem").display());
    until_blocking("TLS to be up", || {
        let said = doctor(&server.url(""), &ca);
        said.text.contains("TLS, its certificate is verified")
    });
    doctor(&server.url(""), "").has("FAIL", "connection", &["certificate"]);
}
