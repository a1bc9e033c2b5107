//! The steps of a login: check the code, reserve it, exchange it, make a session, answer; and the
//! same answer again for whoever comes with the same code a moment later.

mod exchange;
mod hook;
mod reservation;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_local;

use self::hook::Asked;
use crate::backoff;
use crate::clock::UnixMillis;
use crate::identity::answer::LoginAnswer;
use crate::identity::app::{App, Apps, is_appid};
use crate::identity::app_token_source::AppTokenSource;
use crate::identity::code::{CodeKind, CodeOf, FOLLOW, Outcome, Reserved, check_code};
use crate::identity::error::LoginError;
use crate::identity::exchange_error::ExchangeError;
use crate::identity::login_codes::LoginCodes;
use crate::identity::login_hook::LoginHook;
use crate::identity::platform_trouble::PlatformTrouble;
use crate::limit::LoginLimits;
use crate::metrics::{AppOutcome, Metrics};
use crate::secret::Secret;
use crate::session::service::{IssuedSession, SignIn, SignedIn};
use crate::session::store::{Lookup, Settlement};
use crate::session::{LoadedSession, SessionId, SessionService, StoreError, UserKey};

/// What is known of the client that logs in.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address.
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
    /// The team's backend that is asked about logins, if any is.
    pub hook: Option<Rc<dyn LoginHook>>,
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
        client: Client,
    ) -> Result<LoginAnswer, LoginError> {
        let configured = self
            .app(named.name)
            .inspect_err(|error| self.count("none", error.outcome()))?;
        let app = named
            .app_of_user(configured)
            .inspect_err(|error| self.count(&configured.name, error.outcome()))?;
        let result = self.login_to(&app, code, client).await;
        let outcome = result
            .as_ref()
            .map_or_else(LoginError::outcome, |(_, outcome)| outcome);
        self.count(&app.name, outcome);
        result.map(|(answer, _)| answer)
    }

    /// The name of the app that such a login is for, where it is configured.
    pub fn app_name(&self, app: Option<&str>) -> Option<Arc<str>> {
        self.app(app).ok().map(|app| app.name.clone())
    }

    fn count(&self, app: &str, outcome: &'static str) {
        self.metrics
            .logins
            .get_or_create(&AppOutcome {
                app: app.to_owned(),
                outcome,
            })
            .inc();
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
        client: Client,
    ) -> Result<(LoginAnswer, &'static str), LoginError> {
        check_code(code)?;
        let mut parts = [&*app.name, code].map(str::as_bytes).to_vec();
        parts.extend(app.authorizer().map(|appid| appid.as_bytes()));
        let login = CodeOf::new(self.sessions.naming(), CodeKind::Login, &parts);
        match self.reserve(app, &login, &client).await? {
            Reserved::Leader { now, ticket } => {
                let seen = client.clone();
                let result = self
                    .lead_to_the_end(app, code, login, now, ticket, client)
                    .await;
                result
                    .map(|answer| (answer, "ok"))
                    .map_err(|error| with_app_mismatch(error, app, &seen))
            }
            Reserved::Settled(outcome) => {
                let result = self.replayed(app, outcome).await;
                result
                    .map(|answer| (answer, "replayed"))
                    .map_err(|error| with_app_mismatch(error, app, &client))
            }
        }
    }

    /// Exchanges the code whether or not its client stays for the answer: a code is good once, and
    /// a phone that lost its connection comes again with the same one.
    async fn lead_to_the_end(
        &self,
        app: &App,
        code: &str,
        login: CodeOf,
        now: UnixMillis,
        ticket: [u8; 16],
        client: Client,
    ) -> Result<LoginAnswer, LoginError> {
        let flow = self.clone();
        let app = app.clone();
        let code = Secret::new(code.to_owned());
        let name = app.name.clone();
        let request_id = client.request_id.clone();
        let exchange = spawn_local(async move {
            flow.lead(&app, code.expose(), &login, now, ticket, &client)
                .await
        });
        exchange.await.unwrap_or_else(|lost| {
            log::error!(app = &*name, request_id = request_id.as_str(); "login: the code exchange was interrupted: {lost}");
            Err(PlatformTrouble::Unavailable { retry_after: Duration::from_secs(1) }.into())
        })
    }

    async fn lead(
        &self,
        app: &App,
        code: &str,
        login: &CodeOf,
        now: UnixMillis,
        ticket: [u8; 16],
        client: &Client,
    ) -> Result<LoginAnswer, LoginError> {
        let identity = match self.exchange(app, code).await {
            Ok(identity) => identity,
            Err(error) => {
                return self
                    .refused(app, login, ticket, error, &client.request_id)
                    .await;
            }
        };
        let user = UserKey {
            provider: app.provider.kind(),
            app: app.name.clone(),
            authorizer: app.authorizer().cloned(),
            subject: identity.subject,
        };
        let mut sign_in = SignIn {
            token: self.sessions.draw_token(&user),
            user,
            unionid: identity.unionid,
            session_key: identity.session_key,
            claims: identity.claims,
            client_address: client.address,
            device: client.device.clone(),
            reserved_at: now,
            quota: self.limits.per_user(),
            patches: app.patch_life(),
        };
        let request_id = &*client.request_id;
        if let Some(hook) = self.hook_of(app) {
            match self.ask_hook(hook, &mut sign_in, request_id).await? {
                Asked::GoesOn => {}
                Asked::Limited(refusal) => {
                    self.settle(app, login, &ticket, None, request_id).await;
                    return Err(refusal.into());
                }
                Asked::Ended(outcome) => {
                    let sealed = login.seal(&outcome);
                    self.settle(app, login, &ticket, Some(&sealed), request_id)
                        .await;
                    return outcome.answer();
                }
            }
        }
        let settle = |issued: &IssuedSession| {
            let answer = login.seal(&Outcome::Issued(answer_of(issued, app)));
            Some(Settlement {
                login: login.key,
                ticket,
                answer,
                keep: self.replay_window,
            })
        };
        match self.sessions.issue(sign_in, settle).await? {
            SignedIn::Issued(issued) => Ok(answer_of(&issued, app)),
            SignedIn::Limited(refusal) => {
                self.limits.count_refusal(&refusal);
                self.settle(app, login, &ticket, None, request_id).await;
                Err(refusal.into())
            }
            SignedIn::Blocked(_) => {
                let answer = login.seal(&Outcome::BlockedHere);
                self.settle(app, login, &ticket, Some(&answer), request_id)
                    .await;
                Outcome::BlockedHere.answer()
            }
        }
    }

    /// Settles a code that brought no identity: a verdict of the platform is kept for the others
    /// who wait for it, anything else frees the code for another try.
    async fn refused(
        &self,
        app: &App,
        login: &CodeOf,
        ticket: [u8; 16],
        error: ExchangeError,
        request_id: &str,
    ) -> Result<LoginAnswer, LoginError> {
        let verdict = match error {
            ExchangeError::BadCode { platform_code } => Ok(Outcome::BadCode(platform_code)),
            ExchangeError::CodeUsed { platform_code } => Ok(Outcome::Used(platform_code)),
            ExchangeError::UserBlocked { platform_code } => Ok(Outcome::Blocked(platform_code)),
            error => Err(error.trouble("login", &app.name, request_id).into()),
        };
        let sealed = verdict.as_ref().ok().map(|outcome| login.seal(outcome));
        self.settle(app, login, &ticket, sealed.as_deref(), request_id)
            .await;
        verdict.and_then(Outcome::answer)
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
    /// so a missing one is looked for again.
    async fn session_of(&self, answer: &LoginAnswer) -> Result<Option<LoadedSession>, StoreError> {
        const LOOKS: u32 = 3;
        let Some(id) = SessionId::parse(&answer.session_id) else {
            return Ok(None);
        };
        for look in 1..=LOOKS {
            if let Lookup::Found(found) = self.sessions.store().load(&id).await? {
                return Ok(Some(found));
            }
            if look < LOOKS {
                tokio::time::sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, look)).await;
            }
        }
        Ok(None)
    }
}

fn answer_of(issued: &IssuedSession, app: &App) -> LoginAnswer {
    LoginAnswer {
        app: app.name.to_string(),
        token: issued.token.expose(),
        session_id: issued.id.to_string(),
        expires_in: issued.expires_in,
        absolute_expires_in: issued.absolute_expires_in,
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
