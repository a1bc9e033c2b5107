//! The providers against the simulator and against servers that answer whatever they like.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hufu::clock::{ManualClock, SystemClock, UnixMillis, monotonic_now};
use hufu::identity::{ExchangeError, ExchangeRequest, Identity, IdentityProvider, PlatformCode};
use hufu::metrics::{Exposition, Metrics};
use hufu::provider::api::PlatformApi;
use hufu::provider::client::PlatformClient;
use hufu::provider::settings::AppSettings;
use hufu::sandbox::{AcceptedApps, SandboxApp, SandboxSettings};
use hufu::secret::Secret;
use hufu::session::ProviderKind;
use serde_json::json;

use crate::helpers::raw::{self, Act, Raw};
use crate::helpers::servers::{Sandbox, http, sandbox, tls_provider};
use crate::helpers::{logs, wait};

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "5ec2e7of7he7ige25ec2e7of7he7ige2";
const SESSION_KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
const CODE: &str = "0a3RkM000abc";

fn settings(base_urls: &[&str]) -> AppSettings {
    AppSettings {
        base_urls: base_urls.iter().map(|&base| base.to_owned()).collect(),
        ..AppSettings::new(
            ProviderKind::WechatMiniProgram,
            "shop",
            APPID,
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

fn strict_sandbox() -> Sandbox {
    let app = SandboxApp {
        appid: APPID.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
    };
    sandbox(SandboxSettings {
        apps: AcceptedApps::Only(vec![app]),
        ..SandboxSettings::default()
    })
}

/// Nothing of an outcome may show what is secret: neither its texts nor anything logged on the way.
fn hides_secrets<T: std::fmt::Debug>(outcome: &Result<T, ExchangeError>) {
    let shown = match outcome {
        Ok(identity) => format!("{identity:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    for secret in [SECRET, SESSION_KEY] {
        assert!(!shown.contains(secret), "{shown}");
        assert_eq!(logs::lines_with(secret), Vec::<String>::new());
    }
    assert!(
        !shown.contains(['\r', '\n']) && !shown.contains("\\r") && !shown.contains("\\n"),
        "{shown}"
    );
}

const fn grant(code: &str) -> ExchangeRequest<'_> {
    ExchangeRequest { code }
}

async fn exchange(provider: &PlatformApi) -> Result<Identity, ExchangeError> {
    let outcome = provider.exchange(&grant(CODE)).await;
    hides_secrets(&outcome);
    outcome
}

#[tokio::test]
async fn a_code_of_the_simulator_becomes_its_user() {
    let sandbox = strict_sandbox();
    let provider = provider(settings(&[&sandbox.server.url]));
    let code = sandbox.platform.login_code(APPID, "alice");
    let identity = provider.exchange(&grant(&code)).await.unwrap();
    assert_eq!(*identity.subject, *hufu::sandbox::openid(APPID, "alice"));
    assert_eq!(
        identity.unionid.as_deref().map(str::to_owned),
        hufu::sandbox::unionid("alice")
    );
    assert_eq!(
        identity.session_key,
        Some(sandbox.platform.session_key(APPID, "alice"))
    );
    assert!(matches!(
        provider.exchange(&grant(&code)).await,
        Err(ExchangeError::CodeUsed {
            platform_code: PlatformCode::Number(40163)
        })
    ));
    let late = sandbox.platform.login_code(APPID, "alice");
    sandbox.clock.advance(Duration::from_secs(300));
    assert!(matches!(
        provider.exchange(&grant(&late)).await,
        Err(ExchangeError::BadCode {
            platform_code: PlatformCode::Number(40029)
        })
    ));
    assert!(
        matches!(
            provider.exchange(&grant("a&secret=b c")).await,
            Err(ExchangeError::BadCode { .. })
        ),
        "encoded, not a parameter of its own"
    );
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let raw = Raw::start([raw::text("200 OK", &fixture("ok"))]);
    provider(settings(&[&raw.url]))
        .exchange(&grant("a&b=c+d"))
        .await
        .unwrap();
    let head = raw.heads.lock().unwrap()[0].clone();
    let line = format!(
        "GET /sns/jscode2session?appid={APPID}&secret={SECRET}&js_code=a%26b%3Dc%2Bd&grant_type=authorization_code HTTP/1.1\r\n"
    );
    assert!(head.starts_with(&line), "{head}");
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(format!("{name}.txt"))).unwrap()
}

fn fixtures() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/wechat"
    ))
}

