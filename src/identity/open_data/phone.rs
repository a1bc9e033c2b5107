//! Phone numbers. Each call that succeeds costs the operator money, so a code goes to the platform
//! once, whatever its clients repeat and whoever dies meanwhile: the reservation lives as long as
//! the code, and only what the platform has surely not taken is let go.

use std::time::Duration;

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use super::unstored::PaidCodes;
use super::{Asker, OpenDataError, OpenDataFlow, Source};
use crate::detached::detached;
use crate::identity::app::App;
use crate::identity::app_token_source::{AccessToken, AppTokenError, AppTokenSource};
use crate::identity::capability::{PhoneNumber, UserCallError};
use crate::identity::code::{CodeKind, CodeOf, NotACode, Reserved, STORE_SHARE, check_code};
use crate::identity::exchange_error::PlatformCode;
use crate::identity::impatient::Impatient;
use crate::identity::login_codes::{LoginCodes as _, Reservation};
use crate::limit::Policy;
use crate::secret::Secret;
use crate::session::Written;

/// How long the platform takes a phone code.
const CODE_LIFE: Duration = Duration::from_secs(300);
/// A token, the call, another token and the call again: each takes the app's timeout at most.
const STEPS: u32 = 4;

/// What the store keeps of a phone code, sealed under the code.
#[derive(Serialize, Deserialize)]
enum Outcome {
    Number(Answer),
    BadCode(PlatformCode),
    Lost,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    #[serde(flatten)]
    number: PhoneNumber,
    /// Whether what the configuration names has become a claim, or it names nothing.
    #[serde(default)]
    kept: bool,
}

impl From<NotACode> for OpenDataError {
    fn from(NotACode(why): NotACode) -> Self {
        Self::CodeMalformed(why)
    }
}

/// A code, and who has come with it.
struct PhoneCode {
    asker: Asker,
    app: App,
    code: Secret<String>,
    flight: CodeOf,
}

impl OpenDataFlow {
    /// The number behind a code of the platform's phone number button. From the reservation on it
    /// goes on to the end whether or not its client waits: a code is good once, a phone that lost
    /// its connection comes again with the same one, and a reservation that nobody leads with would
    /// lock it. Whoever waits for another's call does so only for a client that waits, too.
    pub async fn phone_number(
        &self,
        asker: &Asker,
        code: &str,
    ) -> Result<PhoneNumber, OpenDataError> {
        let came = match self.phone_code(asker, code) {
            Ok(came) => came,
            Err(error) => {
                self.count(asker, "phone", error.outcome());
                return Err(error);
            }
        };
        // Before the reservation: whoever dies while it waits for a token costs nobody the code,
        // and nobody waits for the code meanwhile.
        let token = match self.token_for(asker, &came.app).await {
            Ok(token) => token,
            Err(error) => {
                self.count(asker, "phone", error.outcome());
                return Err(error);
            }
        };
        let flow = self.clone();
        let (client, _waits) = oneshot::channel();
        let call = detached(async move {
            let found = flow.found_number(&came, token, &client).await;
            let outcome = match &found {
                Ok(Some((_, outcome))) => outcome,
                // Nobody hears it.
                Ok(None) => return Err(OpenDataError::CodeLost),
                Err(error) => error.outcome(),
            };
            flow.count(&came.asker, "phone", outcome);
            found.and_then(|found| Ok(found.ok_or(OpenDataError::CodeLost)?.0))
        });
        call.await.unwrap_or(Err(OpenDataError::CodeLost))
    }

    /// Whether there is a token. Where it had to be waited for, the session may have ended
    /// meanwhile: then nothing is asked in its name.
    async fn token_for(
        &self,
        asker: &Asker,
        app: &App,
    ) -> Result<Result<(), AppTokenError>, OpenDataError> {
        let tokens: &dyn AppTokenSource = &Impatient(&*self.tokens);
        let mut token = tokens.token(app);
        if let Some(token) = (&mut token).now_or_never() {
            return Ok(token.map(drop));
        }
        let token = token.await.map(drop);
        self.still_signed_in(asker).await?;
        Ok(token)
    }

