//! One access token per app for all gateways: two brokers, as two processes have them, on one store
//! and one platform.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use hufu::broker::TokenBroker;
use hufu::clock::{SystemClock, UnixMillis, monotonic_now};
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::identity::{
    AccessToken, App, AppTokenError, AppTokenSource, NewToken, PlatformTokens, TokenGrant,
    TokenLease, TokenName, TokenUse,
};
use hufu::metrics::{Exposition, Metrics};
use hufu::provider::api::PlatformApi;
use hufu::provider::client::PlatformClient;
use hufu::provider::registry::platform;
use hufu::provider::settings::AppSettings;
use hufu::sandbox::SandboxSettings;
use hufu::secret::Secret;
use hufu::session::ProviderKind;
use hufu::store;
use serde_json::{Value, json};

use super::patient;
use crate::helpers::{APPID, RedisServer, Sandbox, fresh_keys, http, live_sandbox, sandbox, until};

const MINUTE: Duration = Duration::from_secs(60);

/// A store, a platform, and what all gateways have the same.
struct Scene {
    store: String,
    wechat: Sandbox,
    keys: (Arc<Keyring>, Arc<NamingKey>),
    grant: TokenGrant,
}

/// What a process has.
struct Process {
    tokens: Arc<dyn AppTokenSource>,
    store: Arc<dyn PlatformTokens>,
    app: App,
    metrics: Arc<Metrics>,
}

impl Scene {
    fn new(store: &str) -> Self {
        Self {
            store: store.to_owned(),
            wechat: sandbox(SandboxSettings::default()),
            keys: fresh_keys(),
            grant: TokenGrant::Stable,
        }
    }

    fn process(&self) -> Process {
        let metrics = Arc::new(Metrics::new());
        let (keys, naming) = self.keys.clone();
        let settings = patient(&self.store);
        let handle = store::open(&settings, keys, naming, metrics.clone()).unwrap();
        let stores = handle.process();
        let clock = Arc::new(SystemClock);
        let tokens = stores.tokens.clone();
        let broker = TokenBroker::new(tokens, stores.component, clock, metrics.clone());
        Process {
            tokens: Arc::new(broker),
            store: stores.tokens,
            app: self.app(),
            metrics,
        }
    }

    fn app(&self) -> App {
        let kind = ProviderKind::WechatMiniProgram;
        let secret = Secret::new("5ec2e7of7he7ige25ec2e7of7he7ige2".to_owned());
        let settings = AppSettings {
            base_urls: vec![self.wechat.server.url.clone()],
            // A busy machine may stall within any call.
            timeout: Duration::from_secs(15),
            token_grant: self.grant,
            ..platform(kind).app("shop", APPID, secret)
        };
        let client = PlatformClient::new(Default::default()).unwrap();
        let metrics = Arc::new(Metrics::new());
        let api = PlatformApi::new(settings, client, Arc::new(SystemClock), metrics).unwrap();
        App::new("shop".into(), APPID.into(), Arc::new(api))
    }

    fn fetches(&self) -> u64 {
        let platform = &self.wechat.platform;
        platform.calls("stable_token") + platform.calls("token")
    }

    async fn fault(&self, fault: Value) {
        let order = http().post(self.wechat.server.at("/sandbox/faults"));
        assert_eq!(order.json(&fault).await.status(), 204);
    }

    /// Calls the platform as whoever uses a token does.
    async fn call(&self, token: AccessToken) -> TokenUse<i64> {
        let asked = http()
            .get(self.wechat.server.at("/wxa/checksession"))
            .query(&[("access_token", token.text.expose().as_str())]);
        let answer = asked.await.json();
        match answer["errcode"].as_i64().unwrap() {
            40001 => TokenUse::Refused("40001".to_owned()),
            other => TokenUse::Taken(other),
        }
    }

    async fn used(&self, process: &Process) -> Result<i64, AppTokenError> {
        let call = |token| self.call(token);
        process.tokens.with_token(&process.app, call).await
    }
}