/// Every recorded answer and the word for what it must lead to.
const VERDICTS: [(&str, &str, &str); 28] = [
    ("ok", "200 OK", "ok"),
    ("ok_unionid", "200 OK", "ok"),
    ("ok_errcode_zero", "200 OK", "ok"),
    ("ok_short_key", "200 OK", "ok"),
    ("bad_code", "200 OK", "bad code 40029"),
    ("bad_code_old", "200 OK", "bad code 40029"),
    ("bad_code_string", "200 OK", "bad code 40029"),
    ("code_used", "200 OK", "used 40163"),
    ("busy", "200 OK", "unavailable"),
    ("too_often", "200 OK", "throttled 45011"),
    ("blocked", "200 OK", "blocked 40226"),
    ("bad_appid", "200 OK", "misconfigured 40013"),
    ("bad_secret", "200 OK", "misconfigured 40125"),
    ("address_not_listed", "200 OK", "misconfigured 40164"),
    ("day_used_up", "200 OK", "misconfigured 45009"),
    ("no_appid", "400 Bad Request", "misconfigured 41002"),
    ("no_secret", "200 OK", "misconfigured 41004"),
    ("no_code", "200 OK", "nonsense"),
    ("unknown_errcode", "200 OK", "nonsense"),
    ("half_no_session_key", "200 OK", "nonsense"),
    ("half_no_openid", "200 OK", "nonsense"),
    ("truncated", "200 OK", "nonsense"),
    ("null", "200 OK", "nonsense"),
    ("empty", "200 OK", "nonsense"),
    ("html_200", "200 OK", "nonsense"),
    ("html_502", "502 Bad Gateway", "unavailable"),
    ("openid_with_line_break", "200 OK", "nonsense"),
    ("echoes_secret", "200 OK", "misconfigured 40125"),
];

fn verdict(outcome: &Result<Identity, ExchangeError>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(ExchangeError::BadCode { platform_code }) => format!("bad code {platform_code}"),
        Err(ExchangeError::CodeUsed { platform_code }) => format!("used {platform_code}"),
        Err(ExchangeError::UserBlocked { platform_code }) => format!("blocked {platform_code}"),
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
    let on_disk: BTreeSet<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let listed: BTreeSet<String> = VERDICTS
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    assert_eq!(on_disk, listed);
    for (name, status, expected) in VERDICTS {
        let raw = Raw::start([raw::text(status, &fixture(name))]);
        let outcome = exchange(&provider(settings(&[&raw.url]))).await;
        assert_eq!(verdict(&outcome), expected, "{name}");
        let tries = if name == "busy" { 3 } else { 1 };
        assert_eq!(
            raw.requests(),
            tries,
            "{name}: an answer ends it, but for busy"
        );
    }
}

