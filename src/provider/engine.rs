//! Asks a platform: at the first of its addresses that can be connected to, again where that can do
//! no harm, and within a deadline; and gives its errors their meaning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::base_url::BaseUrl;
use super::bases::Bases;
use super::client::{Call, CallError, CallFault, PlatformClient};
use super::platform::{Meaning, Parsed, Platform, TokenApi, api_name};
use super::registry::platform;
use super::reply::{self, PlatformRefusal, Reply};
use super::settings::{AppSettings, SettingsError};
use crate::backoff;
use crate::clock::{Clock, monotonic_now};
use crate::identity::{ExchangeError, ExchangeRequest, GrantedToken, Identity, TokenGrant};
use crate::metrics::Metrics;
use crate::peer::PeerTrouble;

/// Calls for one answer in all: each busy platform gets two more chances.
const TRIES: u32 = 3;
/// The wait before the second try and the longest before a later one; "busy" passes within moments.
const BETWEEN_TRIES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// When a client whose call failed here should come back, before jitter.
const COME_BACK: Duration = Duration::from_secs(2);
/// Platforms count calls by the minute.
const MINUTE_MS: u64 = 60_000;

/// One app at its platform.
pub(super) struct Engine {
    pub(super) platform: &'static Platform,
    pub(super) settings: AppSettings,
    bases: Bases,
    client: PlatformClient,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What is asked, and how its answer reads.
pub(super) struct Question<'a, T> {
    pub(super) path: &'static str,
    /// Makes the call, anew for each try.
    pub(super) call: &'a (dyn Fn() -> Call<'a> + Sync),
    pub(super) read: fn(&[u8]) -> Result<Parsed<T>, serde_json::Error>,
    /// What was sent and must not come back in a message.
    pub(super) hidden: &'a [&'a str],
}

/// What one try came to.
pub(super) enum Try<T> {
    /// An answer that stands.
    Answered(Result<T, ExchangeError>),
    /// The platform says that it is busy: it is alive, and has most likely not acted.
    Busy(NoAnswer),
    /// Nothing was sent.
    NotSent(NoAnswer),
    /// Sent, and the connection ended without an answer: the platform may have acted, so there is no
    /// other try.
    Cut(NoAnswer),
    /// Sent, and nothing came, or HTTP 5xx; again the platform may have acted.
    Down(NoAnswer),
}

/// Why there is no answer that stands: for the log, and for advice.
pub(super) struct NoAnswer {
    pub(super) reason: String,
    pub(super) fault: CallFault,
}

impl NoAnswer {
    /// Nothing is known but the reason.
    const fn of(reason: String) -> Self {
        Self {
            reason,
            fault: CallFault::Peer(PeerTrouble::Other),
        }
    }
}

impl<T> Try<T> {
    pub(super) fn result(self) -> Result<T, ExchangeError> {
        match self {
            Self::Answered(result) => result,
            Self::Busy(none) | Self::NotSent(none) | Self::Cut(none) | Self::Down(none) => {
                Err(unavailable(none.reason))
            }
        }
    }
}

