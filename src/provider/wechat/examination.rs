//! Whether WeChat can be reached and takes the app's credentials: what `hufu doctor` asks. A login
//! code that nobody was given is exchanged; WeChat looks at the credentials first, and a made-up
//! code uses nothing up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::mini_program::{MiniProgram, MiniProgramSettings};
use crate::clock::{SystemClock, monotonic_now};
use crate::crypto::{hash, random};
use crate::finding::{Examined, Finding, in_ms};
use crate::identity::{ExchangeError, Identity, IdentityProvider as _};
use crate::metrics::Metrics;
use crate::peer;
use crate::provider::call::{BaseUrl, PlatformClient};

const CHECK: &str = "secret";

/// Asks at each base URL, all at once; takes as long as one exchange may take.
pub async fn examine(settings: &MiniProgramSettings, client: &PlatformClient) -> Examined {
    let findings = join_all(
        settings
            .base_urls
            .iter()
            .map(|base| examine_at(base, settings, client)),
    )
    .await;
    Examined {
        subject: format!("app {}", settings.app),
        findings,
    }
}

async fn examine_at(
    base: &str,
    settings: &MiniProgramSettings,
    client: &PlatformClient,
) -> Finding {
    let alone = MiniProgramSettings {
        base_urls: vec![base.to_owned()],
        ..settings.clone()
    };
    let provider = match MiniProgram::new(
        alone,
        client.clone(),
        Arc::new(SystemClock),
        Arc::new(Metrics::new()),
    ) {
        Ok(provider) => provider,
        Err(error) => {
            return Finding::fail(CHECK, error.to_string(), "mend it in the configuration");
        }
    };
    let host = BaseUrl::parse(base)
        .map(|base| base.host())
        .unwrap_or_default();
    // As long as WeChat's own.
    let code = hash::to_hex(&random::bytes::<16>());
    let sent = monotonic_now();
    let outcome = provider.exchange(&code).await;
    let way = BaseUrl::parse(base)
        .ok()
        .and_then(|base| Some(format!("through the proxy {}", client.way(&base)?.host())));
    judged(
        outcome,
        &host,
        settings,
        (sent.elapsed(), way.as_deref().unwrap_or("directly")),
    )
}

fn judged(
    outcome: Result<Identity, ExchangeError>,
    host: &str,
    settings: &MiniProgramSettings,
    (took, way): (Duration, &str),
) -> Finding {
    let (app, appid, took) = (
        &settings.app,
        &settings.appid,
        format!("{}, {way}", in_ms(took)),
    );
    match outcome {
        Err(
            ExchangeError::BadCode { .. }
            | ExchangeError::CodeUsed { .. }
            | ExchangeError::UserBlocked { .. },
        ) => Finding::ok(
            CHECK,
            format!("{host} takes the secret of {appid} ({took})"),
        ),
        Ok(_) => Finding::warn(
            CHECK,
            format!("{host} takes any code, so it is a sandbox and not WeChat ({took})"),
            format!("for real users remove apps.{app}.base_url; the secret could not be tried"),
        ),
        Err(ExchangeError::Misconfigured { reason, .. }) => Finding::fail(
            CHECK,
            format!("{host}: {reason}"),
            "nobody can sign in until this is mended",
        ),
        Err(ExchangeError::Throttled { .. }) => Finding::warn(
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
            Finding::fail(CHECK, format!("{host}: {reason}"), advice)
        }
        Err(ExchangeError::Nonsense { reason }) => {
            let advice = nonsense(&reason, app);
            Finding::fail(CHECK, format!("{host}: {reason}"), advice)
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

/// What to do about an answer that is none of WeChat's login API, or an error that it does not
/// document.
fn nonsense(reason: &str, app: &str) -> String {
    if reason.contains("errcode") && !reason.contains("HTTP status") {
        return "look the errcode up in WeChat's documentation".to_owned();
    }
    format!(
        "what answers there is not WeChat's API: leave apps.{app}.base_url out for https://api.weixin.qq.com, or write there what stands before \
         /sns/jscode2session"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for reason in [
            "the body is HTML (HTTP status 404, 9 bytes)",
            "HTTP status 404 with a body that names no error",
        ] {
            let cure = nonsense(reason, "shop");
            assert!(
                cure.contains("base_url out for https://api.weixin.qq.com")
                    && !cure.contains("errcode"),
                "{cure}"
            );
        }
        assert!(
            nonsense(
                "a number that jscode2session does not document (errcode 99999 x)",
                "shop"
            )
            .contains("errcode")
        );
    }
}
