//! Whether a platform can be reached and takes an app's credentials: what `hufu doctor` asks. A
//! login code that nobody was given is exchanged; that uses nothing up.

use std::sync::Arc;

use futures_util::future::join_all;

use super::api::PlatformApi;
use super::base_url::BaseUrl;
use super::client::PlatformClient;
use super::platform::Platform;
use super::registry::platform;
use super::settings::AppSettings;
use crate::clock::{SystemClock, monotonic_now};
use crate::crypto::{hash, random};
use crate::diagnostic::{DiagnosedSubject, Diagnostic, in_ms};
use crate::identity::{ExchangeError, ExchangeRequest, Identity, IdentityProvider as _};
use crate::metrics::Metrics;
use crate::peer;

const CHECK: &str = "secret";

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
        diagnostics,
    }
}

async fn diagnose_at(base: &str, settings: &AppSettings, client: &PlatformClient) -> Diagnostic {
    let alone = AppSettings {
        base_urls: vec![base.to_owned()],
        ..settings.clone()
    };
    let metrics = Arc::new(Metrics::new());
    let api = match PlatformApi::new(alone, client.clone(), Arc::new(SystemClock), metrics) {
        Ok(api) => api,
        Err(error) => {
            return Diagnostic::fail(CHECK, error.to_string(), "fix it in the configuration");
        }
    };
    let base = BaseUrl::parse(base).ok();
    let host = base.as_ref().map(BaseUrl::host).unwrap_or_default();
    // As long as a real one.
    let code = hash::to_hex(&random::bytes::<16>());
    let sent = monotonic_now();
    let outcome = api.exchange(&ExchangeRequest { code: &code }).await;
    let way = base
        .and_then(|base| Some(format!("through the proxy {}", client.way(&base)?.host())))
        .unwrap_or_else(|| "directly".to_owned());
    let took = format!("{}, {way}", in_ms(sent.elapsed()));
    judged(outcome, &host, settings, &took)
}

fn judged(
    outcome: Result<Identity, ExchangeError>,
    host: &str,
    settings: &AppSettings,
    took: &str,
) -> Diagnostic {
    let (app, appid) = (&settings.name, &settings.appid);
    let platform = platform(settings.provider);
    match outcome {
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
        Err(ExchangeError::Throttled { .. }) => Diagnostic::warn(
            CHECK,
            format!(
                "{host} limits the calls of {appid} just now, so the secret could not be tried"
            ),
            "ask again in a minute",
        ),
        Err(ExchangeError::Unavailable { reason, .. }) => {
            let advice = format!(
                "{}; logins get 503 until it answers",
                unavailable(&reason, app)
            );
            Diagnostic::fail(CHECK, format!("{host}: {reason}"), advice)
        }
        Err(ExchangeError::Nonsense { reason }) => {
            let advice = nonsense(&reason, app, platform);
            Diagnostic::fail(CHECK, format!("{host}: {reason}"), advice)
        }
    }
}

/// What to do where there is no answer, by the words for the reason.
fn unavailable(reason: &str, app: &str) -> String {
    let says = |words: &str| reason.contains(words);
    if says("the proxy")
        && (says("cannot be reached") || says("wants a login") || says("has refused the way"))
    {
        "is platforms.proxy right, and does that proxy run and let this machine through?".to_owned()
    } else if says("speaks no TLS") {
        format!("write http:// in apps.{app}.base_url, or the port that speaks TLS")
    } else if peer::is_untrusted(reason) {
        "add its authority to those of this machine (package ca-certificates, or SSL_CERT_FILE)"
            .to_owned()
    } else if says("certificate not valid for name") {
        format!("write a name that its certificate has in apps.{app}.base_url")
    } else if says("does not resolve") {
        format!(
            "is the host in apps.{app}.base_url right, and do the name servers of this machine know it?"
        )
    } else if says("Connection refused") {
        format!("nobody listens there: is apps.{app}.base_url right?")
    } else if says("has not answered") || says("timed out") || says("deadline has elapsed") {
        "does a firewall drop the packets? Where only a proxy leads out, set platforms.proxy; else it is busy: ask again".to_owned()
    } else if says("broke") {
        format!(
            "is apps.{app}.base_url right (https:// where it speaks TLS)? Else a firewall cuts the connection"
        )
    } else {
        format!(
            "busy: ask again; else, does this machine reach it (DNS, firewall, proxy)? See apps.{app}.base_url"
        )
    }
}

/// What to do about an answer that is none of the platform's login API, or an error that it does
/// not document.
fn nonsense(reason: &str, app: &str, platform: &Platform) -> String {
    let name = platform.name;
    let field = platform.error_field;
    if reason.contains(field) && !reason.contains("HTTP status") {
        return format!("look the {field} up in {name}'s documentation");
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
    fn each_reason_for_no_answer_has_its_own_cure() {
        for (reason, cure) in [
            (
                "no connection to h: h: the proxy p:1 cannot be reached: Connection refused (os error 111)",
                "is platforms.proxy right",
            ),
            (
                "no connection to h: h: the proxy p:1 cannot be reached: its name does not resolve: x",
                "is platforms.proxy right",
            ),
            (
                "no connection to h: h: it speaks no TLS there",
                "write http:// in apps.shop.base_url",
            ),
            (
                "no connection to h: h: Connection refused (os error 111)",
                "nobody listens there",
            ),
            (
                "no connection to h: h: its name does not resolve: Name or service not known",
                "is the host in apps.shop.base_url right",
            ),
            (
                "no connection to h: h: its certificate is not trusted: it is self-signed",
                "SSL_CERT_FILE",
            ),
            ("h has not answered within 5000 ms", "firewall"),
            ("WeChat says that it is busy (errcode -1)", "ask again"),
        ] {
            assert!(
                unavailable(reason, "shop").contains(cure),
                "{reason}: {}",
                unavailable(reason, "shop")
            );
        }
    }

    #[test]
    fn a_page_is_no_errcode() {
        let wechat = platform(ProviderKind::WechatMiniProgram);
        for reason in [
            "the body is HTML (HTTP status 404, 9 bytes)",
            "HTTP status 404 with a body that names no error",
        ] {
            let cure = nonsense(reason, "shop", wechat);
            assert!(
                cure.contains("base_url out for https://api.weixin.qq.com")
                    && !cure.contains("errcode"),
                "{cure}"
            );
        }
        assert!(
            nonsense(
                "a number that jscode2session does not document (errcode 99999 x)",
                "shop",
                wechat
            )
            .contains("errcode")
        );
    }
}
