//! The platforms against the simulator and against servers that answer whatever they like. What is in
//! tests/fixtures/platforms is the contract of each: the request that it expects, and recorded
//! answers with what they must lead to. The engine's own tests ask as the first platform does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hufu::clock::{ManualClock, SystemClock, UnixMillis, monotonic_now};
use hufu::identity::{App, ExchangeError, ExchangeRequest, Identity, IdentityProvider, TokenGrant};
use hufu::metrics::{Exposition, Metrics};
use hufu::provider::api::PlatformApi;
use hufu::provider::client::PlatformClient;
use hufu::provider::registry::platform;
use hufu::provider::settings::AppSettings;
use hufu::sandbox::{AcceptedApps, SandboxApp, SandboxSettings};
use hufu::secret::Secret;
use hufu::session::ProviderKind;
use serde_json::json;

use crate::helpers::{
    Sandbox, Script, Upstream, http, logs, sandbox, servers::refusing, tls_provider, until,
};

const SECRET: &str = "5ec2e7of7he7ige25ec2e7of7he7ige2";
const SESSION_KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
const CODE: &str = "0a3RkM000abc";
const TOKEN: &str = "component-token";
/// An app that another one acts for.
const AUTHORIZER: &str = "wx0123456789abcdef";

/// The first platform: for what the engine does alike for all.
const FIRST: ProviderKind = ProviderKind::ALL[0];

/// An answer with a head as platforms send it.
fn plain(status: &str, body: &[u8]) -> Script {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Script::at_end([head.as_bytes(), body].concat()).then_close()
}

fn settings(base_urls: &[&str]) -> AppSettings {
    settings_at(FIRST, base_urls)
}

fn settings_at(kind: ProviderKind, base_urls: &[&str]) -> AppSettings {
    let platform = platform(kind);
    AppSettings {
        base_urls: base_urls.iter().map(|&base| base.to_owned()).collect(),
        ..platform.app(
            "shop",
            platform.appid_example,
            Secret::new(SECRET.to_owned()),
        )
    }
}

fn provider(settings: AppSettings) -> PlatformApi {
    tls_provider();
    logs::keep();
    PlatformApi::new(
        settings,
        PlatformClient::new(Default::default()).unwrap(),
        Arc::new(SystemClock),
        Arc::new(Metrics::new()),
    )
    .unwrap()
}

/// A simulator that knows one app of this platform.
fn strict_sandbox(kind: ProviderKind) -> Sandbox {
    let app = |appid: &str| SandboxApp {
        appid: appid.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
    };
    let apps = [platform(kind).appid_example, appid_of_users(kind)].map(app);
    sandbox(SandboxSettings {
        apps: AcceptedApps::Only(apps.into()),
        ..SandboxSettings::default()
    })
}

/// Nothing of an outcome may show what is secret: neither its texts nor anything logged on the way.
fn hides_secrets<T: std::fmt::Debug>(outcome: &Result<T, ExchangeError>) {
    let shown = match outcome {
        Ok(identity) => format!("{identity:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    for secret in [SECRET, SESSION_KEY, TOKEN] {
        assert!(!shown.contains(secret), "{shown}");
        assert_eq!(logs::lines_with(secret), Vec::<String>::new());
    }
    assert!(
        !shown.contains(['\r', '\n']) && !shown.contains("\\r") && !shown.contains("\\n"),
        "{shown}"
    );
}

const fn grant(code: &str) -> ExchangeRequest<'_> {
    ExchangeRequest::of_code(code)
}

/// The same with what a platform wants beside the code.
fn request<'a>(
    kind: ProviderKind,
    code: &'a str,
    token: Option<&'a Secret<String>>,
) -> ExchangeRequest<'a> {
    ExchangeRequest {
        authorizer: (kind == ProviderKind::WechatComponent).then_some(AUTHORIZER),
        token,
        ..grant(code)
    }
}

/// The appid that the codes of a platform's users are of.
fn appid_of_users(kind: ProviderKind) -> &'static str {
    request(kind, "", None)
        .authorizer
        .unwrap_or(platform(kind).appid_example)
}

