//! Calls about one user, with a token of the app's.

use std::sync::Arc;

use async_trait::async_trait;

use super::engine::{Engine, Question, Try, unavailable};
use super::platform::{UserApi, UserApis, UserCall};
use crate::identity::{
    ExchangeError, PhoneNumber, PhoneNumbers, ResetKey, SessionKeyApi, TokenUse, UserCallError,
};
use crate::secret::Secret;

/// One app's. Neither the logins' permits nor their breaker count here.
pub(super) struct UserCalls {
    pub(super) engine: Arc<Engine>,
    pub(super) apis: &'static UserApis,
}

impl UserCalls {
    /// `once`: what must not happen twice.
    async fn ask<T>(
        &self,
        api: &'static UserApi<T>,
        call: &UserCall<'_>,
        once: bool,
    ) -> TokenUse<Result<T, UserCallError>> {
        let question = Question {
            path: api.path,
            call: &|| (api.request)(call),
            read: api.read,
            hidden: &[call.token, call.proof],
        };
        let tried = if once {
            self.engine.ask_once(&question).await
        } else {
            self.engine.ask(&question).await
        };
        TokenUse::Taken(match tried {
            Try::Answered(Ok(TokenUse::Refused(why))) => return TokenUse::Refused(why),
            Try::Answered(Ok(TokenUse::Taken(value))) => Ok(value),
            // An answer that cannot be read may have been one of success.
            Try::Answered(Err(ExchangeError::Nonsense {
                reason,
                platform_code: None,
            })) if once => Err(UserCallError::Lost { reason }),
            Try::Answered(Err(error)) => Err(UserCallError::Refused(error)),
            Try::Busy(none) | Try::NotSent(none) => {
                Err(UserCallError::Refused(unavailable(none.reason)))
            }
            Try::Cut(none) | Try::Down(none) => Err(UserCallError::Lost {
                reason: none.reason,
            }),
        })
    }
}

#[async_trait]
impl PhoneNumbers for UserCalls {
    fn other_codes(&self) -> &'static str {
        self.apis.other_codes
    }

    async fn phone_number(
        &self,
        token: &Secret<String>,
        code: &str,
        subject: &str,
    ) -> TokenUse<Result<PhoneNumber, UserCallError>> {
        let call = UserCall {
            token: token.expose(),
            subject,
            proof: code,
        };
        self.ask(&self.apis.phone_number, &call, true).await
    }
}

#[async_trait]
impl SessionKeyApi for UserCalls {
    async fn check(
        &self,
        token: &Secret<String>,
        subject: &str,
        session_key: &Secret<String>,
    ) -> TokenUse<Result<bool, UserCallError>> {
        let call = UserCall {
            token: token.expose(),
            subject,
            proof: session_key.expose(),
        };
        self.ask(&self.apis.check_session_key, &call, false).await
    }

    async fn reset(
        &self,
        token: &Secret<String>,
        subject: &str,
        session_key: &Secret<String>,
    ) -> TokenUse<Result<ResetKey, UserCallError>> {
        let call = UserCall {
            token: token.expose(),
            subject,
            proof: session_key.expose(),
        };
        self.ask(&self.apis.reset_session_key, &call, true).await
    }
}
