//! Exchanges codes with a platform. Every exchange is bounded in time, retries and number; a
//! platform that does not answer is not called for a while.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::base_url::BaseUrl;
use super::client::{CallError, PlatformClient};
use super::platform::{LoginApi, Meaning, Platform};
use super::registry::platform;
use super::reply::{self, Refusal, Reply};
use super::settings::{AppSettings, SettingsError};
use super::trouble::Trouble;
use crate::backoff;
use crate::clock::{Clock, monotonic_now};
use crate::identity::{ExchangeError, ExchangeRequest, Identity, IdentityProvider, PlatformCode};
use crate::metrics::{AppApi, Metrics};
use crate::session::ProviderKind;
use crate::upstream::breaker::{Admission, Breaker, BreakerSettings, Change, Ticket};

/// Calls for one code in all: each busy platform gets two more chances.
const TRIES: u32 = 3;
/// The wait before the second try and the longest before a later one; "busy" passes within moments.
const BETWEEN_TRIES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// When a client whose login failed here should come back, before jitter.
const COME_BACK: Duration = Duration::from_secs(2);
/// Platforms count calls by the minute.
const MINUTE_MS: u64 = 60_000;

/// One app at its platform.
pub struct PlatformApi {
    platform: &'static Platform,
    settings: AppSettings,
    bases: Vec<BaseUrl>,
    /// Where the last connection worked: a dead first address costs its connect timeout once, not
    /// at every login.
    preferred: AtomicUsize,
    client: PlatformClient,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    trouble: Mutex<Trouble>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for PlatformApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PlatformApi({}, {})",
            self.settings.name, self.settings.appid
        )
    }
}

/// What one try came to.
enum Try {
    /// An answer that stands.
    Answered(Result<Identity, ExchangeError>),
    /// The platform says that it is busy: it is alive, and the code is most likely still good.
    Busy(String),
    /// Nothing was sent.
    NotSent(String),
    /// Sent, and the connection ended without an answer: the code may be consumed, so there is no
    /// other try.
    Cut(String),
    /// Sent, and nothing came, or HTTP 5xx; again the code may be consumed.
    Down(String),
}