/// The token that the simulator wants beside the code, where it wants one.
async fn token_at(sandbox: &Sandbox, provider: &PlatformApi) -> Option<Secret<String>> {
    let api = provider.component()?;
    let component = platform(provider.kind()).appid_example;
    sandbox.platform.authorize(component, AUTHORIZER);
    let ticket = Secret::new(sandbox.platform.ticket(component));
    Some(api.fetch(&ticket).await.unwrap().token)
}

async fn exchange(provider: &PlatformApi) -> Result<Identity, ExchangeError> {
    let token = Secret::new(TOKEN.to_owned());
    let request = request(provider.kind(), CODE, Some(&token));
    let outcome = provider.exchange(&request).await;
    hides_secrets(&outcome);
    outcome
}

/// What a platform can do beside the login is found on the app, and works at the simulator.
#[tokio::test]
async fn open_data_opens_and_a_token_is_fetched_where_the_platform_has_them() {
    let (mut opened, mut fetched) = (0, 0);
    for kind in ProviderKind::ALL {
        let sandbox = strict_sandbox(kind);
        let appid = platform(kind).appid_example;
        let api = provider(settings_at(kind, &[&sandbox.server.url]));
        let app = App::new("shop".into(), appid.into(), Arc::new(api));
        if let Some(open_data) = app.open_data() {
            let key = sandbox.platform.session_key(appid, "alice");
            let data = json!({ "nickName": "虎" }).as_object().unwrap().clone();
            let sealed = sandbox.platform.open_data(appid, "alice", data);
            let plain = open_data.open(&key, &sealed.iv, &sealed.encrypted_data);
            assert!(plain.is_whole());
            let plain: serde_json::Value = serde_json::from_slice(plain.text()).unwrap();
            assert_eq!(plain["nickName"], "虎");
            assert_eq!(plain["watermark"]["appid"], appid);
            assert_eq!(
                open_data.signature(&key, &sealed.raw_data),
                sealed.signature
            );
            let other = sandbox.platform.session_key(appid, "bob");
            let refused = open_data.open(&other, &sealed.iv, &sealed.encrypted_data);
            // One padding in 256 is right by chance.
            let is_json = serde_json::from_slice::<serde_json::Value>(refused.text()).is_ok();
            assert!(!refused.is_whole() || !is_json, "{kind}");
            opened += 1;
        }
        if let Some(app_token) = app.app_token() {
            let first = app_token.fetch(TokenGrant::Stable).await.unwrap();
            let second = app_token.fetch(TokenGrant::Stable).await.unwrap();
            assert_eq!(first.token, second.token, "{kind}: it ended the other");
            assert!(first.expires_in >= Duration::from_secs(300));
            assert!(!format!("{first:?}").contains(first.token.expose()));
            let wrong = PlatformApi::new(
                AppSettings {
                    secret: Secret::new("another".to_owned()),
                    ..settings_at(kind, &[&sandbox.server.url])
                },
                PlatformClient::new(Default::default()).unwrap(),
                Arc::new(SystemClock),
                Arc::new(Metrics::new()),
            );
            let refused = wrong
                .unwrap()
                .app_token()
                .unwrap()
                .fetch(TokenGrant::Stable)
                .await;
            hides_secrets(&refused);
            assert_eq!(
                refused.unwrap_err().to_string().split(':').next(),
                Some("the app is misconfigured")
            );
            fetched += 1;
        }
    }
    assert!(opened > 1 && fetched > 0);
}

