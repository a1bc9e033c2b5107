//! `hufu doctor`: real servers in every state that it has to tell apart, and nothing but its output
//! is looked at.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

mod platform;
mod server;

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::sandbox::SandboxSettings;
use serde_json::Value;

use crate::helpers::{
    APP_SECRET, GatewayBuilder, HASTY, RedisCluster, RedisServer, SENTINEL_PASSWORD, Sandbox,
    SentinelGroup, echo_upstream, route, sandbox, until_blocking,
};
use crate::store::redis_conf::shipped_configuration;

/// Of everything: a machine that runs all tests at once is slow, and a doctor that hangs is slower.
const BOUND: Duration = Duration::from_secs(60);

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
    let config = format!("{patience}{config}\n{}", upstream.route("/api", "required"));
    run(
        &GatewayBuilder::new().store(store).config(config),
        &wechat.server.url,
        &[],
    )
}

fn run(setup: &GatewayBuilder, wechat: &str, more: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hufu.toml");
    let config = setup.text(wechat);
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
    let setup = GatewayBuilder::new().store(server.url("")).config(route(
        "/api",
        &upstream.url,
        "required",
    ));
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
        &GatewayBuilder::new().store("redis://h:x"),
        "http://127.0.0.1:1",
        &[],
    );
    assert_eq!((said.code, said.text.as_str()), (2, ""));
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
        &GatewayBuilder::new()
            .store(server.url(""))
            .config(HASTY.to_owned() + &route("/api", "http://127.0.0.1:1", "required")),
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
fn a_cluster_is_looked_at_as_a_whole_and_node_by_node() {
    let mut cluster = RedisCluster::start_small();
    let well = doctor(&cluster.url(), "");
    well.has("ok", "slots", &["all 16384 covered, by 3 masters"])
        .has("ok", "rights", &["25 commands"])
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
        .has("ok", "rights", &["25 commands"])
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
