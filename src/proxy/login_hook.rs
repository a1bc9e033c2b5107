//! Asks the team's backend about a login: a signed request of the gateway's own to its upstream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::{Clock, millis, monotonic_now};
use crate::http::head::Headers;
use crate::identity::{
    Apps, HookAnswer, HookError, HookQuestion, LoginHook, LoginHookSettings, claims_of, detail_of,
};
use crate::proxy::own_request::{BodyEnd, OwnAnswer, OwnRequest, OwnRequests};

/// The header that signs the request.
const SIGNATURE: &str = "X-Hufu-Signature";
/// Longest answer, in bytes: the most claims that there can be, in the longest way to write them.
const ANSWER_MAX: usize = 16 * 1024;
/// Characters of an unusable answer that the log quotes.
const QUOTED: usize = 200;

/// How many calls may be under way, for all workers: of each app, so that the calls about one app's
/// logins leave room for the others.
pub struct HookPermits(BTreeMap<Arc<str>, Semaphore>);

impl HookPermits {
    /// Those of all apps that have a hook.
    pub fn new(apps: &Apps) -> Self {
        let permits = apps.iter().filter_map(|app| {
            let most = app.login_hook.as_ref()?.max_concurrent;
            let permits = Semaphore::new(most.min(Semaphore::MAX_PERMITS));
            Some((app.name.clone(), permits))
        });
        Self(permits.collect())
    }
}

/// The hook over the connections of one worker.
pub struct HookCaller {
    pub permits: Arc<HookPermits>,
    pub requests: OwnRequests,
    pub clock: Arc<dyn Clock>,
}

#[async_trait(?Send)]
impl LoginHook for HookCaller {
    async fn ask(
        &self,
        settings: &LoginHookSettings,
        question: &HookQuestion<'_>,
        request_id: &str,
    ) -> Result<HookAnswer, HookError> {
        let started = monotonic_now();
        let permits = self.permits.0.get(question.app());
        let permits = permits.ok_or_else(|| HookError("the app is not configured".to_owned()))?;
        // Half of the time is left to whoever gets one.
        let permit = timeout(settings.timeout / 2, permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            let most = settings.max_concurrent;
            let why = format!(
                "as many questions about logins of this app as login.hook.max_concurrent allows ({most}) are under way already"
            );
            return Err(HookError(why));
        };
        // In whole milliseconds, so that nothing is taken off where there was nothing to wait for.
        let waited = Duration::from_millis(millis(started.elapsed()));
        let body = question.body();
        let time = self.clock.unix_now().0 / 1000;
        let request = OwnRequest {
            upstream: &settings.upstream,
            path: &settings.path,
            user_agent: "hufu-login-hook",
            media_type: "application/json",
            lines: &format!("{SIGNATURE}: {}\r\n", settings.signature(time, &body)),
            body: &body,
            id: request_id,
            timeout: settings.timeout.saturating_sub(waited),
            answer_max: ANSWER_MAX,
        };
        let answer = self.requests.send(request).await.map_err(HookError)?;
        judged(&answer).map_err(|why| HookError(format!("{} {why}", settings.upstream)))
    }
}

/// What an answer means. `Err`: why it does not count, with its beginning.
fn judged(answer: &OwnAnswer) -> Result<HookAnswer, String> {
    let status = answer.status.as_u16();
    let unusable = |why: &str| {
        let quoted = quoted(&answer.body);
        Err(format!("answered {status}{why}: {quoted}"))
    };
    match answer.status {
        StatusCode::NO_CONTENT => return Ok(HookAnswer::Nothing),
        StatusCode::OK | StatusCode::FORBIDDEN => {}
        status if status.is_redirection() => return unusable(", and redirects are not followed"),
        _ => return unusable(""),
    }
    match &answer.end {
        BodyEnd::Whole => {}
        BodyEnd::TooLong => {
            return unusable(&format!(", and the body is longer than {ANSWER_MAX} bytes"));
        }
        BodyEnd::Broken(why) => return unusable(&format!(", and then {why}")),
    }
    if !is_json(answer.headers.view()) {
        return unusable(", and the Content-Type is not application/json");
    }
    let decided = if answer.status == StatusCode::OK {
        claims_of(&answer.body).map(HookAnswer::Claims)
    } else {
        detail_of(&answer.body).map(|detail| HookAnswer::Refused { detail })
    };
    decided.or_else(|why| unusable(&format!(", and the body {why}")))
}

/// `application/json`, or a type that is JSON underneath, such as `application/problem+json`.
fn is_json(headers: Headers<'_>) -> bool {
    let media_type = headers.single("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// The beginning of a body, with what is no plain character escaped.
fn quoted(body: &[u8]) -> String {
    let beginning = &body[..body.len().min(4 * QUOTED)];
    let text = String::from_utf8_lossy(beginning);
    let text: String = text.chars().take(QUOTED).collect();
    format!("{text:?}")
}