#[tokio::test]
async fn a_code_of_the_simulator_becomes_its_user() {
    for kind in ProviderKind::ALL {
        let sandbox = strict_sandbox(kind);
        let provider = provider(settings_at(kind, &[&sandbox.server.url]));
        let appid = appid_of_users(kind);
        let token = token_at(&sandbox, &provider).await;
        let token = token.as_ref();
        let code = sandbox.platform.login_code(appid, "alice");
        let identity = provider.exchange(&request(kind, &code, token)).await;
        let identity = identity.unwrap();
        assert_eq!(*identity.subject, *hufu::sandbox::openid(appid, "alice"));
        assert_eq!(
            identity.unionid.as_deref().map(str::to_owned),
            hufu::sandbox::unionid("alice")
        );
        assert_eq!(
            identity.session_key,
            Some(sandbox.platform.session_key(appid, "alice"))
        );
        // Some platforms have a number for a used code.
        let used = provider.exchange(&request(kind, &code, token)).await;
        match (used, provider.used_code()) {
            (Err(ExchangeError::CodeUsed { platform_code }), Some(known)) => {
                assert_eq!(platform_code, known);
            }
            (Err(ExchangeError::BadCode { .. }), None) => {}
            (other, _) => panic!("{kind}: {other:?}"),
        }
        let late = sandbox.platform.login_code(appid, "alice");
        sandbox.clock.advance(Duration::from_secs(300));
        for code in [&*late, "a&secret=b c", "\"}{"] {
            assert!(
                matches!(
                    provider.exchange(&request(kind, code, token)).await,
                    Err(ExchangeError::BadCode { .. })
                ),
                "{kind}: {code} is encoded, and refused"
            );
        }
    }
}

#[tokio::test]
async fn the_simulator_refuses_other_apps_and_secrets() {
    for kind in ProviderKind::ALL {
        let sandbox = strict_sandbox(kind);
        let right = settings_at(kind, &[&sandbox.server.url]);
        let wrong_secret = AppSettings {
            secret: Secret::new("wrong".to_owned()),
            ..right.clone()
        };
        let wrong_app = AppSettings {
            appid: "other".into(),
            ..right.clone()
        };
        for (settings, key) in [
            (wrong_secret, "apps.shop.secret"),
            (wrong_app, "apps.shop.appid"),
        ] {
            let provider = provider(settings);
            // Where a token comes first, that is what the secret is for.
            let outcome = match provider.component() {
                Some(api) => {
                    let ticket = sandbox.platform.ticket(platform(kind).appid_example);
                    api.fetch(&Secret::new(ticket)).await.map(drop)
                }
                None => provider.exchange(&grant(CODE)).await.map(drop),
            };
            assert!(
                matches!(&outcome, Err(ExchangeError::Misconfigured { reason, .. }) if reason.contains(key)),
                "{kind}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    for kind in ProviderKind::ALL {
        let raw = Upstream::start(plain("200 OK", &fixture(kind, "ok")));
        let token = Secret::new(TOKEN.to_owned());
        provider(settings_at(kind, &[&raw.url]))
            .exchange(&request(kind, "a&b=c+d", Some(&token)))
            .await
            .unwrap();
        let documented = std::fs::read_to_string(fixtures(kind).join("request.http")).unwrap();
        let (line, body) = documented.split_once('\n').unwrap();
        let head = raw.requests()[0].0.clone();
        assert!(head.starts_with(&format!("{line}\r\n")), "{head}");
        assert_eq!(
            String::from_utf8_lossy(&raw.requests()[0].1),
            body.trim_end(),
            "{kind}"
        );
    }
}

fn fixture(kind: ProviderKind, name: &str) -> Vec<u8> {
    std::fs::read(fixtures(kind).join(format!("{name}.txt"))).unwrap()
}

fn fixtures(kind: ProviderKind) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/platforms"
    ))
    .join(kind.as_str())
}

/// Every recorded answer of a platform with its HTTP status and the words for what it must lead to.
fn verdicts(kind: ProviderKind) -> Vec<[String; 3]> {
    let table = std::fs::read_to_string(fixtures(kind).join("verdicts")).unwrap();
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split("  ").filter(|column| !column.is_empty());
            std::array::from_fn(|_| columns.next().unwrap().trim().to_owned())
        })
        .collect()
}

