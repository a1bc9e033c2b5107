//! An app that acts for the apps of others: two brokers, as two processes have them, on one store and
//! one platform.

mod races;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hufu::broker::{ComponentError, TokenBroker};
use hufu::clock::{Clock as _, SystemClock, UnixMillis, monotonic_now};
use hufu::crypto::keyring::{Keyring, NamingKey};
use hufu::identity::{
    App, AppTokenError, AppTokenSource as _, ComponentEvent, ComponentStore, DatedEvent, NewToken,
    PlatformTokens, SealState, TokenLease, TokenName,
};
use hufu::metrics::Metrics;
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
use crate::helpers::{APPID, RedisServer, Sandbox, fresh_keys, http, sandbox, tls_provider, until};

/// The third-party platform.
const COMPONENT: &str = "wxc0123456789abcde";
const KIND: ProviderKind = ProviderKind::WechatComponent;

/// A store, a platform, and what all gateways have the same.
struct Scene {
    redis: RedisServer,
    wechat: Sandbox,
    keys: (Arc<Keyring>, Arc<NamingKey>),
}

/// What a process has.
struct Process {
    broker: TokenBroker,
    store: Arc<dyn ComponentStore>,
    tokens: Arc<dyn PlatformTokens>,
    /// The component.
    app: App,
    /// An app that has authorised it, or has not.
    of: App,
}

impl Scene {
    fn new() -> Self {
        Self {
            redis: RedisServer::start(&[]),
            wechat: sandbox(SandboxSettings::default()),
            keys: fresh_keys(),
        }
    }

    fn process(&self) -> Process {
        tls_provider();
        let metrics = Arc::new(Metrics::new());
        let (keys, naming) = self.keys.clone();
        let handle = store::open(&patient(&self.redis.url("")), keys, naming, metrics.clone());
        let stores = handle.unwrap().process();
        let (clock, store) = (Arc::new(SystemClock), stores.component);
        let tokens = stores.tokens;
        let broker = TokenBroker::new(tokens.clone(), store.clone(), clock, metrics.clone());
        let secret = Secret::new("5ec2e7of7he7ige25ec2e7of7he7ige2".to_owned());
        let settings = AppSettings {
            base_urls: vec![self.wechat.server.url.clone()],
            // A busy machine may stall within any call.
            timeout: Duration::from_secs(15),
            ..platform(KIND).app("open", COMPONENT, secret)
        };
        let client = PlatformClient::new(Default::default()).unwrap();
        let api = PlatformApi::new(settings, client, Arc::new(SystemClock), metrics).unwrap();
        let app = App::new("open".into(), COMPONENT.into(), Arc::new(api));
        Process {
            of: app.for_authorizer(APPID.into()),
            broker,
            store,
            tokens,
            app,
        }
    }

    /// A process to which a ticket was pushed.
    async fn ready(&self) -> Process {
        let process = self.process();
        process
            .ticket(&self.wechat.platform.ticket(COMPONENT))
            .await;
        process
    }

    fn calls(&self, api: &str) -> u64 {
        self.wechat.platform.calls(api)
    }

    async fn fault(&self, fault: Value) {
        let order = http().post(self.wechat.server.at("/sandbox/faults"));
        assert_eq!(order.json(&fault).await.status(), 204);
    }

    /// The refresh tokens that are kept, as they are stored.
    fn dump(&self) -> Vec<u8> {
        let key = format!("hufu:t:{{{COMPONENT}}}:authorizers");
        self.redis.ask(&["HGET", &key, APPID]).unwrap()
    }

    fn restore(&self, dump: &[u8]) {
        let key = format!("hufu:t:{{{COMPONENT}}}:authorizers");
        redis::cmd("HSET")
            .arg(&key)
            .arg(APPID)
            .arg(dump)
            .query::<()>(&mut self.redis.connect(""))
            .unwrap();
        self.expire();
    }

    /// Ends the authorizer's access token for all gateways.
    fn expire(&self) {
        self.redis.ask::<()>(&["DEL", &access_key()]).unwrap();
    }
}

