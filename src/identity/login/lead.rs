//! The request that exchanges a code, for itself and for those who wait: the platform, the login
//! hook, the session.

use std::time::Duration;

use super::reservation::HeldCode;
use super::{Client, LoginFlow};
use crate::clock::UnixMillis;
use crate::detached::detached;
use crate::identity::answer::LoginAnswer;
use crate::identity::app::App;
use crate::identity::code::{CodeOf, Outcome};
use crate::identity::error::LoginError;
use crate::identity::exchange_error::ExchangeError;
use crate::identity::platform_trouble::PlatformTrouble;
use crate::identity::provider::Identity;
use crate::secret::Secret;
use crate::session::service::{IssuedSession, SignIn, SignedIn};
use crate::session::store::Settlement;
use crate::session::{StoreError, UnreadableState, UserKey};

/// How a login ends without a session.
pub(super) enum NoSession {
    /// For all who come with this code.
    Verdict(Outcome),
    /// For this request alone: the code is free for another try.
    Freed(LoginError),
    /// The reservation lapses by itself.
    StoreDown(StoreError),
}

impl From<StoreError> for NoSession {
    fn from(error: StoreError) -> Self {
        Self::StoreDown(error)
    }
}

impl LoginFlow {
    /// Exchanges the code whether or not its client stays for the answer: a code is good once, and
    /// a phone that lost its connection comes again with the same one.
    pub(super) async fn lead_to_the_end(
        &self,
        app: &App,
        code: &str,
        login: CodeOf,
        now: UnixMillis,
        ticket: [u8; 16],
        client: &Client,
    ) -> Result<LoginAnswer, LoginError> {
        let flow = self.clone();
        let code = Secret::new(code.to_owned());
        let its_app = app.clone();
        let its_client = client.clone();
        let led = detached(async move {
            let held = HeldCode::new(&its_app, &login, ticket, &its_client);
            flow.lead(&held, code.expose(), now, &its_client).await
        });
        led.await.unwrap_or_else(|| {
            let retry_after = Duration::from_secs(1);
            Err(PlatformTrouble::Unavailable { retry_after }.into())
        })
    }

    async fn lead(
        &self,
        held: &HeldCode<'_>,
        code: &str,
        now: UnixMillis,
        client: &Client,
    ) -> Result<LoginAnswer, LoginError> {
        match self.sign_in(held, code, now, client).await {
            Ok(answer) => Ok(answer),
            Err(NoSession::Verdict(outcome)) => {
                self.settle(held, Some(&outcome)).await;
                outcome.answer()
            }
            Err(NoSession::Freed(error)) => {
                self.settle(held, None).await;
                Err(error)
            }
            Err(NoSession::StoreDown(error)) => Err(error.into()),
        }
    }

    /// The steps from a code to a session.
    async fn sign_in(
        &self,
        held: &HeldCode<'_>,
        code: &str,
        now: UnixMillis,
        client: &Client,
    ) -> Result<LoginAnswer, NoSession> {
        let identity = self
            .exchange(held.app, code)
            .await
            .map_err(|error| not_exchanged(error, held))?;
        let mut sign_in = self.sign_in_of(held.app, identity, now, client);
        self.ask_hook(held, &mut sign_in).await?;
        self.issue(held, sign_in).await
    }

    fn sign_in_of(
        &self,
        app: &App,
        identity: Identity,
        now: UnixMillis,
        client: &Client,
    ) -> SignIn {
        let user = UserKey {
            provider: app.provider.kind(),
            app: app.name.clone(),
            authorizer: app.authorizer().cloned(),
            subject: identity.subject,
        };
        SignIn {
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
        }
    }

    /// Makes the session, and settles the code in the same step.
    async fn issue(&self, held: &HeldCode<'_>, sign_in: SignIn) -> Result<LoginAnswer, NoSession> {
        let settle = |issued: &IssuedSession| {
            let outcome = Outcome::Issued(answer_of(issued, held.app));
            Some(Settlement {
                login: held.login.key,
                ticket: held.ticket,
                answer: held.login.seal(&outcome),
                keep: self.replay_window,
            })
        };
        match self.sessions.issue(sign_in, settle).await? {
            SignedIn::Issued(issued) => Ok(answer_of(&issued, held.app)),
            SignedIn::Limited(refusal) => {
                self.limits.count_refusal(&refusal);
                Err(NoSession::Freed(refusal.into()))
            }
            SignedIn::Blocked(_) => Err(NoSession::Verdict(Outcome::BlockedHere)),
            SignedIn::Unfit(error) => {
                log::error!(app = &*held.app.name, request_id = held.request_id; "login: no session: its claims and those that operators have set do not fit together: {error}");
                Err(NoSession::Verdict(Outcome::ClaimsTooLarge))
            }
            SignedIn::UnreadableState(state) => Err(unknown_user(&state, held)),
        }
    }
}

/// Nobody knows whether the user is blocked.
pub(super) fn unknown_user(state: &UnreadableState, held: &HeldCode<'_>) -> NoSession {
    log::error!(app = &*held.app.name, request_id = held.request_id; "login: no session: {state}");
    NoSession::Verdict(Outcome::StateUnreadable)
}

/// A code that brought no identity: a verdict of the platform is kept for the others who wait for
/// it, anything else frees the code for another try.
fn not_exchanged(error: ExchangeError, held: &HeldCode<'_>) -> NoSession {
    NoSession::Verdict(match error {
        ExchangeError::BadCode { platform_code } => Outcome::BadCode(platform_code),
        ExchangeError::CodeUsed { platform_code } => Outcome::Used(platform_code),
        ExchangeError::UserBlocked { platform_code } => Outcome::Blocked(platform_code),
        error => {
            let trouble = error.trouble("login", &held.app.name, held.request_id);
            return NoSession::Freed(trouble.into());
        }
    })
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
