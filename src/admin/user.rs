//! How operators name users.

use serde::Deserialize;

use super::apps::{CurrentApps, unknown_app};
use crate::http::{ErrorCode, GatewayError};
use crate::identity::{App, NamedApp};
use crate::session::{UnreadableState, UserKey};

/// A user: an app's name, where there are several apps, the id of the app that it acts for, where it
/// does, and the platform's name for the user in it. Never a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserQuery {
    pub(super) app: Option<String>,
    pub(super) authorizer_appid: Option<String>,
    pub(super) user: String,
}

impl UserQuery {
    /// The user and the user's app, if it is configured. Whether the user was ever here is another
    /// question.
    pub(super) fn find(&self, apps: &CurrentApps) -> Result<(UserKey, App), GatewayError> {
        let apps = apps.now();
        let app = match &self.app {
            Some(name) => apps.get(name).ok_or_else(unknown_app)?,
            None => apps.only().ok_or_else(|| {
                GatewayError::new(
                    ErrorCode::AppRequired,
                    "This gateway serves several apps; name one, as app=NAME.",
                )
            })?,
        };
        let named = NamedApp {
            name: self.app.as_deref(),
            authorizer: self.authorizer_appid.as_deref(),
        };
        let app = named.app_of_user(app)?;
        if self.user.is_empty() {
            return Err(GatewayError::new(
                ErrorCode::RequestInvalid,
                "The user has no name; send the openid, as user=OPENID.",
            ));
        }
        let user = UserKey {
            provider: app.provider.kind(),
            app: app.name.clone(),
            authorizer: app.authorizer().cloned(),
            subject: self.user.as_str().into(),
        };
        Ok((user, app))
    }
}

/// What is kept of the user cannot be read, and the store is well.
pub(super) fn unreadable(state: &UnreadableState) -> GatewayError {
    GatewayError::new(
        ErrorCode::Misconfigured,
        format!("The store answers, but {state}."),
    )
}
