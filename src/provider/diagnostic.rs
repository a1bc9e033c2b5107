//! Whether a platform can be reached and takes an app's credentials: what `hufu doctor` asks. A
//! login code that nobody was given is exchanged, which uses nothing up; and an access token is
//! fetched by the call that ends no other one.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::join_all;

use super::base_url::BaseUrl;
use super::client::{CallFault, PlatformClient};
use super::component::ComponentCalls;
use super::engine::{Engine, Try};
use super::platform::{ComponentApis, Platform};
use super::registry::platform;
use super::settings::AppSettings;
use crate::clock::{SystemClock, monotonic_now};
use crate::crypto::{hash, random};
use crate::diagnostic::{DiagnosedSubject, Diagnostic, Verdict, in_ms};
use crate::identity::{
    ComponentApi as _, ExchangeError, ExchangeRequest, GrantedToken, Identity, TokenGrant,
};
use crate::metrics::Metrics;
use crate::peer::PeerTrouble;
use crate::secret::Secret;

const CHECK: &str = "secret";
const TOKEN: &str = "access token";

/// Asks at each base URL, all at once; takes as long as one exchange may take.
pub async fn diagnose(settings: &AppSettings, client: &PlatformClient) -> DiagnosedSubject {
    let diagnostics = join_all(
        settings
            .base_urls
            .iter()
            .map(|base| diagnose_at(base, settings, client)),
    )
    .await;
    DiagnosedSubject {
        subject: format!("app {}", settings.name),
        diagnostics: diagnostics.concat(),
    }
}

async fn diagnose_at(
    base: &str,
    settings: &AppSettings,
    client: &PlatformClient,
) -> Vec<Diagnostic> {
    let alone = AppSettings {
        base_urls: vec![base.to_owned()],
        ..settings.clone()
    };
    let metrics = Arc::new(Metrics::new());
    let engine = match Engine::new(alone, client.clone(), Arc::new(SystemClock), metrics) {
        Ok(engine) => engine,
        Err(error) => {
            let error = error.to_string();
            return vec![Diagnostic::fail(
                CHECK,
                error,
                "fix it in the configuration",
            )];
        }
    };
    let base = BaseUrl::parse(base).ok();
    let host = base.as_ref().map(BaseUrl::host).unwrap_or_default();
    // As long as a real one.
    let code = hash::to_hex(&random::bytes::<16>());
    let way = base
        .and_then(|base| Some(format!("through the proxy {}", client.way(&base)?.host())))
        .unwrap_or_else(|| "directly".to_owned());
    let sent = monotonic_now();
    if let Some(apis) = &engine.platform.component {
        let engine = Arc::new(engine);
        let asked = ComponentCalls { engine, apis }
            .fetch(&Secret::new(code))
            .await;
        let took = format!("{}, {way}", in_ms(sent.elapsed()));
        return vec![judged_ticket(asked, &host, settings, apis, &took)];
    }
    let tried = engine.exchange(&ExchangeRequest::of_code(&code)).await;
    let took = format!("{}, {way}", in_ms(sent.elapsed()));
    let secret = judged(tried, &host, settings, &took);
    let mut diagnostics = vec![secret];
    // What stands against the secret stands against the token.
    if diagnostics[0].verdict != Verdict::Fail
        && let Some(api) = &platform(settings.provider).app_token
    {
        let fetched = engine.fetch_token(api, TokenGrant::Stable).await;
        diagnostics.push(judged_token(fetched, &host, settings));
    }
    diagnostics
}

/// Logins of most platforms need no token, so nothing of this fails the check.
fn judged_token(
    outcome: Result<GrantedToken, ExchangeError>,
    host: &str,
    settings: &AppSettings,
) -> Diagnostic {
    let (app, appid) = (&settings.name, &settings.appid);
    let platform = platform(settings.provider);
    let error = match outcome {
        Ok(_) => {
            let seen = format!("{host} gives one for {appid}; no other one has ended by this");
            return Diagnostic::ok(TOKEN, seen);
        }
        Err(error) => error,
    };
    let advice = match (&error, address_in(&error.to_string())) {
        (ExchangeError::Misconfigured { .. }, Some(address)) => format!(
            "add {address}, from which {} saw this machine call, to the IP whitelist of the app ({}); users sign in without it, calls with an access token need it",
            platform.name, platform.console
        ),
        _ => format!("users of {app} sign in without it; calls with an access token get 503"),
    };
    Diagnostic::warn(TOKEN, format!("{host}: {error}"), advice)
}

