//! Whether WeChat can be reached and takes the app's credentials: what `hufu doctor` asks. A login code that nobody was given is
//! exchanged; WeChat looks at the credentials first, and a made-up code uses nothing up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::mini_program::{MiniProgram, MiniProgramSettings};
use crate::clock::{SystemClock, monotonic_now};
use crate::crypto::{hash, random};
use crate::finding::{Examined, Finding, in_ms};
use crate::identity::{ExchangeError, Identity, IdentityProvider as _};
use crate::metrics::Metrics;
use crate::provider::call::{BaseUrl, PlatformClient};

const CHECK: &str = "secret";

/// Asks at each base URL, all at once; takes as long as one exchange may take.
pub async fn examine(settings: &MiniProgramSettings, client: &PlatformClient) -> Examined {
    let findings = join_all(settings.base_urls.iter().map(|base| examine_at(base, settings, client))).await;
    Examined { subject: format!("app {}", settings.app), findings }
}

async fn examine_at(base: &str, settings: &MiniProgramSettings, client: &PlatformClient) -> Finding {
    let alone = MiniProgramSettings { base_urls: vec![base.to_owned()], ..settings.clone() };
    let provider = match MiniProgram::new(alone, client.clone(), Arc::new(SystemClock), Arc::new(Metrics::new())) {
        Ok(provider) => provider,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "mend it in the configuration"),
    };
    let host = BaseUrl::parse(base).map(|base| base.host()).unwrap_or_default();
    // As long as WeChat's own.
    let code = hash::to_hex(&random::bytes::<16>());
    let sent = monotonic_now();
    let outcome = provider.exchange(&code).await;
    let way = BaseUrl::parse(base).ok().and_then(|base| Some(format!("through the proxy {}", client.way(&base)?.host())));
    judged(outcome, &host, settings, (sent.elapsed(), way.as_deref().unwrap_or("directly")))
}

fn judged(outcome: Result<Identity, ExchangeError>, host: &str, settings: &MiniProgramSettings, (took, way): (Duration, &str)) -> Finding {
    let (app, appid, took) = (&settings.app, &settings.appid, format!("{}, {way}", in_ms(took)));
    match outcome {
        Err(ExchangeError::BadCode { .. } | ExchangeError::CodeUsed { .. } | ExchangeError::UserBlocked { .. }) => {
            Finding::ok(CHECK, format!("{host} takes the secret of {appid} ({took})"))
        }
        Ok(_) => Finding::warn(
            CHECK,
            format!("{host} takes any code, so it is a sandbox and not WeChat ({took})"),
            format!("for real users remove apps.{app}.base_url; the secret could not be tried"),
        ),
        Err(ExchangeError::Misconfigured { reason, .. }) => Finding::fail(CHECK, format!("{host}: {reason}"), "nobody can sign in until this is mended"),
        Err(ExchangeError::Throttled { .. }) => {
            Finding::warn(CHECK, format!("{host} limits the calls of {appid} just now, so the secret could not be tried"), "ask again in a minute")
        }
        Err(ExchangeError::Unavailable { reason, .. }) => Finding::fail(
            CHECK,
            format!("{host}: {reason}"),
            format!("busy: ask again; else, does this machine reach it (DNS, firewall, proxy)? Logins get 503 until it answers; see apps.{app}.base_url"),
        ),
        Err(ExchangeError::Nonsense { reason }) => Finding::fail(
            CHECK,
            format!("{host}: {reason}"),
            format!(
                "an errcode of WeChat: look it up in its documentation; else something that is not WeChat answers there, a proxy or a wrong apps.{app}.base_url"
            ),
        ),
    }
}