fn verdict(outcome: &Result<Identity, ExchangeError>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(ExchangeError::BadCode { platform_code }) => format!("bad code {platform_code}"),
        Err(ExchangeError::CodeUsed { platform_code }) => format!("used {platform_code}"),
        Err(ExchangeError::UserBlocked { platform_code }) => format!("blocked {platform_code}"),
        Err(ExchangeError::TokenRefused { platform_code }) => {
            format!("token refused {platform_code}")
        }
        Err(ExchangeError::NotAuthorized { platform_code, .. }) => {
            format!("not authorized {platform_code}")
        }
        Err(ExchangeError::Throttled { platform_code, .. }) => format!("throttled {platform_code}"),
        Err(ExchangeError::Unavailable { .. }) => "unavailable".to_owned(),
        Err(ExchangeError::Nonsense { .. }) => "nonsense".to_owned(),
        Err(ExchangeError::Misconfigured { platform_code, .. }) => {
            format!("misconfigured {platform_code}")
        }
    }
}

#[tokio::test]
async fn every_recorded_answer_has_its_verdict() {
    for kind in ProviderKind::ALL {
        let on_disk: BTreeSet<String> = std::fs::read_dir(fixtures(kind))
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let verdicts = verdicts(kind);
        let listed: BTreeSet<String> = verdicts.iter().map(|[name, ..]| name.clone()).collect();
        assert_eq!(on_disk, listed);
        for [name, status, expected] in &verdicts {
            let raw = Upstream::start(plain(status, &fixture(kind, name)));
            let outcome = exchange(&provider(settings_at(kind, &[&raw.url]))).await;
            assert_eq!(verdict(&outcome), *expected, "{kind}: {name}");
            if let Err(ExchangeError::Misconfigured { reason, .. }) = &outcome {
                assert!(
                    reason.contains("shop") || reason.contains("quota"),
                    "{reason}"
                );
                assert!(!reason.contains('{'), "{reason}");
            }
            let tries = if name == "busy" { 3 } else { 1 };
            assert_eq!(
                raw.count(""),
                tries,
                "{kind}: {name}: an answer ends it, but for busy"
            );
        }
        for (code, _) in platform(kind).errors {
            let recorded = |[name, ..]: &[String; 3]| {
                String::from_utf8_lossy(&fixture(kind, name)).contains(&code.to_string())
            };
            assert!(
                verdicts.iter().any(recorded),
                "{kind}: no answer with {code} is recorded"
            );
        }
    }
}

#[tokio::test]
async fn operators_are_told_what_to_mend() {
    let raw = Upstream::start(plain("200 OK", &fixture(FIRST, "echoes_secret")));
    let Err(ExchangeError::Misconfigured { reason, .. }) =
        exchange(&provider(settings(&[&raw.url]))).await
    else {
        panic!()
    };
    assert!(
        reason.contains("apps.shop.secret") && reason.contains("rid 608d5803-66b84dfc-005383b6"),
        "{reason}"
    );
}

