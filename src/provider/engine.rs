//! Asks a platform: at the first of its addresses that can be connected to, again where that can do
//! no harm, and within a deadline; and gives its errors their meaning.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::base_url::BaseUrl;
use super::client::{Call, CallError, PlatformClient};
use super::platform::{Meaning, Parsed, Platform, api_name};
use super::registry::platform;
use super::reply::{self, PlatformRefusal, Reply};
use super::settings::{AppSettings, SettingsError};
use crate::backoff;
use crate::clock::{Clock, monotonic_now};
use crate::identity::ExchangeError;
use crate::metrics::{AppApi, Metrics};

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
    bases: Vec<BaseUrl>,
    /// Where the last connection worked: a dead first address costs its connect timeout once, not
    /// at every call.
    preferred: AtomicUsize,
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
    Busy(String),
    /// Nothing was sent.
    NotSent(String),
    /// Sent, and the connection ended without an answer: the platform may have acted, so there is no
    /// other try.
    Cut(String),
    /// Sent, and nothing came, or HTTP 5xx; again the platform may have acted.
    Down(String),
}

impl<T> Try<T> {
    pub(super) fn result(self) -> Result<T, ExchangeError> {
        match self {
            Self::Answered(result) => result,
            Self::Busy(reason) | Self::NotSent(reason) | Self::Cut(reason) | Self::Down(reason) => {
                Err(unavailable(reason))
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
            bases: settings.checked_bases()?,
            preferred: AtomicUsize::new(0),
            settings,
            client,
            clock,
            metrics,
        })
    }

    /// Tries until there is an answer, the tries are used up or the app's time would be over before
    /// the next.
    pub(super) async fn ask<T>(&self, question: &Question<'_, T>) -> Try<T> {
        let deadline = monotonic_now() + self.settings.timeout;
        for attempt in 1.. {
            let tried = self.try_once(question, deadline).await;
            let may_repeat = matches!(tried, Try::Busy(_) | Try::NotSent(_));
            let wait = backoff::jittered(BETWEEN_TRIES.0, BETWEEN_TRIES.1, attempt);
            if !may_repeat || attempt == TRIES || monotonic_now() + wait >= deadline {
                return tried;
            }
            tokio::time::sleep(wait).await;
        }
        Try::NotSent("no try was made".to_owned())
    }

    /// One call, at the first address that can be connected to.
    async fn try_once<T>(&self, question: &Question<'_, T>, deadline: Instant) -> Try<T> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut refused = Vec::new();
        for offset in 0..self.bases.len() {
            let at = (first + offset) % self.bases.len();
            if offset > 0 && monotonic_now() >= deadline {
                break;
            }
            let tried = match self.call(&self.bases[at], question, deadline).await {
                Ok(reply) => self.judged(question.path, reply),
                Err(CallError::NotSent { host, cause }) => {
                    refused.push(format!("{host}: {cause}"));
                    continue;
                }
                Err(error @ CallError::TooLarge { .. }) => {
                    Try::Answered(Err(ExchangeError::Nonsense {
                        reason: error.to_string(),
                    }))
                }
                Err(error @ CallError::Broken { .. }) => Try::Cut(error.to_string()),
                Err(error @ CallError::Silent { .. }) => Try::Down(error.to_string()),
            };
            // After silence this call is lost, but the next one asks elsewhere.
            let next = if matches!(tried, Try::Down(_)) {
                (at + 1) % self.bases.len()
            } else {
                at
            };
            self.preferred.store(next, Ordering::Relaxed);
            return tried;
        }
        Try::NotSent(format!("no connection to {}", refused.join("; ")))
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
            .platform_seconds
            .get_or_create(&AppApi {
                app: self.settings.name.to_string(),
                api: api_name(question.path),
            })
            .observe(took.as_secs_f64());
        let field = self.platform.error_field;
        answer.map(|answer| reply::read(question.read, field, &answer, question.hidden))
    }

    fn judged<T>(&self, path: &'static str, reply: Reply<T>) -> Try<T> {
        match reply {
            Reply::Success(value) => Try::Answered(Ok(value)),
            Reply::Nonsense(reason) => Try::Answered(Err(ExchangeError::Nonsense { reason })),
            Reply::Down(reason) => Try::Down(reason),
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
                return Try::Busy(format!("{name} says that it is busy ({description})"));
            }
            Some(Meaning::TooOften) => ExchangeError::Throttled {
                platform_code,
                retry_after: self.next_minute(),
            },
            Some(Meaning::BadCode) => ExchangeError::BadCode { platform_code },
            Some(Meaning::CodeUsed) => ExchangeError::CodeUsed { platform_code },
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
            },
            None => ExchangeError::Nonsense {
                reason: format!("an error that {api} does not document ({description})"),
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

pub(super) fn unavailable(reason: String) -> ExchangeError {
    ExchangeError::Unavailable {
        reason,
        retry_after: come_back(),
    }
}

pub(super) fn come_back() -> Duration {
    backoff::jittered(COME_BACK, COME_BACK, 1)
}