impl Process {
    async fn token(&self) -> Result<AccessToken, AppTokenError> {
        self.tokens.token(&self.app).await
    }

    async fn text(&self) -> String {
        self.token().await.unwrap().text.expose().clone()
    }

    fn counted(&self, series: &str) -> bool {
        let page = self.metrics.encode(Exposition::Text).unwrap();
        page.lines().any(|line| line == series)
    }

    /// Puts a token into the store that was fetched a while ago.
    async fn store_old(&self, text: &str, age: Duration) {
        let name = TokenName {
            appid: APPID.into(),
            authorizer: None,
            kind: "access",
        };
        let lease = self.store.lease(&name, None, MINUTE).await.unwrap();
        let TokenLease::Leader { now, ticket } = lease else {
            panic!("{lease:?}")
        };
        let new = NewToken {
            text: &Secret::new(text.to_owned()),
            fetched_at: UnixMillis(now.0 - u64::try_from(age.as_millis()).unwrap()),
            expires_in: 60 * MINUTE,
            rest: Duration::from_millis(1),
        };
        let _ = self.store.keep(&name, &ticket, &new).await.unwrap();
        // Before that nobody may fetch another one.
        tokio::time::sleep(2 * new.rest).await;
    }
}

fn is_unavailable<T>(outcome: &Result<T, AppTokenError>) -> bool {
    matches!(outcome, Err(AppTokenError::Unavailable { .. }))
}