#[tokio::test]
async fn busy_is_tried_again_and_then_good() {
    for kind in ProviderKind::ALL {
        let sandbox = strict_sandbox(kind);
        let platform = platform(kind);
        let api = hufu::sandbox::endpoints()
            .find(|endpoint| endpoint.path == platform.login.path)
            .and_then(|endpoint| endpoint.api)
            .unwrap();
        let busy = String::from_utf8(fixture(kind, "busy")).unwrap();
        let order = json!({ "api": api, "times": 2, "body": busy });
        assert_eq!(
            http()
                .post(sandbox.server.at("/sandbox/faults"))
                .json(&order)
                .await
                .status(),
            204
        );
        let provider = provider(settings_at(kind, &[&sandbox.server.url]));
        let token = token_at(&sandbox, &provider).await;
        let code = sandbox.platform.login_code(appid_of_users(kind), "alice");
        let request = request(kind, &code, token.as_ref());
        assert!(provider.exchange(&request).await.is_ok());
        assert_eq!(sandbox.platform.calls(api), 3);
    }
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_the_connection() {
    let timeout = Duration::from_millis(150);
    // On a machine that stalls the time may be over before anything is sent.
    let (raw, outcome) = until("a request that is sent in its time", async || {
        let raw = Upstream::start(Script::hang());
        let settings = AppSettings {
            timeout,
            ..settings(&[&raw.url])
        };
        let began = monotonic_now();
        let outcome = exchange(&provider(settings)).await;
        assert!(began.elapsed() >= timeout);
        (raw.count("") == 1).then_some((raw, outcome))
    })
    .await;
    let Err(ExchangeError::Unavailable { reason, .. }) = &outcome else {
        panic!("{outcome:?}")
    };
    let (_, waited) = reason.split_once("has not answered within ").unwrap();
    let waited: u128 = waited.trim_end_matches(" ms").parse().unwrap();
    assert!(waited <= timeout.as_millis(), "{reason}");
    until("the connection is closed", async || raw.was_left()).await;
    assert_eq!(
        raw.count(""),
        1,
        "the code may be consumed, so it is not sent again"
    );
}

#[tokio::test]
async fn half_an_answer_and_a_cut_connection_are_not_repeated() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"openid\":\"o1\",\"session_key\":\"tiihtNczf5v6AKRyjwEUhQ==\"".to_vec();
    for act in [
        Script::at_end(half).then_close(),
        Script::cut(),
        Script::at_end(b"SSH-2.0-OpenSSH_9.6\r\n").then_close(),
    ] {
        let raw = Upstream::start(act.clone());
        assert_eq!(
            verdict(&exchange(&provider(settings(&[&raw.url]))).await),
            "unavailable",
            "{act:?}"
        );
        assert_eq!(raw.count(""), 1);
    }
}

#[tokio::test]
async fn a_flood_is_not_read() {
    let mut met = 0;
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ] {
        let raw = Upstream::start(Script::flood(head));
        let outcome = exchange(&provider(settings(&[&raw.url]))).await;
        assert!(
            matches!(&outcome, Err(ExchangeError::Nonsense { reason, .. }) if reason.contains("longer than 65536")),
            "{outcome:?}"
        );
        until("the connection is closed", async || raw.was_left()).await;
        // 64 KiB read, and what the two ends of the connection held in their buffers.
        assert!(raw.flooded() < 1 << 20, "{}", raw.flooded());
        met += 1;
    }
    assert_eq!(met, 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Upstream::start(plain("200 OK", &fixture(FIRST, "ok")));
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/sns/jscode2session\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url
    );
    let raw = Upstream::start(Script::at_end(redirect).then_close());
    assert_eq!(
        verdict(&exchange(&provider(settings(&[&raw.url]))).await),
        "nonsense"
    );
    assert_eq!(elsewhere.count(""), 0);
}

#[tokio::test]
async fn a_refused_connection_leads_to_the_next_address() {
    let (dead, _held) = refusing();
    let alive = Upstream::start(plain("200 OK", &fixture(FIRST, "ok")));
    let provider = provider(settings(&[&dead, &alive.url]));
    for _ in 0..2 {
        assert_eq!(verdict(&exchange(&provider).await), "ok");
    }
    assert_eq!(alive.count(""), 2);
}

#[tokio::test]
async fn nobody_listens_anywhere() {
    let (dead, _held) = refusing();
    let Err(ExchangeError::Unavailable { reason, .. }) =
        exchange(&provider(settings(&[&dead]))).await
    else {
        panic!()
    };
    assert!(reason.contains("onnection refused"), "{reason}");
}

#[tokio::test]
async fn one_exchange_too_many_is_refused_at_once() {
    let raw = Upstream::start(Script::hang());
    let provider = Arc::new(provider(AppSettings {
        max_concurrent: 1,
        ..settings(&[&raw.url])
    }));
    let first = tokio::spawn({
        let provider = provider.clone();
        async move { provider.exchange(&grant(CODE)).await }
    });
    until("the first is under way", async || raw.count("") == 1).await;
    let Err(ExchangeError::Unavailable {
        reason,
        retry_after,
    }) = exchange(&provider).await
    else {
        panic!()
    };
    assert_eq!(reason, "1 exchanges are already in flight");
    assert!(retry_after >= Duration::from_secs(1) && retry_after <= Duration::from_secs(2));
    first.abort();
    until(
        "the cancelled one has freed its place and its connection",
        async || raw.was_left(),
    )
    .await;
}