fn access_key() -> String {
    format!("hufu:t:{{{COMPONENT}}}:{APPID}/access")
}

impl Process {
    async fn event(&self, event: ComponentEvent) -> Result<(), ComponentError> {
        let at = SystemClock.unix_now();
        let pushed = DatedEvent { at, event };
        self.broker.component_event(&self.app, pushed).await
    }

    async fn ticket(&self, ticket: &str) {
        let ticket = Secret::new(ticket.to_owned());
        self.event(ComponentEvent::Ticket(ticket)).await.unwrap();
    }

    async fn authorized(&self, code: &str) -> Result<(), ComponentError> {
        self.event(ComponentEvent::Authorized {
            authorizer: APPID.into(),
            code: Secret::new(code.to_owned()),
        })
        .await
    }

    async fn token(&self, app: &App) -> Result<String, AppTokenError> {
        let token = self.broker.token(app).await?;
        Ok(token.text.expose().clone())
    }

    async fn refresh_token(&self) -> Option<Secret<String>> {
        let name = TokenName::of(&self.of, "access");
        self.store.refresh_token(&name).await.unwrap().text
    }
}

#[tokio::test]
async fn a_hundred_tasks_of_two_gateways_cost_one_fetch_of_each_token() {
    let scene = Scene::new();
    let (one, other) = (scene.ready().await, scene.process());
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    one.authorized(&code).await.unwrap();
    assert_eq!(scene.calls("api_component_token"), 1);
    scene.expire();
    let tasks = (0..50).flat_map(|_| [one.token(&one.of), other.token(&other.of)]);
    let mut tokens: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(tokens.len(), 100);
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert!(scene.wechat.platform.knows_token(&tokens[0]));
    let tasks = (0..50).flat_map(|_| [one.token(&one.app), other.token(&other.app)]);
    let mut tokens: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(scene.calls("api_component_token"), 1);
    assert_eq!(scene.calls("api_authorizer_token"), 1);
    assert_eq!(scene.calls("api_get_authorizer_info"), 0);
}

#[tokio::test]
async fn without_a_ticket_nothing_is_fetched_and_the_next_one_helps_at_once() {
    let scene = Scene::new();
    let process = scene.process();
    for _ in 0..3 {
        let Err(AppTokenError::Unavailable { reason, .. }) = process.token(&process.app).await
        else {
            panic!()
        };
        assert!(
            reason.contains("component_verify_ticket") && reason.contains("apps.open.push"),
            "{reason}"
        );
    }
    process.ticket("ticket@@@of-another-platform").await;
    let Err(AppTokenError::Misconfigured { reason, .. }) = process.token(&process.app).await else {
        panic!()
    };
    assert!(
        reason.contains("61006") && reason.contains("open.weixin.qq.com"),
        "{reason}"
    );
    assert_eq!(scene.calls("api_component_token"), 1);
    process
        .ticket(&scene.wechat.platform.ticket(COMPONENT))
        .await;
    assert!(process.token(&process.app).await.is_ok());
    // An older one that comes late does not take its place.
    let stored = process.store.ticket(COMPONENT).await.unwrap();
    let late = DatedEvent {
        at: UnixMillis(SystemClock.unix_now().0 - 3_600_000),
        event: ComponentEvent::Ticket(Secret::new("ticket@@@late".to_owned())),
    };
    process
        .broker
        .component_event(&process.app, late)
        .await
        .unwrap();
    assert_eq!(process.store.ticket(COMPONENT).await.unwrap(), stored);
}

