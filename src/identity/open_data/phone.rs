//! Phone numbers. Each call that succeeds costs the operator money, so a code goes to the platform
//! once, whatever its clients repeat and whoever dies meanwhile: the reservation lives as long as
//! the code, and only what the platform has surely not taken is let go.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::unstored::PaidCodes;
use super::{Asker, OpenDataError, OpenDataFlow, Source};
use crate::identity::app::App;
use crate::identity::app_token_source::AccessToken;
use crate::identity::capability::{PhoneNumber, UserCallError};
use crate::identity::code::{CodeKind, CodeOf, NotACode, Reserved, STORE_SHARE, check_code};
use crate::identity::exchange_error::PlatformCode;
use crate::identity::login_codes::{LoginCodes as _, Reservation};
use crate::limit::Policy;
use crate::secret::Secret;

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
    /// Whether what the configuration names has become a claim.
    #[serde(default)]
    kept: bool,
}

impl From<NotACode> for OpenDataError {
    fn from(NotACode(why): NotACode) -> Self {
        Self::CodeMalformed(why)
    }
}

impl OpenDataFlow {
    /// The number behind a code of the platform's phone number button.
    pub async fn phone_number(
        &self,
        asker: &Asker,
        code: &str,
    ) -> Result<PhoneNumber, OpenDataError> {
        let found = self.found_number(asker, code).await;
        let outcome = match &found {
            Ok((_, outcome)) => outcome,
            Err(error) => error.outcome(),
        };
        self.count(asker, "phone", outcome);
        found.map(|(number, _)| number)
    }

    async fn found_number(
        &self,
        asker: &Asker,
        code: &str,
    ) -> Result<(PhoneNumber, &'static str), OpenDataError> {
        let app = &self.app(&asker.user)?;
        let platform = app.phone_numbers().ok_or(OpenDataError::Unsupported)?;
        check_code(code)?;
        // Under another user the same code is another one: a stolen answer is no use, and the
        // platform is told whose code it should be.
        let mut parts = [&*app.name, &*asker.user.subject, code]
            .map(str::as_bytes)
            .to_vec();
        parts.extend(app.authorizer().map(|appid| appid.as_bytes()));
        let flight = CodeOf::new(self.sessions.naming(), CodeKind::Phone, &parts);
        let codes = self.paid_codes();
        let first = codes.reserve(&flight.key, CODE_LIFE).await?;
        let comes_again = matches!(first, Reservation::Settled { .. });
        let patience = app.provider.total_timeout() * STEPS + STORE_SHARE;
        let found = flight
            .follow(&codes, first, CODE_LIFE, patience)
            .await?
            .ok_or(OpenDataError::CodeLost)?;
        match found {
            Reserved::Settled(Outcome::Number(answer)) => {
                // Once it is kept, an operator may have removed it since.
                if comes_again && !answer.kept {
                    self.keep_number(asker, app, &answer.number).await;
                }
                Ok((answer.number, "replayed"))
            }
            Reserved::Settled(Outcome::BadCode(platform_code)) => Err(OpenDataError::CodeInvalid {
                platform_code,
                other_codes: platform.other_codes(),
            }),
            Reserved::Settled(Outcome::Lost) => Err(OpenDataError::CodeLost),
            Reserved::Leader { ticket, .. } => {
                let number = self
                    .lead_to_the_end(asker, app, code, flight, ticket)
                    .await?;
                Ok((number, "ok"))
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

    /// Asks whether or not its client stays for the answer: a code is good once, and a phone that
    /// lost its connection comes again with the same one.
    async fn lead_to_the_end(
        &self,
        asker: &Asker,
        app: &App,
        code: &str,
        flight: CodeOf,
        ticket: [u8; 16],
    ) -> Result<PhoneNumber, OpenDataError> {
        let (flow, app, asker) = (self.clone(), app.clone(), asker.clone());
        let code = Secret::new(code.to_owned());
        let call = tokio::spawn(async move {
            let (result, mut outcome) = flow.lead(&asker, &app, code.expose()).await;
            // Before the answer is stored, which says whether it is done.
            if let Some(Outcome::Number(answer)) = &mut outcome {
                answer.kept = flow.keep_number(&asker, &app, &answer.number).await;
            }
            let sealed = outcome.map(|outcome| flight.seal(&outcome));
            let answer = sealed.as_deref().map(|sealed| (sealed, CODE_LIFE));
            let codes = flow.paid_codes();
            if let Err(error) = codes.settle(&flight.key, &ticket, answer).await {
                // Those who come to other gateways wait until the reservation lapses.
                log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "phone: cannot store the outcome, so this process alone has it: {error}");
            }
            result
        });
        call.await.unwrap_or(Err(OpenDataError::CodeLost))
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
        // Before the limit: without a token there is no call, and the user has spent nothing.
        if let Err(error) = self.tokens.token(app).await {
            return (Err(Self::no_token(asker, "phone", error)), None);
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
        match self.tokens.with_token(app, call).await {
            Err(error) => (Err(Self::no_token(asker, "phone", error)), None),
            Ok(Ok(number)) => {
                let answer = Answer {
                    number: number.clone(),
                    kept: false,
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