    async fn still_signed_in(&self, asker: &Asker) -> Result<(), OpenDataError> {
        let found = self.sessions.follow(&asker.session, false).await?;
        found.map(drop).ok_or(OpenDataError::SessionGone)
    }

    fn phone_code(&self, asker: &Asker, code: &str) -> Result<PhoneCode, OpenDataError> {
        let app = self.app(&asker.user)?;
        if app.phone_numbers().is_none() {
            return Err(OpenDataError::Unsupported);
        }
        check_code(code)?;
        // Under another user the same code is another one: a stolen answer is no use, and the
        // platform is told whose code it should be.
        let mut parts = [&*app.name, &*asker.user.subject, code]
            .map(str::as_bytes)
            .to_vec();
        parts.extend(app.authorizer().map(|appid| appid.as_bytes()));
        Ok(PhoneCode {
            flight: CodeOf::new(self.sessions.naming(), CodeKind::Phone, &parts),
            asker: asker.clone(),
            code: Secret::new(code.to_owned()),
            app,
        })
    }

    /// The number, and the word for the metric. Without a token, only what the store has is found.
    /// `None`: the client has left while somebody else had the code.
    async fn found_number(
        &self,
        came: &PhoneCode,
        token: Result<(), AppTokenError>,
        client: &oneshot::Sender<()>,
    ) -> Result<Option<(PhoneNumber, &'static str)>, OpenDataError> {
        let PhoneCode {
            asker, app, flight, ..
        } = came;
        let platform = app.phone_numbers().ok_or(OpenDataError::Unsupported)?;
        let codes = self.paid_codes();
        let first = codes.reserve(&flight.key, CODE_LIFE).await?;
        if let Err(error) = token {
            match first {
                Reservation::Leader { ticket, .. } => {
                    self.settle(came, &ticket, None).await;
                    return Err(Self::no_token(asker, "phone", error));
                }
                Reservation::Pending { .. } => {
                    return Err(Self::no_token(asker, "phone", error));
                }
                Reservation::Settled { .. } => {}
            }
        }
        let waits = matches!(first, Reservation::Pending { .. });
        let patience = app.provider.total_timeout() * STEPS + STORE_SHARE;
        let found = flight
            .follow(&codes, first, CODE_LIFE, patience, || !client.is_closed())
            .await?;
        let Some(found) = found else {
            return if client.is_closed() {
                Ok(None)
            } else {
                Err(OpenDataError::CodeLost)
            };
        };
        match found {
            Reserved::Settled(Outcome::Number(answer)) => {
                // Whoever asked may still be at it, or have died over it: the number is a claim by the
                // time of the answer. Once it is kept, an operator may have removed it since.
                if !answer.kept {
                    self.keep_number(asker, app, &answer.number).await;
                }
                Ok(Some((answer.number, "replayed")))
            }
            Reserved::Settled(Outcome::BadCode(platform_code)) => Err(OpenDataError::CodeInvalid {
                platform_code,
                other_codes: platform.other_codes(),
            }),
            Reserved::Settled(Outcome::Lost) => Err(OpenDataError::CodeLost),
            Reserved::Leader { ticket, .. } => {
                if waits && let Err(error) = self.still_signed_in(asker).await {
                    self.settle(came, &ticket, None).await;
                    return Err(error);
                }
                let number = self.lead_and_settle(came, &ticket).await?;
                Ok(Some((number, "ok")))
            }
        }
    }