/// What came of a ticket that no platform has made: a refusal of the ticket alone is as it should be.
fn judged_ticket(
    asked: Result<GrantedToken, ExchangeError>,
    host: &str,
    settings: &AppSettings,
    apis: &ComponentApis,
    took: &str,
) -> Diagnostic {
    let (app, appid) = (&settings.name, &settings.appid);
    match asked {
        Err(ExchangeError::Misconfigured { platform_code, .. })
            if apis.ticket_refusals.contains(&platform_code) =>
        {
            let seen =
                format!("{host} answers, and says nothing against the secret of {appid} ({took})");
            Diagnostic::ok(CHECK, seen)
        }
        Ok(_) => Diagnostic::warn(
            CHECK,
            format!("{host} takes any ticket, so it is a stand-in ({took})"),
            format!("for real users remove apps.{app}.base_url"),
        ),
        Err(error @ (ExchangeError::Unavailable { .. } | ExchangeError::Throttled { .. })) => {
            Diagnostic::fail(
                CHECK,
                format!("{host}: {error}"),
                "logins get 503 until it answers",
            )
        }
        Err(error) => Diagnostic::fail(
            CHECK,
            format!("{host}: {error}"),
            "nobody can sign in until this is fixed",
        ),
    }
}

/// The first address in a text of the platform's.
fn address_in(text: &str) -> Option<IpAddr> {
    text.split([' ', ',', '"'])
        .find_map(|word| word.parse().ok())
}

fn judged(tried: Try<Identity>, host: &str, settings: &AppSettings, took: &str) -> Diagnostic {
    match tried {
        Try::Answered(answer) => judged_answer(answer, host, settings, took),
        Try::Busy(none) | Try::NotSent(none) | Try::Cut(none) | Try::Down(none) => {
            let advice = format!(
                "{}; logins get 503 until it answers",
                unavailable(none.fault, &settings.name)
            );
            Diagnostic::fail(CHECK, format!("{host}: {}", none.reason), advice)
        }
    }
}

fn judged_answer(
    answer: Result<Identity, ExchangeError>,
    host: &str,
    settings: &AppSettings,
    took: &str,
) -> Diagnostic {
    let app = &settings.name;
    let appid = &settings.appid;
    let platform = platform(settings.provider);
    match answer {
        Err(
            ExchangeError::BadCode { .. }
            | ExchangeError::CodeUsed { .. }
            | ExchangeError::UserBlocked { .. },
        ) => {
            let seen = if platform.login.checks_secret_first {
                "takes"
            } else {
                "answers, and says nothing against"
            };
            Diagnostic::ok(
                CHECK,
                format!("{host} {seen} the secret of {appid} ({took})"),
            )
        }
        Ok(_) => Diagnostic::warn(
            CHECK,
            format!(
                "{host} takes any code, so it is a sandbox and not {} ({took})",
                platform.name
            ),
            format!("for real users remove apps.{app}.base_url; the secret could not be tried"),
        ),
        Err(ExchangeError::Misconfigured { reason, .. }) => Diagnostic::fail(
            CHECK,
            format!("{host}: {reason}"),
            "nobody can sign in until this is fixed",
        ),
        Err(ExchangeError::Throttled { .. } | ExchangeError::Unavailable { .. }) => {
            Diagnostic::warn(
                CHECK,
                format!(
                    "{host} limits the calls of {appid} just now, so the secret could not be tried"
                ),
                "ask again in a minute",
            )
        }
        Err(error @ (ExchangeError::TokenRefused { .. } | ExchangeError::NotAuthorized { .. })) => {
            let advice = nonsense(true, app, platform);
            Diagnostic::fail(CHECK, format!("{host}: {error}"), advice)
        }
        Err(ExchangeError::Nonsense {
            reason,
            platform_code,
        }) => {
            let advice = nonsense(platform_code.is_some(), app, platform);
            Diagnostic::fail(CHECK, format!("{host}: {reason}"), advice)
        }
    }
}

