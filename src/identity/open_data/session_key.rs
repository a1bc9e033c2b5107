//! What the platform says of a user's session_key, and its reset.

use std::time::Duration;

use super::{Asker, OpenDataError, OpenDataFlow};
use crate::detached::detached;
use crate::identity::app_token_source::{AccessToken, AppTokenSource};
use crate::identity::capability::{ResetKey, UserCallError};
use crate::identity::impatient::Impatient;
use crate::identity::platform_trouble::PlatformTrouble;
use crate::secret::Secret;
use crate::session::{SessionKey, StoreError, TakenKeys, Written};

impl OpenDataFlow {
    /// Whether the platform still takes the newest session_key of the user.
    pub async fn check_session_key(&self, asker: &Asker) -> Result<bool, OpenDataError> {
        let checked = self.checked(asker).await;
        let outcome = match &checked {
            Ok(true) => "ok",
            Ok(false) => "stale",
            Err(error) => error.outcome(),
        };
        self.count(asker, "status", outcome);
        checked
    }

    async fn checked(&self, asker: &Asker) -> Result<bool, OpenDataError> {
        let app = &self.app(&asker.user)?;
        let platform = app.session_key_api().ok_or(OpenDataError::Unsupported)?;
        self.admit(&asker.user).await?;
        let keys = self.keys.session_keys(&asker.user).await?;
        let newest = keys.first().ok_or_else(|| Self::key_gone(app))?;
        let call = |token: AccessToken| async move {
            let subject = &asker.user.subject;
            platform.check(&token.text, subject, &newest.key).await
        };
        let tokens: &dyn AppTokenSource = &Impatient(&*self.tokens);
        match tokens.with_token(app, call).await {
            Err(error) => Err(Self::no_token(asker, "session_key", error)),
            Ok(Ok(valid)) => Ok(valid),
            Ok(Err(UserCallError::Refused(error))) => {
                Err(Self::refused(asker, app, "session_key", error))
            }
            Ok(Err(UserCallError::Lost { reason })) => {
                log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "session_key: {reason}");
                let retry_after = Duration::from_secs(1);
                Err(PlatformTrouble::Unavailable { retry_after }.into())
            }
        }
    }

    /// Has the platform give the user another session_key: the one that there was, and all older
    /// ones, open nothing more. It goes on to the end whether or not its client waits: the old key
    /// is dead then.
    pub async fn reset_session_key(&self, asker: &Asker) -> Result<(), OpenDataError> {
        let (flow, owned) = (self.clone(), asker.clone());
        let call = detached(async move {
            let reset = flow.reset(&owned).await;
            let outcome = reset
                .as_ref()
                .map_or_else(OpenDataError::outcome, |()| "ok");
            flow.count(&owned, "reset", outcome);
            reset
        });
        let login_call = self
            .app(&asker.user)
            .map_or("", |app| app.provider.login_call());
        let lost = OpenDataError::ResetLost { login_call };
        call.await.unwrap_or(Err(lost))
    }

    async fn reset(&self, asker: &Asker) -> Result<(), OpenDataError> {
        let app = &self.app(&asker.user)?;
        let platform = app.session_key_api().ok_or(OpenDataError::Unsupported)?;
        self.admit(&asker.user).await?;
        let tokens: &dyn AppTokenSource = &Impatient(&*self.tokens);
        // Nothing is taken away for a call that cannot be made.
        if let Err(error) = tokens.token(app).await {
            return Err(Self::no_token(asker, "session_key", error));
        }
        // A reset is for a key that may have leaked. If its outcome is lost, or a process dies in
        // the middle, nothing must open under the old key any more.
        let taken = self.keys.take_session_keys(&asker.user).await?;
        let Some(old) = taken.keys.first() else {
            return Err(Self::key_gone(app));
        };
        let call = |token: AccessToken| async move {
            let subject = &asker.user.subject;
            platform.reset(&token.text, subject, &old.key).await
        };
        let lost = |reason: &str| {
            log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "session_key: the platform may have reset it, and none is kept: {reason}");
            let login_call = app.provider.login_call();
            OpenDataError::ResetLost { login_call }
        };
        match tokens.with_token(app, call).await {
            Ok(Ok(ResetKey::Fresh(key))) => match self.keep_fresh(asker, key).await {
                Ok(Written::Done) => Ok(()),
                Ok(Written::Gone | Written::Stale) => Err(OpenDataError::SessionGone),
                Err(error) => Err(lost(&format!("the new one cannot be stored: {error}"))),
            },
            Ok(Ok(ResetKey::Stale)) => Err(Self::key_gone(app)),
            Ok(Err(UserCallError::Lost { reason })) => Err(lost(&reason)),
            Ok(Err(UserCallError::Refused(error))) => {
                self.give_back(asker, &taken).await;
                Err(Self::refused(asker, app, "session_key", error))
            }
            Err(error) => {
                self.give_back(asker, &taken).await;
                Err(Self::no_token(asker, "session_key", error))
            }
        }
    }

    async fn keep_fresh(&self, asker: &Asker, key: Secret<String>) -> Result<Written, StoreError> {
        // Read after the reset: what began before may still bring the old key.
        let reserved_at = self.sessions.store().now().await?;
        let fresh = SessionKey { key, reserved_at };
        self.keys.reset_session_keys(&asker.user, &fresh).await
    }

    /// The platform has surely not reset the key.
    async fn give_back(&self, asker: &Asker, taken: &TakenKeys) {
        if let Err(error) = self.keys.return_session_keys(&asker.user, taken).await {
            log::warn!(app = &*asker.user.app, request_id = asker.request_id.as_str(); "session_key: it was not reset, and is not kept either; the user has to log in for another one: {error}");
        }
    }
}
