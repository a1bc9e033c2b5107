//! A login: check the code and reserve it; then one request leads to a session, and whoever comes
//! with the same code gets the same answer.

mod exchange;
mod hook;
mod lead;
mod reservation;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff;
use crate::identity::answer::LoginAnswer;
use crate::identity::app::{App, Apps, is_appid};
use crate::identity::app_token_source::AppTokenSource;
use crate::identity::code::{CodeKind, CodeOf, FOLLOW, Outcome, Reserved, check_code};
use crate::identity::error::LoginError;
use crate::identity::login_codes::LoginCodes;
use crate::identity::login_hook::LoginHook;
use crate::limit::LoginLimits;
use crate::metrics::Metrics;
use crate::session::store::Lookup;
use crate::session::{LoadedSession, SessionId, SessionService, StoreError};

/// What is known of the client that logs in.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pub address: Option<IpAddr>,
    /// The address whose quota it counts against; `None`: the gateway sees only one that is not the
    /// client's.
    pub limited_by: Option<IpAddr>,
    /// A name of its device, from the User-Agent.
    pub device: String,
    /// The id of its request, which it has in its answer: for the log.
    pub request_id: String,
    /// The id of the app whose page its Referer names: a hint, never a proof.
    pub referer_appid: Option<String>,
}

/// The app that a login is for, as the client names it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NamedApp<'a> {
    /// Its name in the configuration; `None`: there is one only.
    pub name: Option<&'a str>,
    /// The id of the app that the user uses, where the one of the configuration acts for it.
    pub authorizer: Option<&'a str>,
}

impl NamedApp<'_> {
    /// The app that the user uses: the configured one, or the one that it acts for.
    pub fn app_of_user(&self, configured: &App) -> Result<App, LoginError> {
        match (configured.component_api(), self.authorizer) {
            (None, None) => Ok(configured.clone()),
            (None, Some(_)) => Err(LoginError::AuthorizerInvalid(
                "This app acts for no other; leave authorizer_appid out.",
            )),
            (Some(_), None) => Err(LoginError::AuthorizerRequired),
            (Some(_), Some(appid)) if is_appid(appid) => {
                Ok(configured.for_authorizer(appid.into()))
            }
            (Some(_), Some(_)) => Err(LoginError::AuthorizerInvalid(
                "The authorizer_appid is no appid; send that of the app that the user uses.",
            )),
        }
    }
}

/// The login of all apps.
#[derive(Clone)]
pub struct LoginFlow {
    pub apps: Arc<Apps>,
    pub sessions: Arc<SessionService>,
    pub codes: Arc<dyn LoginCodes>,
    /// Where the tokens come from that some platforms want before a code.
    pub tokens: Arc<dyn AppTokenSource>,
    /// Asks the team's backend about logins of the apps that have a hook.
    pub hook: Rc<dyn LoginHook>,
    pub limits: LoginLimits,
    pub replay_window: Duration,
    pub metrics: Arc<Metrics>,
}

impl LoginFlow {
    /// Exchanges a code for a session.
    pub async fn login(
        &self,
        named: NamedApp<'_>,
        code: &str,
        client: &Client,
    ) -> Result<LoginAnswer, LoginError> {
        let configured = self
            .app(named.name)
            .inspect_err(|error| self.metrics.login.login("none", error.outcome()))?;
        let app = named
            .app_of_user(configured)
            .inspect_err(|error| self.metrics.login.login(&configured.name, error.outcome()))?;
        let result = self.login_to(&app, code, client).await;
        let outcome = result
            .as_ref()
            .map_or_else(LoginError::outcome, |(_, outcome)| outcome);
        self.metrics.login.login(&app.name, outcome);
        result.map(|(answer, _)| answer)
    }

    /// The name of the app that such a login is for, where it is configured.
    pub fn app_name(&self, app: Option<&str>) -> Option<Arc<str>> {
        self.app(app).ok().map(|app| app.name.clone())
    }

    fn app(&self, name: Option<&str>) -> Result<&App, LoginError> {
        match name {
            Some(name) => self.apps.get(name).ok_or(LoginError::AppUnknown),
            None => self.apps.only().ok_or(LoginError::AppRequired),
        }
    }

    async fn login_to(
        &self,
        app: &App,
        code: &str,
        client: &Client,
    ) -> Result<(LoginAnswer, &'static str), LoginError> {
        check_code(code)?;
        let mut parts = [&*app.name, code].map(str::as_bytes).to_vec();
        parts.extend(app.authorizer().map(|appid| appid.as_bytes()));
        let login = CodeOf::new(self.sessions.naming(), CodeKind::Login, &parts);
        let result = match self.reserve(app, &login, client).await? {
            Reserved::Leader { now, ticket } => self
                .lead_to_the_end(app, code, login, now, ticket, client)
                .await
                .map(|answer| (answer, "ok")),
            Reserved::Settled(outcome) => self
                .replayed(app, outcome)
                .await
                .map(|answer| (answer, "replayed")),
        };
        result.map_err(|error| with_app_mismatch(error, app, client))
    }

    /// The answer that was given a moment ago, if its session still lives.
    async fn replayed(&self, app: &App, outcome: Outcome) -> Result<LoginAnswer, LoginError> {
        let answer = outcome.answer()?;
        let found = self
            .session_of(&answer)
            .await?
            .ok_or(LoginError::CodeUsed {
                platform_code: app.provider.used_code(),
            })?;
        Ok(LoginAnswer {
            expires_in: found.expires_in,
            absolute_expires_in: found.absolute_expires_in(),
            ..answer
        })
    }

    /// The session that an answer speaks of. The answer may be in the store a round trip before it,
    /// so a missing one is looked for again, and no near cache is to remember that it was missing.
    async fn session_of(&self, answer: &LoginAnswer) -> Result<Option<LoadedSession>, StoreError> {
        const LOOKS: u32 = 3;
        let Some(id) = SessionId::parse(&answer.session_id) else {
            return Ok(None);
        };
        for look in 1..=LOOKS {
            if let Lookup::Found(found) = self.sessions.store().load_stored(&id).await? {
                return Ok(Some(found));
            }
            if look < LOOKS {
                tokio::time::sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, look)).await;
            }
        }
        Ok(None)
    }
}

/// A refused code whose Referer names another app came from there: say so, since the platform does
/// not.
fn with_app_mismatch(error: LoginError, app: &App, client: &Client) -> LoginError {
    match (&error, client.referer_appid.as_deref()) {
        (LoginError::CodeInvalid { platform_code }, Some(other)) if *other != *app.appid => {
            log::warn!(app = &*app.name, request_id = client.request_id.as_str(); "login: the code belongs to {other:?}, but this app is {}", app.appid);
            LoginError::AppMismatch {
                platform_code: platform_code.clone(),
            }
        }
        _ => error,
    }
}
