//! Access tokens of real processes: the operator's way to one, and `kill -9` in the middle of a
//! fetch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hufu::clock::monotonic_now;
use hufu::crypto::random;
use hufu::sandbox::SandboxSettings;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::helpers::{
    APPID, Gateway, GatewayBuilder, HttpAnswer, RedisServer, Slots, http, live_sandbox, until,
};
use crate::platforms::PATIENT;

const ADMIN_TOKEN: &str = "admin-token-that-nobody-may-see";
const PATH: &str = "/admin/api/apps/shop/access-token";

/// A gateway whose lease at the platform is two seconds longer than this timeout.
fn configured(store: &str, timeout: &str, more: &str) -> GatewayBuilder {
    let timeout = format!("apps.shop.timeout = \"{timeout}\"\n");
    let lines = format!("{PATIENT}admin.token = \"{ADMIN_TOKEN}\"\n{timeout}{more}");
    GatewayBuilder::new().store(store).config(lines)
}

async fn asked(gateway: &Gateway, path: &str) -> HttpAnswer {
    gateway.admin_get(path).bearer_auth(ADMIN_TOKEN).await
}

async fn token(gateway: &Gateway) -> String {
    let answer = asked(gateway, PATH).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn fetches(gateway: &Gateway) -> u64 {
    gateway.wechat.platform.calls("stable_token") + gateway.wechat.platform.calls("token")
}

#[tokio::test]
async fn an_operator_is_given_the_token_of_all_gateways_and_the_log_says_so() {
    let redis = RedisServer::start(&[]);
    let one = configured(&redis.url(""), "15s", "").start();
    let other = one.sibling();
    one.token("alice").await;
    let keys: Vec<String> = redis.ask(&["KEYS", "hufu:t:*"]).unwrap();
    assert_eq!((fetches(&one), keys), (0, vec![]), "nobody needs one");

    assert_eq!(one.admin_get(PATH).await.status(), 401);
    let unknown = asked(&one, "/admin/api/apps/nobody/access-token").await;
    assert_eq!(
        (unknown.status(), unknown.code()),
        (400, Some("app_unknown"))
    );
    assert_eq!(fetches(&one), 0);

    let answer = asked(&one, PATH).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert!((7000..=7200).contains(&body["expires_in"].as_u64().unwrap()));
    let given = body["access_token"].as_str().unwrap();
    assert_eq!(token(&other).await, given);
    assert_eq!(fetches(&one), 1);
    let audited = |gateway: &Gateway| {
        let log = gateway.stderr();
        log.matches("an operator was given the access token of an app")
            .count()
    };
    assert_eq!((audited(&one), audited(&other)), (1, 1));
    let fetched = r#"hufu_app_token_fetches_total{app="shop",outcome="ok"}"#;
    assert_eq!(one.counted(fetched).await, 1);
    let ends = r#"hufu_app_token_not_after_seconds{app="shop"}"#;
    assert!(one.counted(ends).await > 1_700_000_000);
}

#[tokio::test]
async fn an_operator_reads_why_there_is_no_token() {
    let gateway = configured("memory:", "15s", "").start();
    let addresses = json!({ "app": APPID, "addresses": ["203.0.113.7"] });
    let listed = http().post(gateway.wechat.server.at("/sandbox/addresses"));
    assert_eq!(listed.json(&addresses).await.status(), 204);
    let answer = asked(&gateway, PATH).await;
    assert_eq!(answer.code(), Some("misconfigured"));
    let problem = answer.json();
    assert_eq!(problem["platform_code"], 40164);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("invalid ip 127.0.0.1"), "{detail}");
    // Users sign in all the same.
    gateway.token("alice").await;
    assert_eq!(gateway.part("platforms").await["state"], "up");
}

#[tokio::test]
async fn a_leader_that_is_killed_is_followed_within_its_lease() {
    let redis = RedisServer::start(&[]);
    let classic = "apps.shop.access_token = \"classic\"\n";
    // Long enough for a busy machine to stall before the leader is killed.
    let mut leader = configured(&redis.url(""), "5s", classic).start();
    let other = leader.sibling();
    leader
        .fault(json!({ "api": "token", "times": 1, "delay_ms": 60_000 }))
        .await;
    let request = leader.admin_get(PATH).bearer_auth(ADMIN_TOKEN);
    let waits = tokio::spawn(request.try_send());
    until("the fetch to begin", async || fetches(&leader) == 1).await;
    leader.signal(Signal::SIGKILL);
    leader.ended();
    assert!(waits.await.unwrap().is_err());
    token(&other).await;
    assert_eq!(fetches(&other), 2);
}

/// Kills of each of two gateways.
const KILLS: usize = 50;

/// Tokens of three seconds, so that one is being fetched most of the time. Whatever was cut off in the
/// middle: every token that is handed out is good, and there is no storm of fetches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_cost_no_good_token_and_no_storm() {
    let seed = u64::from_be_bytes(random::bytes());
    println!("seed {seed}");
    let redis = RedisServer::start(&[]);
    let wechat = live_sandbox(SandboxSettings {
        token_life: Duration::from_secs(3),
        ..SandboxSettings::default()
    });
    let first = configured(&redis.url(""), "1s", "").start_with(Arc::new(wechat));
    let gateways = [first.sibling(), first];
    let wechat = gateways[0].wechat.clone();
    let given = AtomicUsize::new(0);
    let client = http();
    let began = monotonic_now();
    let ask = async |at| {
        let sent = monotonic_now();
        let request = client.get(format!("http://{at}{PATH}"));
        let Ok(answer) = request.bearer_auth(ADMIN_TOKEN).try_send().await else {
            return false;
        };
        let body = answer.json();
        if let Some(token) = body["access_token"].as_str() {
            let is_good = wechat.platform.knows_token(token);
            let promised = body["expires_in"].as_u64().unwrap();
            assert!(is_good || sent.elapsed().as_secs() >= promised, "{body}");
            given.fetch_add(1, Ordering::Relaxed);
        }
        true
    };
    let survivors =
        Slots::ask_under_kills(gateways, KILLS, seed, |gateway| gateway.admin, ask).await;
    let took = began.elapsed().as_secs();
    let fetched = fetches(&survivors[0]);
    println!(
        "{fetched} fetches in {took} s, {} tokens given",
        given.load(Ordering::Relaxed)
    );
    assert!(given.load(Ordering::Relaxed) > KILLS);
    assert!(
        fetched <= took + 2 * KILLS as u64 + 2,
        "{fetched} fetches in {took} s: one for each token, and one for each leader that died"
    );
    // The lease of one that was killed has to end before.
    let present = async |gateway: &Gateway| {
        let body = asked(gateway, PATH).await.json();
        body["access_token"].as_str().map(str::to_owned)
    };
    until("the gateways to agree", async || {
        let one = present(&survivors[0]).await;
        one.is_some() && one == present(&survivors[1]).await
    })
    .await;
}