impl Engine {
    pub(super) fn new(
        settings: AppSettings,
        client: PlatformClient,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            platform: platform(settings.provider),
            bases: Bases::new(settings.checked_bases()?),
            settings,
            client,
            clock,
            metrics,
        })
    }

    /// Exchanges a login code.
    pub(super) async fn exchange(&self, request: &ExchangeRequest<'_>) -> Try<Identity> {
        let api = &self.platform.login;
        let token = request.token.map_or("", |token| token.expose().as_str());
        let question = Question {
            path: api.path,
            call: &|| (api.request)(&self.settings, request),
            read: api.read,
            hidden: &[self.settings.secret.expose(), request.code, token],
        };
        self.ask(&question).await
    }

    /// Fetches a token of the app's own, where the platform gives any.
    pub(super) async fn fetch_token(
        &self,
        api: &TokenApi,
        grant: TokenGrant,
    ) -> Result<GrantedToken, ExchangeError> {
        let call = match (grant, &api.classic) {
            (TokenGrant::Classic, Some(classic)) => classic,
            (TokenGrant::Stable | TokenGrant::Classic, _) => &api.stable,
        };
        let question = Question {
            path: call.path,
            call: &|| (call.request)(&self.settings),
            read: api.read,
            hidden: &[self.settings.secret.expose()],
        };
        self.ask(&question).await.result()
    }

    /// Tries until there is an answer, the tries are used up or the app's time would be over before
    /// the next.
    pub(super) async fn ask<T>(&self, question: &Question<'_, T>) -> Try<T> {
        self.ask_while(question, |tried| {
            matches!(tried, Try::Busy(_) | Try::NotSent(_))
        })
        .await
    }

    /// The same for what must not happen twice: another try only where nothing was sent.
    pub(super) async fn ask_once<T>(&self, question: &Question<'_, T>) -> Try<T> {
        self.ask_while(question, |tried| matches!(tried, Try::NotSent(_)))
            .await
    }

    async fn ask_while<T>(
        &self,
        question: &Question<'_, T>,
        may_repeat: fn(&Try<T>) -> bool,
    ) -> Try<T> {
        let deadline = monotonic_now() + self.settings.timeout;
        for attempt in 1.. {
            let tried = self.try_once(question, deadline).await;
            let wait = backoff::jittered(BETWEEN_TRIES.0, BETWEEN_TRIES.1, attempt);
            if !may_repeat(&tried) || attempt == TRIES || monotonic_now() + wait >= deadline {
                return tried;
            }
            tokio::time::sleep(wait).await;
        }
        Try::NotSent(NoAnswer::of("no try was made".to_owned()))
    }

    /// One call, at the first address that can be connected to.
    async fn try_once<T>(&self, question: &Question<'_, T>, deadline: Instant) -> Try<T> {
        let mut refused = Vec::new();
        let mut last_fault = CallFault::Peer(PeerTrouble::Other);
        for (at, base) in self.bases.in_order() {
            if !refused.is_empty() && monotonic_now() >= deadline {
                break;
            }
            let tried = match self.call(base, question, deadline).await {
                Ok(reply) => self.judged(question.path, reply),
                Err(CallError::NotSent { host, cause, fault }) => {
                    self.bases.leave(at);
                    refused.push(format!("{host}: {cause}"));
                    last_fault = fault;
                    continue;
                }
                Err(error @ CallError::TooLarge { .. }) => nonsense(error.to_string()),
                Err(error @ CallError::Broken { fault, .. }) => Try::Cut(NoAnswer {
                    reason: error.to_string(),
                    fault,
                }),
                Err(error @ CallError::Silent { .. }) => Try::Down(NoAnswer {
                    reason: error.to_string(),
                    fault: CallFault::Peer(PeerTrouble::TimedOut),
                }),
            };
            // After silence this call is lost, but the next one asks elsewhere.
            if matches!(tried, Try::Down(_)) {
                self.bases.leave(at);
            } else {
                self.bases.prefer(at);
            }
            return tried;
        }
        Try::NotSent(NoAnswer {
            reason: format!("no connection to {}", refused.join("; ")),
            fault: last_fault,
        })
    }

    async fn call<T>(
        &self,
        base: &BaseUrl,
        question: &Question<'_, T>,
        deadline: Instant,
    ) -> Result<Reply<T>, CallError> {
        let call = (question.call)();
        let sent = monotonic_now();
        let answer = self
            .client
            .send(base, &call, deadline.saturating_duration_since(sent))
            .await;
        let took = monotonic_now().saturating_duration_since(sent);
        self.metrics
            .platform
            .call(&self.settings.name, api_name(question.path), took);
        let field = self.platform.error_field;
        answer.map(|answer| reply::read(question.read, field, &answer, question.hidden))
    }

    fn judged<T>(&self, path: &'static str, reply: Reply<T>) -> Try<T> {
        match reply {
            Reply::Success(value) => Try::Answered(Ok(value)),
            Reply::Nonsense(reason) => nonsense(reason),
            Reply::Down(reason) => Try::Down(NoAnswer::of(reason)),
            Reply::Refused(refusal) => self.refused(path, refusal),
        }
    }

    fn refused<T>(&self, path: &'static str, refusal: PlatformRefusal) -> Try<T> {
        let PlatformRefusal {
            code: platform_code,
            description,
        } = refusal;
        let api = api_name(path);
        let name = self.platform.name;
        log::debug!(app = &*self.settings.name; "{api}: {description}");
        Try::Answered(Err(match self.platform.meaning(&platform_code) {
            Some(Meaning::Busy) => {
                let reason = format!("{name} says that it is busy ({description})");
                return Try::Busy(NoAnswer::of(reason));
            }
            Some(Meaning::TooOften) => ExchangeError::Throttled {
                platform_code,
                retry_after: self.next_minute(),
            },
            Some(Meaning::BadCode) => ExchangeError::BadCode { platform_code },
            Some(Meaning::CodeUsed) => ExchangeError::CodeUsed { platform_code },
            Some(Meaning::TokenRefused) => ExchangeError::TokenRefused { platform_code },
            Some(Meaning::NotAuthorized) => ExchangeError::NotAuthorized {
                reason: format!("{name} knows of no authorisation ({description})"),
                platform_code,
            },
            Some(Meaning::UserBlocked) => ExchangeError::UserBlocked { platform_code },
            Some(Meaning::Misconfigured(advice)) => {
                let advice = advice
                    .replace("{app}", &self.settings.name)
                    .replace("{appid}", &self.settings.appid);
                ExchangeError::Misconfigured {
                    reason: format!("{advice} ({description})"),
                    platform_code,
                }
            }
            Some(Meaning::Unexpected(why)) => ExchangeError::Nonsense {
                reason: format!("{name} says that {why} ({description})"),
                platform_code: Some(platform_code),
            },
            None => ExchangeError::Nonsense {
                reason: format!("an error that {api} does not document ({description})"),
                platform_code: Some(platform_code),
            },
        }))
    }

    /// Until the platform counts anew, and up to two seconds more, so that not all come back in the same
    /// instant.
    fn next_minute(&self) -> Duration {
        let left = MINUTE_MS - self.clock.unix_now().0 % MINUTE_MS;
        Duration::from_millis(left) + come_back()
    }
}

/// What came is none of the platform's answers.
fn nonsense<T>(reason: String) -> Try<T> {
    Try::Answered(Err(ExchangeError::Nonsense {
        reason,
        platform_code: None,
    }))
}

pub(super) fn unavailable(reason: String) -> ExchangeError {
    ExchangeError::Unavailable {
        reason,
        retry_after: come_back(),
    }
}

pub(super) fn come_back() -> Duration {
    backoff::jittered(COME_BACK, COME_BACK, 1)
}