/// What to do where there is no answer.
fn unavailable(fault: CallFault, app: &str) -> String {
    match fault {
        CallFault::Proxy => {
            "is platforms.proxy right, and does that proxy run and let this machine through?"
                .to_owned()
        }
        CallFault::Broken => format!(
            "is apps.{app}.base_url right (https:// where it speaks TLS)? Else a firewall cuts the connection"
        ),
        CallFault::Peer(trouble) => match trouble {
            PeerTrouble::NoTls => {
                format!("write http:// in apps.{app}.base_url, or the port that speaks TLS")
            }
            PeerTrouble::Untrusted | PeerTrouble::AuthorityAsServer => {
                "add its authority to those of this machine (package ca-certificates, or SSL_CERT_FILE)"
                    .to_owned()
            }
            PeerTrouble::OtherName => {
                format!("write a name that its certificate has in apps.{app}.base_url")
            }
            PeerTrouble::UnknownHost => format!(
                "is the host in apps.{app}.base_url right, and do the name servers of this machine know it?"
            ),
            PeerTrouble::Refused => {
                format!("nobody listens there: is apps.{app}.base_url right?")
            }
            PeerTrouble::TimedOut => "does a firewall drop the packets? Where only a proxy leads out, set platforms.proxy; else it is busy: ask again".to_owned(),
            PeerTrouble::Certificate | PeerTrouble::Other => format!(
                "busy: ask again; else, does this machine reach it (DNS, firewall, proxy)? See apps.{app}.base_url"
            ),
        },
    }
}

/// What to do about an error that the platform does not document, or about an answer that is none
/// of its API.
fn nonsense(is_error: bool, app: &str, platform: &Platform) -> String {
    let name = platform.name;
    if is_error {
        return format!(
            "look the {} up in {name}'s documentation",
            platform.error_field
        );
    }
    format!(
        "what answers there is not {name}'s API: leave apps.{app}.base_url out for {}, or write there what stands before {}",
        platform.base_urls.join(", "),
        platform.login.path
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ProviderKind;

    #[test]
    fn each_fault_has_its_own_cure() {
        for (fault, cure) in [
            (CallFault::Proxy, "is platforms.proxy right"),
            (CallFault::Broken, "https:// where it speaks TLS"),
            (
                CallFault::Peer(PeerTrouble::NoTls),
                "write http:// in apps.shop.base_url",
            ),
            (
                CallFault::Peer(PeerTrouble::Refused),
                "nobody listens there",
            ),
            (
                CallFault::Peer(PeerTrouble::UnknownHost),
                "is the host in apps.shop.base_url right",
            ),
            (CallFault::Peer(PeerTrouble::Untrusted), "SSL_CERT_FILE"),
            (
                CallFault::Peer(PeerTrouble::OtherName),
                "a name that its certificate has",
            ),
            (CallFault::Peer(PeerTrouble::TimedOut), "firewall"),
            (CallFault::Peer(PeerTrouble::Other), "ask again"),
        ] {
            let advice = unavailable(fault, "shop");
            assert!(advice.contains(cure), "{fault:?}: {advice}");
        }
    }

    #[test]
    fn the_address_that_the_platform_saw_is_found_in_its_words() {
        for (text, address) in [
            (
                "errcode 40164, rid 1-2: \"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist\"",
                Some("203.0.113.7"),
            ),
            (
                "invalid ip 2001:db8::7, not in whitelist",
                Some("2001:db8::7"),
            ),
            ("errcode 40125: \"invalid appsecret\"", None),
        ] {
            let expected = address.map(|text| text.parse().unwrap());
            assert_eq!(address_in(text), expected, "{text}");
        }
    }

    #[test]
    fn a_page_is_no_errcode() {
        let wechat = platform(ProviderKind::WechatMiniProgram);
        let cure = nonsense(false, "shop", wechat);
        assert!(
            cure.contains("base_url out for https://api.weixin.qq.com")
                && !cure.contains("errcode"),
            "{cure}"
        );
        assert!(nonsense(true, "shop", wechat).contains("errcode"));
    }
}