#[tokio::test]
async fn a_silent_platform_is_left_alone_and_found_again() {
    let raw = Upstream::start(plain("503 Service Unavailable", b"busy"));
    let provider = provider(settings(&[&raw.url]));
    for _ in 0..5 {
        assert_eq!(verdict(&exchange(&provider).await), "unavailable");
    }
    assert_eq!(raw.count(""), 5);
    // On a machine that stalls the first wait may be over at once; the next ones are longer.
    until("a login for which nothing is sent", async || {
        let before = raw.count("");
        let outcome = exchange(&provider).await;
        assert_eq!(verdict(&outcome), "unavailable");
        raw.count("") == before
    })
    .await;
    assert!(!logs::lines_with("logins are refused").is_empty());
    raw.set(plain("200 OK", &fixture(FIRST, "ok")));
    until("it to be tried again", async || {
        exchange(&provider).await.ok()
    })
    .await;
}

#[tokio::test]
async fn nothing_that_a_client_sends_shuts_the_others_out() {
    // A firewall before the platform may cut the connection when it dislikes what a code looks
    // like.
    for act in [
        plain("200 OK", &fixture(FIRST, "bad_code")),
        plain("403 Forbidden", b"<html>"),
        Script::cut(),
    ] {
        let raw = Upstream::start(act);
        let provider = provider(settings(&[&raw.url]));
        for n in 1..=20 {
            assert!(exchange(&provider).await.is_err());
            assert_eq!(raw.count(""), n, "each is still sent");
        }
    }
}

#[tokio::test]
async fn after_silence_the_next_login_asks_another_address() {
    // On a machine that stalls the time of a call may be over before it is sent or answered.
    until("two calls that are made in their time", async || {
        let silent = Upstream::start(Script::hang());
        let alive = Upstream::start(plain("200 OK", &fixture(FIRST, "ok")));
        let timeout = Duration::from_millis(300);
        let provider = provider(AppSettings {
            timeout,
            ..settings(&[&silent.url, &alive.url])
        });
        let first = exchange(&provider).await;
        assert_eq!(verdict(&first), "unavailable");
        let began = monotonic_now();
        let second = exchange(&provider).await;
        let is_late = silent.count("") == 0 || began.elapsed() >= timeout;
        if is_late {
            return false;
        }
        assert_eq!(verdict(&second), "ok");
        assert_eq!((silent.count(""), alive.count("")), (1, 1));
        true
    })
    .await;
}

#[tokio::test]
async fn throttled_until_the_next_minute() {
    let raw = Upstream::start(plain("200 OK", &fixture(FIRST, "too_often")));
    tls_provider();
    let clock = Arc::new(ManualClock::at(UnixMillis(59_000)));
    let provider = PlatformApi::new(
        settings(&[&raw.url]),
        PlatformClient::new(Default::default()).unwrap(),
        clock,
        Arc::new(Metrics::new()),
    )
    .unwrap();
    let Err(ExchangeError::Throttled { retry_after, .. }) = exchange(&provider).await else {
        panic!()
    };
    assert!(
        retry_after > Duration::from_secs(1) && retry_after <= Duration::from_secs(3),
        "{retry_after:?}"
    );
}

#[tokio::test]
async fn every_call_is_timed() {
    let raw = Upstream::start(Script::hang());
    tls_provider();
    let metrics = Arc::new(Metrics::new());
    let short = AppSettings {
        timeout: Duration::from_millis(20),
        ..settings(&[&raw.url])
    };
    let provider = PlatformApi::new(
        short,
        PlatformClient::new(Default::default()).unwrap(),
        Arc::new(SystemClock),
        metrics.clone(),
    )
    .unwrap();
    assert_eq!(verdict(&exchange(&provider).await), "unavailable");
    let page = metrics.encode(Exposition::Text).unwrap();
    assert!(
        page.contains(r#"hufu_platform_duration_seconds_count{app="shop",api="jscode2session"} 1"#),
        "{page}"
    );
}