#[tokio::test]
async fn an_authorization_gives_both_tokens_and_its_end_takes_them() {
    let scene = Scene::new();
    let (process, other) = (scene.ready().await, scene.process());
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    process.authorized(&code).await.unwrap();
    let kept = process.broker.authorizers(&process.app).await.unwrap();
    assert!(matches!(&kept[..], [one] if one.appid == APPID && one.seal == SealState::Current));
    let first = other.token(&other.of).await.unwrap();
    assert_eq!(
        scene.calls("api_authorizer_token"),
        0,
        "it came with the authorization"
    );
    // The event comes twice, and its code is good once: the refresh token is asked for.
    process.authorized(&code).await.unwrap();
    assert_eq!(scene.calls("api_get_authorizer_info"), 1);
    assert_eq!(process.token(&process.of).await.unwrap(), first);

    let withdrawn = |before: u64| DatedEvent {
        at: UnixMillis(SystemClock.unix_now().0 - before),
        event: ComponentEvent::Withdrawn {
            authorizer: APPID.into(),
        },
    };
    // An earlier authorization's, which comes late.
    let late = process
        .broker
        .component_event(&process.app, withdrawn(3_600_000));
    late.await.unwrap();
    assert!(process.refresh_token().await.is_some());
    assert!(scene.wechat.platform.withdraw(COMPONENT, APPID));
    let end = process.broker.component_event(&process.app, withdrawn(0));
    end.await.unwrap();
    assert_eq!(process.refresh_token().await, None);
    let stranger = scene.process();
    let Err(AppTokenError::NotAuthorized { reason, .. }) = stranger.token(&stranger.of).await
    else {
        panic!()
    };
    assert!(reason.contains("61003"), "{reason}");
}

/// The event reaches one gateway. Another one has a token that is too new to be fetched again.
#[tokio::test]
async fn every_gateway_knows_of_a_withdrawal_once_a_token_is_refused() {
    let scene = Scene::new();
    let (one, other) = (scene.ready().await, scene.process());
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    one.authorized(&code).await.unwrap();
    let token = other.broker.token(&other.of).await.unwrap();
    // As long as it is authorised, a new token that is refused stays in use.
    let refused = other.broker.token_after(&other.of, &token).await;
    assert!(matches!(refused, Err(AppTokenError::Unavailable { .. })));
    assert!(scene.wechat.platform.withdraw(COMPONENT, APPID));
    let authorizer = APPID.into();
    let withdrawn = one.event(ComponentEvent::Withdrawn { authorizer });
    withdrawn.await.unwrap();
    let refused = other.broker.token_after(&other.of, &token).await;
    assert!(matches!(refused, Err(AppTokenError::NotAuthorized { .. })));
    let next = other.token(&other.of).await;
    assert!(matches!(next, Err(AppTokenError::NotAuthorized { .. })));
}

#[tokio::test]
async fn an_event_that_cannot_be_carried_out_is_to_come_again() {
    let scene = Scene::new();
    let process = scene.ready().await;
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    scene
        .fault(json!({ "api": "api_query_auth", "times": 1, "status": 503 }))
        .await;
    assert!(process.authorized(&code).await.is_err());
    assert_eq!(process.refresh_token().await, None);
    process.authorized(&code).await.unwrap();
    assert!(process.refresh_token().await.is_some());
}

#[tokio::test]
async fn a_lost_refresh_token_is_asked_for_before_a_person_is() {
    let scene = Scene::new();
    let process = scene.ready().await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    // Nothing was ever heard of the authorization.
    let token = process.token(&process.of).await.unwrap();
    assert!(scene.wechat.platform.knows_token(&token));
    assert_eq!(scene.calls("api_get_authorizer_info"), 1);
    assert!(process.refresh_token().await.is_some());
    scene.expire();
    assert!(scene.process().token(&process.of).await.is_ok());
    assert_eq!(scene.calls("api_get_authorizer_info"), 1, "it is kept now");
}

/// Another gateway must not use the refresh token while the first may still be about to.
#[tokio::test]
async fn the_lease_of_an_authorizers_token_lasts_for_all_the_calls_of_its_fetch() {
    let scene = Scene::new();
    let process = scene.ready().await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    process.token(&process.app).await.unwrap();
    scene
        .fault(json!({ "api": "api_get_authorizer_info", "times": 1, "delay_ms": 60_000 }))
        .await;
    let lease = format!("{}:lease", access_key());
    let looked = async {
        until("the lease", async || {
            let left: i64 = scene.redis.ask(&["PTTL", &lease]).unwrap();
            (left > 0).then_some(left)
        })
        .await
    };
    let left = tokio::select! {
        left = looked => left,
        early = process.token(&process.of) => panic!("{early:?}"),
    };
    // Five calls of 15 s, and two seconds; less what a busy machine has taken since.
    assert!((62_000..=77_000).contains(&left), "{left}");
}

