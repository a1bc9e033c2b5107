//! `hufu doctor`: real servers in every state that it has to tell apart, and nothing but its output
//! is looked at.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::sandbox::{AcceptedApps, SandboxApp, SandboxSettings};
use hufu::secret::Secret;
use serde_json::{Value, json};

use crate::helpers::cluster::RedisCluster;
use crate::helpers::gateway::{APP_SECRET, APPID, Setup, configuration, route};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::sentinels::{SENTINEL_PASSWORD, SentinelGroup, shipped_user};
use crate::helpers::servers::{Sandbox, echo_upstream, http, sandbox};
use crate::helpers::wait::until_blocking;
use crate::store::redis_conf::shipped_configuration;

/// Of everything: a machine that runs all tests at once is slow, and a doctor that hangs is slower.
const BOUND: Duration = Duration::from_secs(30);

/// What it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Said {
    /// The lines of one check, without their first words.
    pub(crate) fn lines(&self, check: &str) -> Vec<&str> {
        let lines: Vec<_> = self
            .text
            .lines()
            .filter(|line| {
                line.contains(&format!("  {check}  ")) || line.contains(&format!(" {check}  "))
            })
            .collect();
        assert!(!lines.is_empty(), "no line about {check}:\n{}", self.text);
        lines
    }

    /// That a check has a line with this verdict and these words.
    pub(crate) fn has(&self, verdict: &str, check: &str, words: &[&str]) -> &Self {
        let fits =
            |line: &&str| line.starts_with(verdict) && words.iter().all(|word| line.contains(word));
        assert!(
            self.lines(check).iter().any(fits),
            "no {verdict} about {check} with {words:?}:\n{}",
            self.text
        );
        self
    }

    /// The lines that are worse than a note.
    fn troubles(&self) -> Vec<&str> {
        self.text
            .lines()
            .filter(|line| line.starts_with("warn") || line.starts_with("FAIL"))
            .collect()
    }
}

/// A well sandbox and a well backend with the store and further lines of configuration.
pub(crate) fn doctor(store: &str, config: &str) -> Said {
    doctor_with(store, config, &sandbox(SandboxSettings::default()))
}

fn doctor_with(store: &str, config: &str, wechat: &Sandbox) -> Said {
    let upstream = echo_upstream();
    // With patience for a machine that runs all tests at once.
    let patience = "store.connect_timeout = \"5s\"\nstore.timeout = \"5s\"\n";
    let config = format!(
        "{patience}{config}\n{}",
        route("/api", &upstream.url, "required")
    );
    run(
        &Setup {
            store: store.to_owned(),
            config,
        },
        &wechat.server.url,
        &[],
    )
}

fn run(setup: &Setup, wechat: &str, more: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hufu.toml");
    let config = configuration(setup, wechat);
    std::fs::write(&path, &config).unwrap();
    let started = monotonic_now();
    let output = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .arg("doctor")
        .args(more)
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    let said = Said {
        code: output.status.code().unwrap(),
        text: String::from_utf8(output.stdout).unwrap(),
    };
    let everything = format!("{}{}", said.text, String::from_utf8_lossy(&output.stderr));
    let keys = config
        .lines()
        .filter_map(|line| line.strip_prefix("secrets."))
        .filter_map(|line| line.split('"').nth(1));
    for secret in keys.chain([APP_SECRET, SENTINEL_PASSWORD, "tiger"]) {
        assert!(
            !everything.contains(secret),
            "a secret is in the output:\n{everything}"
        );
    }
    said
}

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