#[tokio::test]
async fn operators_are_told_what_to_mend() {
    let raw = Raw::start([raw::text("200 OK", &fixture("echoes_secret"))]);
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
    let sandbox = strict_sandbox();
    let order = json!({ "api": "jscode2session", "times": 2, "body": { "errcode": -1, "errmsg": "system error" } });
    assert_eq!(
        http()
            .post(sandbox.server.at("/sandbox/faults"))
            .json(&order)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let provider = provider(settings(&[&sandbox.server.url]));
    assert!(
        provider
            .exchange(&grant(&sandbox.platform.login_code(APPID, "alice")))
            .await
            .is_ok()
    );
    assert_eq!(sandbox.platform.calls("jscode2session"), 3);
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_the_connection() {
    let raw = Raw::start([Act::Silence]);
    let timeout = Duration::from_millis(150);
    let began = monotonic_now();
    let outcome = exchange(&provider(AppSettings {
        timeout,
        ..settings(&[&raw.url])
    }))
    .await;
    assert_eq!(verdict(&outcome), "unavailable");
    assert!(began.elapsed() >= timeout && began.elapsed() < Duration::from_secs(3));
    wait::until("the connection is closed", async || {
        (raw.left.load(Ordering::SeqCst)).then_some(())
    })
    .await;
    assert_eq!(
        raw.requests(),
        1,
        "the code may be consumed, so it is not sent again"
    );
}

#[tokio::test]
async fn half_an_answer_and_a_cut_connection_are_not_repeated() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"openid\":\"o1\",\"session_key\":\"tiihtNczf5v6AKRyjwEUhQ==\"".to_vec();
    for act in [
        Act::Say(half),
        Act::Cut,
        Act::Say(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
    ] {
        let raw = Raw::start([act.clone()]);
        assert_eq!(
            verdict(&exchange(&provider(settings(&[&raw.url]))).await),
            "unavailable",
            "{act:?}"
        );
        assert_eq!(raw.requests(), 1);
    }
}

#[tokio::test]
async fn a_flood_is_not_read() {
    let mut met = 0;
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ] {
        let raw = Raw::start([Act::Flood(head)]);
        let outcome = exchange(&provider(settings(&[&raw.url]))).await;
        assert!(
            matches!(&outcome, Err(ExchangeError::Nonsense { reason }) if reason.contains("longer than 65536")),
            "{outcome:?}"
        );
        wait::until("the connection is closed", async || {
            (raw.left.load(Ordering::SeqCst)).then_some(())
        })
        .await;
        // 64 KiB read, and what the two ends of the connection held in their buffers.
        assert!(
            raw.flooded.load(Ordering::SeqCst) < 1 << 20,
            "{}",
            raw.flooded.load(Ordering::SeqCst)
        );
        met += 1;
    }
    assert_eq!(met, 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Raw::start([raw::text("200 OK", &fixture("ok"))]);
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/sns/jscode2session\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url
    );
    let raw = Raw::start([Act::Say(redirect.into_bytes())]);
    assert_eq!(
        verdict(&exchange(&provider(settings(&[&raw.url]))).await),
        "nonsense"
    );
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn a_refused_connection_leads_to_the_next_address() {
    let (dead, _held) = raw::refusing();
    let alive = Raw::start([raw::text("200 OK", &fixture("ok"))]);
    let provider = provider(settings(&[&dead, &alive.url]));
    for _ in 0..2 {
        assert_eq!(verdict(&exchange(&provider).await), "ok");
    }
    assert_eq!(alive.requests(), 2);
}

#[tokio::test]
async fn nobody_listens_anywhere() {
    let (dead, _held) = raw::refusing();
    let Err(ExchangeError::Unavailable { reason, .. }) =
        exchange(&provider(settings(&[&dead]))).await
    else {
        panic!()
    };
    assert!(reason.contains("onnection refused"), "{reason}");
}

#[tokio::test]
async fn one_exchange_too_many_is_refused_at_once() {
    let raw = Raw::start([Act::Silence]);
    let provider = Arc::new(provider(AppSettings {
        max_concurrent: 1,
        ..settings(&[&raw.url])
    }));
    let first = tokio::spawn({
        let provider = provider.clone();
        async move { provider.exchange(&grant(CODE)).await }
    });
    wait::until("the first is under way", async || {
        (raw.requests() == 1).then_some(())
    })
    .await;
    let Err(ExchangeError::Unavailable {
        reason,
        retry_after,
    }) = exchange(&provider).await
    else {
        panic!()
    };
    assert_eq!(reason, "1 exchanges are under way already");
    assert!(retry_after >= Duration::from_secs(1) && retry_after <= Duration::from_secs(2));
    first.abort();
    wait::until(
        "the cancelled one has freed its place and its connection",
        async || (raw.left.load(Ordering::SeqCst)).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_silent_platform_is_left_alone_and_found_again() {
    let mut acts = vec![raw::text("503 Service Unavailable", b"busy"); 5];
    acts.push(raw::text("200 OK", &fixture("ok")));
    let raw = Raw::start(acts);
    let provider = provider(settings(&[&raw.url]));
    for _ in 0..5 {
        assert_eq!(verdict(&exchange(&provider).await), "unavailable");
    }
    assert_eq!(verdict(&exchange(&provider).await), "unavailable");
    assert_eq!(raw.requests(), 5, "nothing is sent while it is left alone");
    assert!(!logs::lines_with("logins are refused").is_empty());
    wait::until("it to be tried again", async || {
        exchange(&provider).await.ok()
    })
    .await;
}

#[tokio::test]
async fn nothing_that_a_client_sends_shuts_the_others_out() {
    // A firewall before the platform may cut the connection when it dislikes what a code looks
    // like.
    for act in [
        raw::text("200 OK", &fixture("bad_code")),
        raw::text("403 Forbidden", b"<html>"),
        Act::Cut,
    ] {
        let raw = Raw::start([act]);
        let provider = provider(settings(&[&raw.url]));
        for n in 1..=20 {
            assert!(exchange(&provider).await.is_err());
            assert_eq!(raw.requests(), n, "each is still sent");
        }
    }
}

#[tokio::test]
async fn after_silence_the_next_login_asks_another_address() {
    let (silent, alive) = (
        Raw::start([Act::Silence]),
        Raw::start([raw::text("200 OK", &fixture("ok"))]),
    );
    let timeout = Duration::from_millis(150);
    let provider = provider(AppSettings {
        timeout,
        ..settings(&[&silent.url, &alive.url])
    });
    assert_eq!(verdict(&exchange(&provider).await), "unavailable");
    assert_eq!(verdict(&exchange(&provider).await), "ok");
    assert_eq!((silent.requests(), alive.requests()), (1, 1));
}

#[tokio::test]
async fn throttled_until_the_next_minute() {
    let raw = Raw::start([raw::text("200 OK", &fixture("too_often"))]);
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
    let raw = Raw::start([Act::Silence]);
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