impl PlatformApi {
    /// The clock says when the platform's minute ends; the metrics take the time of each call.
    pub fn new(
        settings: AppSettings,
        client: PlatformClient,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SettingsError> {
        let bases = settings.checked_bases()?;
        let breaker = BreakerSettings {
            trial_lease: settings.timeout,
            ..BreakerSettings::default()
        };
        Ok(Self {
            platform: platform(settings.provider),
            permits: Semaphore::new(settings.max_concurrent.min(Semaphore::MAX_PERMITS)),
            breaker: Mutex::new(Breaker::new(breaker)),
            trouble: Mutex::default(),
            preferred: AtomicUsize::new(0),
            settings,
            bases,
            client,
            clock,
            metrics,
        })
    }

    /// Tries until there is an answer, the tries are used up or the time would be over before the
    /// next.
    async fn tries(&self, request: &ExchangeRequest<'_>, deadline: Instant) -> Try {
        for attempt in 1.. {
            let tried = self.try_once(request, deadline).await;
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
    async fn try_once(&self, request: &ExchangeRequest<'_>, deadline: Instant) -> Try {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut refused = Vec::new();
        for offset in 0..self.bases.len() {
            let at = (first + offset) % self.bases.len();
            if offset > 0 && monotonic_now() >= deadline {
                break;
            }
            let tried = match self.call(&self.bases[at], request, deadline).await {
                Ok(reply) => self.judged(reply),
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
            // After silence this code is lost, but the next login asks elsewhere.
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

    async fn call(
        &self,
        base: &BaseUrl,
        request: &ExchangeRequest<'_>,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        let api = self.login();
        let call = (api.request)(&self.settings, request);
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
                api: api.name(),
            })
            .observe(took.as_secs_f64());
        let hidden = [self.settings.secret.expose(), request.code];
        answer.map(|answer| reply::read(api, &answer, &hidden))
    }

    const fn login(&self) -> &'static LoginApi {
        &self.platform.login
    }

    fn judged(&self, reply: Reply) -> Try {
        match reply {
            Reply::Identity(identity) => Try::Answered(Ok(identity)),
            Reply::Nonsense(reason) => Try::Answered(Err(ExchangeError::Nonsense { reason })),
            Reply::Down(reason) => Try::Down(reason),
            Reply::Refused(refusal) => self.refused(refusal),
        }
    }

    fn refused(&self, refusal: Refusal) -> Try {
        let Refusal { code, description } = refusal;
        let (api, name) = (self.login(), self.platform.name);
        log::debug!(app = &*self.settings.name; "{}: {description}", api.name());
        let platform_code = code;
        Try::Answered(Err(match api.meaning(&platform_code) {
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
                reason: format!(
                    "an error that {} does not document ({description})",
                    api.name()
                ),
            },
        }))
    }

    /// Until the platform counts anew, and up to two seconds more, so that not all come back in the same
    /// instant.
    fn next_minute(&self) -> Duration {
        let left = MINUTE_MS - self.clock.unix_now().0 % MINUTE_MS;
        Duration::from_millis(left) + come_back()
    }

    fn admitted(&self) -> Result<Ticket, ExchangeError> {
        match self.breaker().admit(monotonic_now()) {
            Admission::Pass(ticket) | Admission::Trial(ticket) => Ok(ticket),
            Admission::Refused { retry_after } => Err(ExchangeError::Unavailable {
                reason: format!("circuit breaker open for {}", self.platform.name),
                retry_after: retry_after + come_back(),
            }),
        }
    }

    /// Tells the breaker. What a client can cause by the code that it sends must not shut the
    /// others out, so no answer counts against the platform, and neither does a cut connection,
    /// which is how firewalls answer what they dislike: it costs no waiting either. Only a trial
    /// has to do better.
    fn record(&self, ticket: Ticket, tried: &Try) {
        let mut breaker = self.breaker();
        let change = match tried {
            Try::Answered(_) | Try::Busy(_) => breaker.succeeded(ticket),
            Try::Cut(_) if breaker.is_closed() => None,
            Try::NotSent(_) | Try::Cut(_) | Try::Down(_) => breaker.failed(ticket, monotonic_now()),
        };
        drop(breaker);
        self.note(tried, change);
        let (app, api, name) = (
            &*self.settings.name,
            self.login().name(),
            self.platform.name,
        );
        match change {
            Some(Change::Opened { open_for }) => {
                log::error!(app; "{api}: circuit breaker opened: {name} does not answer; logins are refused for {} ms", open_for.as_millis());
            }
            Some(Change::Closed) => {
                log::info!(app; "{api}: circuit breaker closed: {name} answers again");
            }
            None => {}
        }
    }

    /// Keeps what readiness says of the app.
    fn note(&self, tried: &Try, change: Option<Change>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match tried {
            Try::Answered(answer) => trouble.answered(answer),
            Try::NotSent(reason) | Try::Cut(reason) | Try::Down(reason)
                if matches!(change, Some(Change::Opened { .. })) =>
            {
                trouble.opened(self.platform.name, reason);
            }
            Try::Busy(_) | Try::NotSent(_) | Try::Cut(_) | Try::Down(_) => {}
        }
        if matches!(change, Some(Change::Closed)) {
            trouble.closed();
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl IdentityProvider for PlatformApi {
    fn kind(&self) -> ProviderKind {
        self.platform.kind
    }

    fn total_timeout(&self) -> Duration {
        self.settings.timeout
    }

    fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .told()
    }

    fn used_code(&self) -> Option<PlatformCode> {
        self.login().used_code()
    }

    async fn exchange(&self, request: &ExchangeRequest<'_>) -> Result<Identity, ExchangeError> {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(unavailable(format!(
                "{} exchanges are already in flight",
                self.settings.max_concurrent
            )));
        };
        let ticket = self.admitted()?;
        let tried = self
            .tries(request, monotonic_now() + self.settings.timeout)
            .await;
        self.record(ticket, &tried);
        match tried {
            Try::Answered(result) => result,
            Try::Busy(reason) | Try::NotSent(reason) | Try::Cut(reason) | Try::Down(reason) => {
                Err(unavailable(reason))
            }
        }
    }
}

fn unavailable(reason: String) -> ExchangeError {
    ExchangeError::Unavailable {
        reason,
        retry_after: come_back(),
    }
}

fn come_back() -> Duration {
    backoff::jittered(COME_BACK, COME_BACK, 1)
}