/// The words of a report that are the same at every run: none with a digit, no unit.
fn words(report: &str) -> Vec<String> {
    let lasting = |word: &&str| {
        !word.contains(|c: char| c.is_ascii_digit()) && !matches!(*word, "KiB" | "MiB")
    };
    report
        .lines()
        .map(|line| {
            line.split_whitespace()
                .filter(lasting)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn a_healthy_gateway_gets_the_report_of_the_docs() {
    let server = RedisServer::start_with_file(&shipped_configuration("tiger"), &[]);
    let said = doctor(&server.url("hufu:tiger@"), "");
    assert_eq!(
        (said.code, said.troubles()),
        (0, Vec::new()),
        "{}",
        said.text
    );
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"))
        .unwrap();
    let sample = page
        .split("$ hufu doctor\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    // The test's upstream has a name with digits.
    assert_eq!(
        words(&sample.replace("upstream orders", "upstream")),
        words(&said.text),
        "docs/operations.md shows another report than\n{}",
        said.text
    );
}

#[test]
fn a_script_gets_json_and_nothing_is_written() {
    let (server, wechat, upstream) = (
        RedisServer::start(&[]),
        sandbox(SandboxSettings::default()),
        echo_upstream(),
    );
    let setup = Setup {
        store: server.url(""),
        config: route("/api", &upstream.url, "required"),
    };
    let said = run(&setup, &wechat.server.url, &["--json"]);
    let report: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(
        (said.code, report["counts"]["fail"].as_u64()),
        (0, Some(0)),
        "{report}"
    );
    assert!(
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|diagnostic| diagnostic["check"] == "version" && diagnostic["verdict"] == "ok")
    );
    assert_eq!(server.ask::<u64>(&["DBSIZE"]).unwrap(), 0);
    assert_eq!(wechat.platform.calls("jscode2session"), 1);
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_as_check_tells_it() {
    let said = run(
        &Setup {
            store: "redis://h:x".to_owned(),
            config: String::new(),
        },
        "http://127.0.0.1:1",
        &[],
    );
    assert_eq!((said.code, said.text.as_str()), (2, ""));
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
        &Setup {
            store: encrypted,
            config: route("/api", &web.url, "required"),
        },
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
fn a_frozen_redis_and_a_silent_backend_end_in_time() {
    let (server, silent) = (
        RedisServer::start(&[]),
        TcpListener::bind(("127.0.0.1", 0)).unwrap(),
    );
    server.freeze();
    // It accepts and never answers, as a frozen platform does.
    let platform = format!("http://{}", silent.local_addr().unwrap());
    let said = run(
        &Setup {
            store: server.url(""),
            config: route("/api", "http://127.0.0.1:1", "required"),
        },
        &platform,
        &[],
    );
    assert_eq!(said.code, 1);
    said.has("FAIL", "connection", &["no answer in time"])
        .has("FAIL", "secret", &["has not answered"])
        .has("FAIL", "endpoint", &["refused"]);
    server.thaw();
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
        said.text
            .contains("TLS, its certificate is verified")
            .then_some(())
    });
    doctor(&server.url(""), "").has("FAIL", "connection", &["certificate"]);
}

#[test]
fn a_cluster_is_looked_at_as_a_whole_and_node_by_node() {
    let mut cluster = RedisCluster::start_small();
    let well = doctor(&cluster.url(), "");
    well.has("ok", "slots", &["all 16384 covered, by 3 masters"])
        .has("ok", "rights", &["21 commands"])
        .has("warn", "replicas", &["0 online"]);
    assert_eq!(
        (well.code, well.lines("rights").len()),
        (0, 3),
        "{}",
        well.text
    );
    for node in 0..3 {
        cluster
            .ask::<()>(node, &["CLUSTER", "DELSLOTS", "7", "8"])
            .unwrap();
    }
    let holes = doctor(&cluster.url(), "");
    holes.has("FAIL", "slots", &["16382 of 16384", "2 have no master"]);
    cluster.nodes[2].kill();
    doctor(&cluster.url(), "").has("FAIL", "connection", &["refused"]);
    let alone = RedisServer::start(&[]);
    doctor(&alone.url("").replace("redis://", "redis+cluster://"), "").has(
        "FAIL",
        "slots",
        &["write redis:// in store.url"],
    );
}

#[test]
fn sentinels_are_asked_one_by_one() {
    let mut group = SentinelGroup::start();
    let login = format!(
        "store.sentinel_username = \"watcher\"\nstore.sentinel_password = \"{SENTINEL_PASSWORD}\"\nstore.wait_replicas = 1\n"
    );
    // Where a busy machine has just made the sentinels doubt their master, a moment later.
    let well = until_blocking("the group to be well", || {
        let said = doctor(&group.url(), &login);
        (said.code == 0 && said.text.contains("say all 3 sentinels")).then_some(said)
    });
    well.has("ok", "sentinels", &["say all 3 sentinels"])
        .has("ok", "announcements", &[])
        .has("note", "quorum", &["+sentinel|master"]);
    well.has("ok", "replicas", &["1 online; logouts wait for 1"])
        .has("ok", "rights", &["21 commands"])
        .has("ok", "role", &["a replica"]);
    let replica = &group.servers[1 - group.master().unwrap()];
    replica
        .ask::<()>(&["ACL", "SETUSER", "hufu", "-role"])
        .unwrap();
    let replica = format!("redis 127.0.0.1:{}", replica.port());
    doctor(&group.url(), &login).has("FAIL", "rights", &[&replica, "may not run role"]);
    let all_rights = format!(
        "store.sentinel_username = \"default\"\nstore.sentinel_password = \"{SENTINEL_PASSWORD}\"\n"
    );
    doctor(&group.url(), &all_rights).has("ok", "quorum", &["3 sentinels, quorum 2, 1 replicas"]);
    let other = doctor(&group.url().replace("/sessions/", "/nobody/"), &login);
    other
        .has("FAIL", "sentinels", &["none of 3"])
        .has("FAIL", "master", &["knows no master"]);
    group.kill_sentinel(0);
    doctor(&group.url(), &login)
        .has("warn", "sentinels", &["say 2 of 3"])
        .has("FAIL", "connection", &["refused"]);
}

#[test]
fn wechat_says_what_is_wrong_with_the_app() {
    let (server, apps) = (RedisServer::start(&[]), |appid: &str, secret: &str| {
        let app = SandboxApp {
            appid: appid.to_owned(),
            secret: Secret::new(secret.to_owned()),
        };
        sandbox(SandboxSettings {
            apps: AcceptedApps::Only(vec![app]),
            ..SandboxSettings::default()
        })
    });
    let of = |wechat: &Sandbox| doctor_with(&server.url(""), "", wechat);
    of(&apps(APPID, APP_SECRET)).has("ok", "secret", &["takes the secret of"]);
    of(&apps(APPID, "another")).has("FAIL", "secret", &["40125", "apps.shop.secret"]);
    of(&apps("wx1", APP_SECRET)).has("FAIL", "secret", &["40013", "apps.shop.appid"]);
    let any = sandbox(SandboxSettings {
        accept_unknown_codes: true,
        ..SandboxSettings::default()
    });
    of(&any).has("warn", "secret", &["sandbox and not WeChat"]);
}

#[test]
fn each_way_not_to_reach_wechat_has_its_own_cure() {
    let (web, wechat) = (echo_upstream(), sandbox(SandboxSettings::default()));
    let of = |config: &str, base: &str| {
        run(
            &Setup {
                store: "memory:".to_owned(),
                config: format!("{config}{}", route("/", &web.url, "none")),
            },
            base,
            &[],
        )
    };
    let encrypted = wechat.server.url.replace("http://", "https://");
    of("", &encrypted).has(
        "FAIL",
        "secret",
        &["speaks no TLS there", "write http:// in apps.shop.base_url"],
    );
    of("", "http://127.0.0.1:1").has("FAIL", "secret", &["refused", "nobody listens there"]);
    of("", "http://nothing.invalid").has(
        "FAIL",
        "secret",
        &[
            "does not resolve",
            "is the host in apps.shop.base_url right",
        ],
    );
    of("", &format!("{}/nowhere", wechat.server.url)).has(
        "FAIL",
        "secret",
        &["HTTP status 404", "leave apps.shop.base_url out"],
    );
    of("platforms.proxy = \"http://127.0.0.1:1\"\n", &encrypted).has(
        "FAIL",
        "secret",
        &["the proxy", "is platforms.proxy right"],
    );
}

#[tokio::test]
async fn an_address_that_wechat_does_not_list_is_told() {
    let (server, wechat) = (RedisServer::start(&[]), sandbox(SandboxSettings::default()));
    let answer =
        json!({ "errcode": 40164, "errmsg": "invalid ip 203.0.113.7, not in whitelist, rid: 1-2" });
    let fault = json!({ "api": "jscode2session", "times": 1, "body": answer.to_string() });
    let ordered = http()
        .post(wechat.server.at("/sandbox/faults"))
        .json(&fault)
        .send()
        .await
        .unwrap();
    assert!(ordered.status().is_success(), "{ordered:?}");
    doctor_with(&server.url(""), "", &wechat).has("FAIL", "secret", &["40164", "IP whitelist"]);
}

#[test]
fn every_address_of_the_platform_and_every_backend_is_tried() {
    let (server, wechat) = (RedisServer::start(&[]), sandbox(SandboxSettings::default()));
    let config = configuration(
        &Setup {
            store: server.url(""),
            config: route("/a", "http://nothing.invalid:9", "required"),
        },
        "BASE",
    );
    let config = config.replace(
        "\"BASE\"",
        &format!("[\"{}\", \"http://127.0.0.1:1\"]", wechat.server.url),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hufu.toml"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .arg("doctor")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = Said {
        code: output.status.code().unwrap(),
        text: String::from_utf8(output.stdout).unwrap(),
    };
    said.has("ok", "secret", &["takes the secret"])
        .has("FAIL", "secret", &["127.0.0.1:1", "refused"])
        .has("FAIL", "endpoint", &["does not resolve"]);
    assert_eq!(said.code, 1);
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("hufu: 2 checks failed\n"));
}