/// The quota of these questions is one for all authorizers.
#[tokio::test]
async fn made_up_authorizers_cost_few_questions_and_hold_nobody_up_who_is_known() {
    let scene = Scene::new();
    let process = scene.ready().await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    let begun = monotonic_now();
    // One that the platform knows takes no place of the others.
    process.token(&process.of).await.unwrap();
    for number in 0..60 {
        let of = process
            .app
            .for_authorizer(format!("wx{number:016x}").into());
        assert!(process.token(&of).await.is_err(), "{number}");
    }
    // Of a minute; a busy machine may have taken several.
    let minutes = begun.elapsed().as_secs() / 60 + 1;
    let asked = scene.calls("api_get_authorizer_info");
    assert!(
        (21..=1 + 20 * minutes).contains(&asked),
        "{asked} in {minutes}"
    );

    let other = "wx00000000000000ff";
    let of = process.app.for_authorizer(other.into());
    assert!(process.token(&of).await.is_err(), "nobody knows it");
    let code = scene.wechat.platform.authorize(COMPONENT, other);
    let event = ComponentEvent::Authorized {
        authorizer: other.into(),
        code: Secret::new(code),
    };
    process.event(event).await.unwrap();
    assert!(process.token(&of).await.is_ok(), "an event makes it known");
    scene.expire();
    assert!(scene.process().token(&process.of).await.is_ok());
}

/// What docs/wechat-component.md says of a restore.
#[tokio::test]
async fn after_a_restore_from_an_old_dump_nobody_has_to_authorise_again() {
    let scene = Scene::new();
    let process = scene.ready().await;
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    process.authorized(&code).await.unwrap();
    let dump = scene.dump();
    scene.expire();
    let second = scene.process();
    second.token(&second.of).await.unwrap();
    assert_ne!(scene.dump(), dump, "the platform has given another one");
    scene.restore(&dump);
    let third = scene.process();
    let token = third.token(&third.of).await.unwrap();
    assert!(scene.wechat.platform.knows_token(&token));
    assert_eq!(scene.calls("api_get_authorizer_info"), 1);
    scene.expire();
    let fourth = scene.process();
    fourth.token(&fourth.of).await.unwrap();
    assert_eq!(
        scene.calls("api_get_authorizer_info"),
        1,
        "it is kept again"
    );

    // Somebody withdrew after the dump.
    scene.restore(&dump);
    scene.wechat.platform.withdraw(COMPONENT, APPID);
    let fifth = scene.process();
    let Err(AppTokenError::NotAuthorized { reason, .. }) = fifth.token(&fifth.of).await else {
        panic!()
    };
    assert!(reason.contains("61003"), "{reason}");
}

#[tokio::test]
async fn a_token_of_the_component_that_ends_early_is_replaced_on_the_way() {
    let scene = Scene::new();
    let process = scene.ready().await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    // Fetched a minute ago, and ended by somebody else since.
    let name = TokenName::of(&process.app, "access");
    let minute = Duration::from_secs(60);
    let lease = process.tokens.lease(&name, None, minute).await.unwrap();
    let TokenLease::Leader { now, ticket } = lease else {
        panic!("{lease:?}")
    };
    let ended = NewToken {
        text: &Secret::new("ended-by-somebody-else".to_owned()),
        fetched_at: UnixMillis(now.0 - 60_000),
        expires_in: 60 * minute,
        rest: Duration::from_millis(1),
    };
    let _ = process.tokens.keep(&name, &ticket, &ended).await.unwrap();
    // Before that nobody may fetch another one.
    tokio::time::sleep(2 * ended.rest).await;
    process.token(&process.of).await.unwrap();
    assert_eq!(scene.calls("api_component_token"), 1);
    assert_eq!(scene.calls("api_get_authorizer_info"), 2);
}

