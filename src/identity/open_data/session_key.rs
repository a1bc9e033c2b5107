//! What the platform says of a user's session_key, and its reset.

use std::time::Duration;

use super::{Asker, OpenDataError, OpenDataFlow};
use crate::identity::app::App;
use crate::identity::app_token_source::AccessToken;
use crate::identity::capability::{ResetKey, UserCallError};
use crate::session::{SessionKey, Written};

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
        let newest = &self.newest_key(asker, app).await?;
        let call = |token: AccessToken| async move {
            let subject = &asker.user.subject;
            platform.check(&token.text, subject, &newest.key).await
        };
        match self.tokens.with_token(app, call).await {
            Err(error) => Err(Self::no_token(asker, "session_key", error)),
            Ok(Ok(valid)) => Ok(valid),
            Ok(Err(error)) => {
                let retry_after = Duration::from_secs(1);
                let lost = OpenDataError::PlatformUnavailable { retry_after };
                Err(Self::failed(asker, app, error, lost))
            }
        }
    }

    /// Has the platform give the user another session_key: the one that there was, and all older
    /// ones, open nothing more. It goes on to the end whether or not its client waits: the old key
    /// is dead then.
    pub async fn reset_session_key(&self, asker: &Asker) -> Result<(), OpenDataError> {
        let (flow, owned) = (self.clone(), asker.clone());
        let call = tokio::spawn(async move { flow.reset(&owned).await });
        let login_call = self
            .app(&asker.user)
            .map_or("", |app| app.provider.login_call());
        let lost = OpenDataError::ResetLost { login_call };
        let reset = call.await.unwrap_or(Err(lost));
        let outcome = reset
            .as_ref()
            .map_or_else(OpenDataError::outcome, |()| "ok");
        self.count(asker, "reset", outcome);
        reset
    }

    async fn reset(&self, asker: &Asker) -> Result<(), OpenDataError> {
        let app = &self.app(&asker.user)?;
        if app.session_key_api().is_none() {
            return Err(OpenDataError::Unsupported);
        }
        self.admit(&asker.user).await?;
        let old = self.newest_key(asker, app).await?;
        match self.reset_at_platform(asker, app, &old).await? {
            ResetKey::Fresh(key) => {
                // Read after the reset: what began before may still bring the old key.
                let reserved_at = self.sessions.store().now().await?;
                let fresh = SessionKey { key, reserved_at };
                match self.keys.reset_session_keys(&asker.user, &fresh).await? {
                    Written::Done => Ok(()),
                    Written::Gone | Written::Stale => Err(OpenDataError::SessionGone),
                }
            }
            // Another request may have reset it a moment ago.
            ResetKey::Stale if self.newest_key(asker, app).await?.key != old.key => Ok(()),
            ResetKey::Stale => Err(Self::key_gone(app)),
        }
    }

    async fn reset_at_platform(
        &self,
        asker: &Asker,
        app: &App,
        old: &SessionKey,
    ) -> Result<ResetKey, OpenDataError> {
        let platform = app.session_key_api().ok_or(OpenDataError::Unsupported)?;
        let call = |token: AccessToken| async move {
            let subject = &asker.user.subject;
            platform.reset(&token.text, subject, &old.key).await
        };
        match self.tokens.with_token(app, call).await {
            Err(error) => Err(Self::no_token(asker, "session_key", error)),
            Ok(reset) => reset.map_err(|error| {
                let login_call = app.provider.login_call();
                Self::failed(asker, app, error, OpenDataError::ResetLost { login_call })
            }),
        }
    }

    async fn newest_key(&self, asker: &Asker, app: &App) -> Result<SessionKey, OpenDataError> {
        let keys = self.keys.session_keys(&asker.user).await?;
        keys.into_iter().next().ok_or_else(|| Self::key_gone(app))
    }

    fn failed(
        asker: &Asker,
        app: &App,
        error: UserCallError,
        lost: OpenDataError,
    ) -> OpenDataError {
        match error {
            UserCallError::Refused(error) => Self::refused(asker, app, "session_key", error),
            UserCallError::Lost { reason } => {
                log::warn!(app = &*asker.user.app, request_id = asker.request_id.as_str(); "session_key: {reason}");
                lost
            }
        }
    }
}
