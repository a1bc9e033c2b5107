//! Exchanges codes with a platform. Every exchange is bounded in time, retries and number; a
//! platform that does not answer is not called for a while. Beside it stands what else the platform
//! can do for the app.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::client::PlatformClient;
use super::component::ComponentCalls;
use super::engine::{Engine, Try, come_back, unavailable};
use super::platform::{TokenApi, api_name};
use super::settings::{AppSettings, SettingsError};
use super::tickets::TicketCalls;
use super::trouble::Trouble;
use super::users::UserCalls;
use crate::clock::{Clock, monotonic_now};
use crate::identity::{
    AppTickets, AppToken, ComponentApi, ExchangeError, ExchangeRequest, GrantedToken, Identity,
    IdentityProvider, OpenData, PhoneNumbers, PlatformCode, SessionKeyApi, TokenGrant,
};
use crate::metrics::Metrics;
use crate::session::ProviderKind;
use crate::upstream::breaker::{Admission, Breaker, BreakerChange, BreakerSettings, Ticket};

/// One app at its platform.
pub struct PlatformApi {
    engine: Arc<Engine>,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    trouble: Mutex<Trouble>,
    app_token: Option<AppTokenApi>,
    users: Option<UserCalls>,
    component: Option<ComponentCalls>,
    tickets: Option<TicketCalls>,
}

/// Fetches tokens of an app, where its platform gives any. Neither the logins' permits nor their
/// breaker count here: logins do not wait for a token.
struct AppTokenApi {
    engine: Arc<Engine>,
    api: &'static TokenApi,
}

impl PlatformApi {
    /// The clock says when the platform's minute ends; the metrics take the time of each call.
    pub fn new(
        settings: AppSettings,
        client: PlatformClient,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SettingsError> {
        let breaker = BreakerSettings {
            trial_lease: settings.timeout,
            ..BreakerSettings::default()
        };
        let permits = settings.max_concurrent.min(Semaphore::MAX_PERMITS);
        let engine = Arc::new(Engine::new(settings, client, clock, metrics)?);
        Ok(Self {
            permits: Semaphore::new(permits),
            breaker: Mutex::new(Breaker::new(breaker)),
            trouble: Mutex::default(),
            app_token: engine.platform.app_token.as_ref().map(|api| AppTokenApi {
                engine: engine.clone(),
                api,
            }),
            tickets: engine.platform.tickets.map(|api| TicketCalls {
                engine: engine.clone(),
                api,
            }),
            users: engine.platform.users.map(|apis| UserCalls {
                engine: engine.clone(),
                apis,
            }),
            component: engine
                .platform
                .component
                .as_ref()
                .map(|apis| ComponentCalls {
                    engine: engine.clone(),
                    apis,
                }),
            engine,
        })
    }

    fn admitted(&self) -> Result<Ticket, ExchangeError> {
        match self.breaker().admit(monotonic_now()) {
            Admission::Pass(ticket) | Admission::Trial(ticket) => Ok(ticket),
            Admission::Refused { retry_after } => Err(ExchangeError::Unavailable {
                reason: format!("circuit breaker open for {}", self.engine.platform.name),
                retry_after: retry_after + come_back(),
            }),
        }
    }

    /// Tells the breaker. What a client can cause by the code that it sends must not shut the
    /// others out, so no answer counts against the platform, and neither does a cut connection,
    /// which is how firewalls answer what they dislike: it costs no waiting either. Only a trial
    /// has to do better.
    fn record(&self, ticket: Ticket, tried: &Try<Identity>) {
        let mut breaker = self.breaker();
        let change = match tried {
            Try::Answered(_) | Try::Busy(_) => breaker.succeeded(ticket),
            Try::Cut(_) if breaker.is_closed() => None,
            Try::NotSent(_) | Try::Cut(_) | Try::Down(_) => breaker.failed(ticket, monotonic_now()),
        };
        drop(breaker);
        self.note(tried, change);
        let app = &*self.engine.settings.name;
        let api = api_name(self.engine.platform.login.path);
        let name = self.engine.platform.name;
        match change {
            Some(BreakerChange::Opened { open_for }) => {
                log::error!(app; "{api}: circuit breaker opened: {name} does not answer; logins are refused for {} ms", open_for.as_millis());
            }
            Some(BreakerChange::Closed) => {
                log::info!(app; "{api}: circuit breaker closed: {name} answers again");
            }
            None => {}
        }
    }

    /// Keeps what readiness says of the app.
    fn note(&self, tried: &Try<Identity>, change: Option<BreakerChange>) {
        let mut trouble = self.trouble();
        match (tried, change) {
            (Try::Answered(answer), _) => trouble.note_answer(answer),
            (
                Try::NotSent(none) | Try::Cut(none) | Try::Down(none),
                Some(BreakerChange::Opened { .. }),
            ) => trouble.note_silence(self.engine.platform.name, &none.reason),
            _ => {}
        }
        if matches!(change, Some(BreakerChange::Closed)) {
            trouble.note_recovery();
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl IdentityProvider for PlatformApi {
    fn kind(&self) -> ProviderKind {
        self.engine.platform.kind
    }

    fn total_timeout(&self) -> Duration {
        self.engine.settings.timeout
    }

    fn trouble(&self) -> Option<String> {
        self.trouble().reason()
    }

    fn used_code(&self) -> Option<PlatformCode> {
        self.engine.platform.used_code()
    }

    fn login_call(&self) -> &'static str {
        self.engine.platform.login_call
    }

    async fn exchange(&self, request: &ExchangeRequest<'_>) -> Result<Identity, ExchangeError> {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(unavailable(format!(
                "{} exchanges are already in flight",
                self.engine.settings.max_concurrent
            )));
        };
        let ticket = self.admitted()?;
        let tried = self.engine.exchange(request).await;
        self.record(ticket, &tried);
        tried.result()
    }

    fn open_data(&self) -> Option<&dyn OpenData> {
        self.engine.platform.open_data
    }

    fn phone_numbers(&self) -> Option<&dyn PhoneNumbers> {
        self.users.as_ref().map(|users| users as &dyn PhoneNumbers)
    }

    fn session_key_api(&self) -> Option<&dyn SessionKeyApi> {
        self.users.as_ref().map(|users| users as &dyn SessionKeyApi)
    }

    fn app_tickets(&self) -> Option<&dyn AppTickets> {
        let tickets = self.tickets.as_ref();
        tickets.map(|tickets| tickets as &dyn AppTickets)
    }

    fn app_token(&self) -> Option<&dyn AppToken> {
        self.app_token.as_ref().map(|api| api as &dyn AppToken)
    }

    fn component(&self) -> Option<&dyn ComponentApi> {
        self.component.as_ref().map(|api| api as &dyn ComponentApi)
    }
}

#[async_trait]
impl AppToken for AppTokenApi {
    fn grant(&self) -> TokenGrant {
        self.engine.settings.token_grant
    }

    async fn fetch(&self, grant: TokenGrant) -> Result<GrantedToken, ExchangeError> {
        self.engine.fetch_token(self.api, grant).await
    }
}