    fn paid_codes(&self) -> PaidCodes<'_> {
        PaidCodes {
            store: &*self.codes,
            unstored: &self.unstored,
        }
    }

    /// Whether there is nothing left to keep.
    async fn keep_number(&self, asker: &Asker, app: &App, number: &PhoneNumber) -> bool {
        match serde_json::to_value(number) {
            Ok(Value::Object(fields)) if !self.rules.keep.is_empty() => {
                self.keep(asker, app, &fields, &Source::Phone).await
            }
            _ => true,
        }
    }

    /// Asks the platform, and keeps the outcome for those who come with the same code.
    async fn lead_and_settle(
        &self,
        came: &PhoneCode,
        ticket: &[u8; 16],
    ) -> Result<PhoneNumber, OpenDataError> {
        let PhoneCode {
            asker,
            app,
            code,
            flight,
        } = came;
        let (result, outcome) = self.lead(asker, app, code.expose()).await;
        let sealed = outcome.as_ref().map(|outcome| flight.seal(outcome));
        // At once: the number is paid for, and whoever dies while it becomes a claim leaves it to
        // others.
        self.settle(came, ticket, sealed.as_deref()).await;
        if let Some(Outcome::Number(mut answer)) = outcome
            && let Some(sealed) = sealed
            && !answer.kept
            && self.keep_number(asker, app, &answer.number).await
        {
            answer.kept = true;
            let kept = flight.seal(&Outcome::Number(answer));
            let codes = self.paid_codes();
            if let Err(error) = codes.replace_answer(&flight.key, &sealed, &kept).await {
                log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "phone: cannot note that the number is kept, so the same code keeps it again: {error}");
            }
        }
        result
    }

    /// Ends a reservation with a sealed outcome; `None`: the code is as good as before.
    async fn settle(&self, came: &PhoneCode, ticket: &[u8; 16], sealed: Option<&[u8]>) {
        let PhoneCode {
            asker, app, flight, ..
        } = came;
        let answer = sealed.map(|sealed| (sealed, CODE_LIFE));
        let why = match self.paid_codes().settle(&flight.key, ticket, answer).await {
            Err(error) => error.to_string(),
            Ok(Written::Stale | Written::Gone) if answer.is_some() => {
                "the reservation is not there any more".to_owned()
            }
            Ok(_) => return,
        };
        // Those who come to other gateways wait until the reservation lapses.
        log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "phone: cannot store the outcome, so this process alone has it: {why}");
    }

    /// The result, and what others find who come with the code; `None`: the code is as good as
    /// before.
    async fn lead(
        &self,
        asker: &Asker,
        app: &App,
        code: &str,
    ) -> (Result<PhoneNumber, OpenDataError>, Option<Outcome>) {
        let Some(platform) = app.phone_numbers() else {
            return (Err(OpenDataError::Unsupported), None);
        };
        // Before the limit: without a token there is no call, and the user has spent nothing. The
        // one that was there may have ended while the code was waited for.
        match self.token_for(asker, app).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return (Err(Self::no_token(asker, "phone", error)), None),
            Err(error) => return (Err(error), None),
        }
        if let Some(quota) = self.rules.phone_limit {
            let policy = Policy::PhoneLimit;
            let limit = self.sessions.limit_of(policy, &asker.user, quota);
            if let Err(refusal) = self.limiter.admit(policy, limit).await {
                return (Err(refusal.into()), None);
            }
        }
        let call = |token: AccessToken| async move {
            let subject = &asker.user.subject;
            platform.phone_number(&token.text, code, subject).await
        };
        let tokens: &dyn AppTokenSource = &Impatient(&*self.tokens);
        match tokens.with_token(app, call).await {
            Err(error) => (Err(Self::no_token(asker, "phone", error)), None),
            Ok(Ok(number)) => {
                let answer = Answer {
                    number: number.clone(),
                    kept: self.rules.keep.is_empty(),
                };
                (Ok(number), Some(Outcome::Number(answer)))
            }
            Ok(Err(UserCallError::Lost { reason })) => {
                log::error!(app = &*app.name, request_id = asker.request_id.as_str(); "phone: the code may have been taken, and is not sent again: {reason}");
                (Err(OpenDataError::CodeLost), Some(Outcome::Lost))
            }
            Ok(Err(UserCallError::Refused(error))) => {
                let error = Self::refused(asker, app, "phone", error);
                let outcome = match &error {
                    OpenDataError::CodeInvalid { platform_code, .. } => {
                        Some(Outcome::BadCode(platform_code.clone()))
                    }
                    _ => None,
                };
                (Err(error), outcome)
            }
        }
    }
}