#[tokio::test]
async fn a_hundred_tasks_of_two_gateways_cost_one_fetch() {
    let redis = RedisServer::start(&[]);
    let scene = Scene::new(&redis.url(""));
    let (one, other) = (scene.process(), scene.process());
    assert_eq!(scene.fetches(), 0, "nothing is fetched before it is needed");
    let tasks = (0..50).flat_map(|_| [one.text(), other.text()]);
    let mut tokens = join_all(tasks).await;
    assert_eq!(tokens.len(), 100);
    tokens.dedup();
    assert_eq!((tokens.len(), scene.fetches()), (1, 1));
    assert!(
        one.counted(r#"hufu_app_token_fetches_total{app="shop",outcome="ok"} 1"#)
            || other.counted(r#"hufu_app_token_fetches_total{app="shop",outcome="ok"} 1"#)
    );
    // A process that starts later finds it.
    assert_eq!(scene.process().text().await, tokens[0]);
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_token_that_ends_early_costs_one_fetch_however_many_calls_are_refused() {
    let redis = RedisServer::start(&[]);
    let scene = Scene::new(&redis.url(""));
    let (one, other) = (scene.process(), scene.process());
    one.store_old("ended-by-somebody-else", MINUTE).await;
    for process in [&one, &other] {
        assert_eq!(process.text().await, "ended-by-somebody-else");
    }
    let calls = (0..50).flat_map(|_| [scene.used(&one), scene.used(&other)]);
    for outcome in join_all(calls).await {
        // The signature is missing, and the token was taken.
        assert!(outcome.unwrap() != 40001);
    }
    assert_eq!(scene.fetches(), 1);
    assert_eq!(one.text().await, other.text().await);
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_not_fetched_again() {
    let redis = RedisServer::start(&[]);
    let scene = Scene::new(&redis.url(""));
    let (one, other) = (scene.process(), scene.process());
    let refused = json!({ "errcode": 40001, "errmsg": "invalid credential" });
    scene
        .fault(json!({ "api": "checksession", "times": 100, "body": refused }))
        .await;
    for process in [&one, &other, &one, &other] {
        for outcome in join_all((0..5).map(|_| scene.used(process))).await {
            assert!(is_unavailable(&outcome), "{outcome:?}");
        }
    }
    assert_eq!(scene.fetches(), 1);
    let calls = scene.wechat.platform.calls("checksession");
    assert!(
        calls <= 20,
        "a call is repeated with another token only: {calls}"
    );
    assert!(one.counted(r#"hufu_app_token_refusals_total{app="shop"} 10"#));
}

#[tokio::test]
async fn a_fetch_that_brings_the_refused_token_again_is_the_last_for_a_while() {
    let redis = RedisServer::start(&[]);
    let scene = Scene::new(&redis.url(""));
    let (one, other) = (scene.process(), scene.process());
    let same = scene.process().text().await;
    redis.ask::<()>(&["FLUSHALL"]).unwrap();
    one.store_old(&same, MINUTE).await;
    let call = |_: AccessToken| async { TokenUse::<()>::Refused("42001".to_owned()) };
    for process in [&one, &other] {
        for _ in 0..10 {
            let outcome = process.tokens.with_token(&process.app, call).await;
            assert!(is_unavailable(&outcome), "{outcome:?}");
        }
    }
    assert_eq!(scene.fetches(), 2, "the test's own, and one");
    assert!(one.counted(r#"hufu_app_token_fetches_total{app="shop",outcome="same"} 1"#));
    // One API may have been wrong: the others get the token that the platform gives.
    for process in [&one, &other] {
        assert_eq!(process.text().await, same);
    }
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_within_its_lease() {
    let redis = RedisServer::start(&[]);
    let scene = Scene::new(&redis.url(""));
    let process = scene.process();
    let name = TokenName {
        appid: APPID.into(),
        authorizer: None,
        kind: "access",
    };
    let lease = Duration::from_millis(700);
    let dead = process.store.lease(&name, None, lease).await.unwrap();
    assert!(matches!(dead, TokenLease::Leader { .. }));
    assert!(process.token().await.is_ok());
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_late_token_is_thrown_away() {
    let redis = RedisServer::start(&[]);
    let mut scene = Scene::new(&redis.url(""));
    scene.grant = TokenGrant::Classic;
    let (late, prompt) = (scene.process(), scene.process());
    scene
        .fault(json!({ "api": "token", "times": 1, "delay_ms": 4000 }))
        .await;
    let follow = async {
        until("the fetch to begin", async || scene.fetches() == 1).await;
        // As if the first had been stopped for longer than its lease.
        let lease = format!("hufu:t:{{{APPID}}}:access:lease");
        redis.ask::<()>(&["DEL", &lease]).unwrap();
        prompt.text().await
    };
    let (of_late, of_prompt) = tokio::join!(late.text(), follow);
    assert_eq!(of_late, of_prompt);
    assert_eq!(scene.wechat.platform.calls("token"), 2);
    assert!(late.counted(r#"hufu_app_token_fetches_total{app="shop",outcome="late"} 1"#));
}

#[tokio::test]
async fn a_failed_fetch_leaves_the_lease_to_the_next_gateway() {
    let redis = RedisServer::start(&[]);
    let scene = Scene::new(&redis.url(""));
    let (unlisted, listed) = (scene.process(), scene.process());
    let body = json!({ "errcode": 40164, "errmsg": "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 1-2-3" });
    scene
        .fault(json!({ "api": "stable_token", "times": 1, "body": body }))
        .await;
    for _ in 0..5 {
        let outcome = unlisted.token().await;
        let Err(AppTokenError::Misconfigured { reason, .. }) = &outcome else {
            panic!("{outcome:?}")
        };
        assert!(reason.contains("203.0.113.7"), "{reason}");
    }
    assert_eq!(scene.fetches(), 1, "it does not try again for a while");
    let keys: Vec<String> = redis.ask(&["KEYS", "*"]).unwrap();
    assert_eq!(keys, [""; 0]);
    let token = listed.text().await;
    assert_eq!(unlisted.text().await, token, "the other one has fetched it");
    assert_eq!(scene.fetches(), 2);
}

/// What docs/platform-api.md says of outages.
#[tokio::test]
async fn what_works_without_the_store_without_the_platform_and_without_both() {
    let mut redis = RedisServer::start(&[]);
    let mut scene = Scene::new(&redis.url(""));
    scene.grant = TokenGrant::Classic;
    let (old, cold) = (scene.process(), scene.process());
    let shared = old.text().await;
    assert_eq!(scene.wechat.platform.calls("token"), 1);

    // Without the platform: what the store has.
    let down = json!({ "api": "token", "times": 1000, "status": 503 });
    scene.fault(down).await;
    assert_eq!(cold.text().await, shared);

    // Without both: what the process has.
    redis.kill();
    let down = json!({ "api": "stable_token", "times": 1, "status": 503 });
    scene.fault(down).await;
    assert_eq!(old.text().await, shared);
    let newcomer = scene.process();
    assert!(is_unavailable(&newcomer.token().await));

    // Without the store: a stable token of its own, for each process the same.
    let (one, other) = (scene.process(), scene.process());
    let own = one.text().await;
    assert_ne!(own, shared);
    assert_eq!(other.text().await, own);
    assert_eq!(old.text().await, shared, "its own is still good");
    let fetched = scene.wechat.platform.calls("stable_token");
    for _ in 0..10 {
        assert_eq!(one.text().await, own);
    }
    assert_eq!(scene.wechat.platform.calls("stable_token"), fetched);
    assert_eq!(scene.wechat.platform.calls("token"), 1, "classic disturbs");
}

#[tokio::test]
async fn a_token_that_is_used_is_refreshed_before_it_ends() {
    let redis = RedisServer::start(&[]);
    let mut scene = Scene::new(&redis.url(""));
    let life = Duration::from_secs(5);
    scene.wechat = live_sandbox(SandboxSettings {
        token_life: life,
        ..SandboxSettings::default()
    });
    let (one, other) = (scene.process(), scene.process());
    let mut seen = BTreeSet::new();
    let (mut last, mut in_time) = (one.token().await.unwrap(), 0);
    let (mut looked, mut stalled) = (monotonic_now(), None);
    until(
        "two tokens that came before the end of the one before",
        async || {
            let used = [scene.used(&one).await, scene.used(&other).await];
            let present = one.token().await;
            // A machine that stalls may let a token end on its way, and the next one too.
            if looked.elapsed() > Duration::from_millis(500) {
                stalled = Some(monotonic_now());
            }
            looked = monotonic_now();
            let is_calm = stalled.is_none_or(|at| at.elapsed() > Duration::from_secs(3));
            if is_calm {
                assert!(used.iter().all(Result::is_ok), "{used:?}");
            } else if present.is_err() {
                return false;
            }
            let present = present.unwrap();
            if present.text != last.text {
                // Not each time on a machine that is too busy. A gateway that finds a token in the
                // store takes it to end a little earlier than it does.
                let fetched = present.until - life + Duration::from_millis(50);
                in_time += usize::from(fetched < last.until);
            }
            seen.insert(present.text.expose().clone());
            last = present;
            in_time >= 2
        },
    )
    .await;
    assert!(scene.fetches() <= 2 * seen.len() as u64, "no storm");
}

#[tokio::test]
async fn a_refused_call_is_repeated_once_with_another_token() {
    for (refusals, answer, calls) in [(0, Some(7), 1), (1, Some(7), 2), (2, None, 2)] {
        let scene = Scene::new("memory:");
        let process = scene.process();
        process.store_old("t0", MINUTE).await;
        let made = Mutex::new(Vec::new());
        let call = |token: AccessToken| {
            let mut made = made.lock().unwrap();
            made.push(token.text.expose().clone());
            ready(if made.len() > refusals {
                TokenUse::Taken(7)
            } else {
                TokenUse::Refused("40001".to_owned())
            })
        };
        let outcome = process.tokens.with_token(&process.app, call).await;
        assert_eq!(outcome.ok(), answer);
        let mut made = made.into_inner().unwrap();
        assert_eq!((made[0].as_str(), made.len()), ("t0", calls));
        made.dedup();
        assert_eq!(made.len(), calls, "not the same token twice");
    }
}

#[tokio::test]
async fn memory_has_one_token_for_all_workers_too() {
    let scene = Scene::new("memory:");
    let process = scene.process();
    let mut tokens = join_all((0..20).map(|_| process.text())).await;
    tokens.dedup();
    assert_eq!((tokens.len(), scene.fetches()), (1, 1));
}