#[tokio::test]
async fn without_the_store_no_refresh_token_is_used_up() {
    let mut scene = Scene::new();
    let process = scene.ready().await;
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    process.authorized(&code).await.unwrap();
    let held = process.token(&process.of).await.unwrap();
    let newcomer = scene.process();
    scene.redis.kill();
    assert_eq!(process.token(&process.of).await.unwrap(), held);
    for app in [&newcomer.app, &newcomer.of] {
        let outcome = newcomer.token(app).await;
        assert!(
            matches!(outcome, Err(AppTokenError::Store(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(scene.calls("api_authorizer_token"), 0);
}

/// The platform takes no other one any more.
#[tokio::test]
async fn a_refresh_token_that_the_store_does_not_take_is_kept_until_it_does() {
    let scene = Scene::new();
    let ready = scene.ready().await;
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    ready.authorized(&code).await.unwrap();
    let before = scene.dump();
    scene.expire();
    let process = Arc::new(scene.process());
    // There is a token of the component, so the next call is the refresh.
    process.token(&process.app).await.unwrap();
    let may = |rule| {
        let set = ["ACL", "SETUSER", "default", rule];
        scene.redis.ask::<()>(&set).unwrap();
    };
    may("-hset");
    let waiting = process.clone();
    let asked = tokio::spawn(async move { waiting.token(&waiting.of).await });
    until("the store to refuse what was fetched", async || {
        let refused: Vec<redis::Value> = scene.redis.ask(&["ACL", "LOG"]).unwrap();
        !refused.is_empty()
    })
    .await;
    assert!(!asked.is_finished(), "nobody has it before the store");
    assert_eq!(scene.dump(), before);
    may("+hset");
    let token = asked.await.unwrap().unwrap();
    assert!(scene.wechat.platform.knows_token(&token));
    assert_ne!(scene.dump(), before);
    assert_eq!(scene.calls("api_authorizer_token"), 1);
    assert_eq!(scene.calls("api_get_authorizer_info"), 0);
}

#[tokio::test]
async fn a_platform_that_refuses_to_push_a_ticket_is_soon_asked_again() {
    let scene = Scene::new();
    let process = scene.process();
    let refusal = json!({ "errcode": 48001, "errmsg": "api unauthorized" });
    scene
        .fault(json!({ "api": "api_start_push_ticket", "times": 1, "body": refusal }))
        .await;
    until("the second try", async || {
        assert!(process.token(&process.app).await.is_err());
        scene.calls("api_start_push_ticket") == 2
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_are_sealed_anew_under_the_first_key() {
    let mut scene = Scene::new();
    let key = |first: u8| Secret::new(std::array::from_fn(|i| first.wrapping_add(i as u8)));
    let ring = |firsts: &[u8]| {
        let keys: Vec<_> = firsts.iter().map(|first| key(*first)).collect();
        Arc::new(Keyring::new(&keys).unwrap())
    };
    scene.keys.0 = ring(&[1]);
    let old = scene.ready().await;
    let code = scene.wechat.platform.authorize(COMPONENT, APPID);
    old.authorized(&code).await.unwrap();
    let refresh_token = old.refresh_token().await;

    scene.keys.0 = ring(&[2, 1]);
    let both = scene.process();
    let state = async |process: &Process| {
        let kept = process.broker.authorizers(&process.app).await.unwrap();
        kept[0].seal
    };
    assert_eq!(state(&both).await, SealState::Old);
    both.broker.reseal(&both.app);
    until("the refresh token to be sealed anew", async || {
        state(&both).await == SealState::Current
    })
    .await;

    scene.keys.0 = ring(&[2]);
    let new = scene.process();
    assert_eq!(new.refresh_token().await, refresh_token);
    // Without the key that sealed it, the platform is asked.
    let token = format!("hufu:t:{{{COMPONENT}}}:access");
    scene.redis.ask::<()>(&["DEL", &token]).unwrap();
    scene.keys.0 = ring(&[3]);
    let stranger = scene.ready().await;
    assert_eq!(state(&stranger).await, SealState::Unreadable);
    assert!(stranger.token(&stranger.of).await.is_ok());
    assert_eq!(scene.calls("api_get_authorizer_info"), 1);
}
