//! How operators name users, and see sessions.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::http::{ErrorCode, GatewayError};
use crate::identity::{App, Apps, NamedApp};
use crate::session::{Claims, LiveSession, UserKey};

/// The apps that are configured now.
pub struct CurrentApps(pub watch::Receiver<Arc<Apps>>);

impl CurrentApps {
    pub(super) fn now(&self) -> Arc<Apps> {
        self.0.borrow().clone()
    }
}

/// A user: an app's name, where there are several apps, the id of the app that it acts for, where it
/// does, and the platform's name for the user in it. Never a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserQuery {
    app: Option<String>,
    authorizer_appid: Option<String>,
    user: String,
}

impl UserQuery {
    /// The user, if the app is configured. Whether the user was ever here is another question.
    pub(super) fn key(&self, apps: &Apps) -> Result<UserKey, GatewayError> {
        self.find(apps).map(|(user, _)| user)
    }

    /// The same with the app that the user uses.
    pub(super) fn find(&self, apps: &Apps) -> Result<(UserKey, App), GatewayError> {
        let named = NamedApp {
            name: self.app.as_deref(),
            authorizer: self.authorizer_appid.as_deref(),
        };
        user_in(apps, named, &self.user)
    }
}

/// The user of this name in this app, or in the only one.
pub(super) fn user_key(
    apps: &Apps,
    named: NamedApp<'_>,
    user: &str,
) -> Result<UserKey, GatewayError> {
    user_in(apps, named, user).map(|(user, _)| user)
}

fn user_in(apps: &Apps, named: NamedApp<'_>, user: &str) -> Result<(UserKey, App), GatewayError> {
    let app = match named.name {
        Some(name) => apps.get(name).ok_or_else(unknown_app)?,
        None => apps.only().ok_or_else(|| {
            GatewayError::new(
                ErrorCode::AppRequired,
                "This gateway serves several apps; name one, as app=NAME.",
            )
        })?,
    };
    let app = named.app_of_user(app)?;
    if user.is_empty() {
        return Err(GatewayError::new(
            ErrorCode::RequestInvalid,
            "The user has no name; send the openid, as user=OPENID.",
        ));
    }
    let user = UserKey {
        provider: app.provider.kind(),
        app: app.name.clone(),
        authorizer: app.authorizer().cloned(),
        subject: user.into(),
    };
    Ok((user, app))
}

pub(super) fn unknown_app() -> GatewayError {
    GatewayError::new(
        ErrorCode::AppUnknown,
        "No app of this name is configured; send the name in [apps.NAME], not the appid.",
    )
}

/// A session as operators see it.
#[derive(Serialize)]
pub(super) struct SessionView<'a> {
    session_id: String,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer_appid: Option<&'a str>,
    provider: &'static str,
    user: &'a str,
    unionid: Option<&'a str>,
    created_at: String,
    device: &'a str,
    client_address: Option<IpAddr>,
    expires_in: u64,
    absolute_expires_in: u64,
    claims: &'a Claims,
}

impl<'a> From<&'a LiveSession> for SessionView<'a> {
    fn from(live: &'a LiveSession) -> Self {
        let session = &live.session;
        Self {
            session_id: live.id.to_string(),
            app: &session.user.app,
            authorizer_appid: session.user.authorizer.as_deref(),
            provider: session.user.provider.as_str(),
            user: &session.user.subject,
            unionid: session.unionid.as_deref(),
            created_at: session.created.rfc3339(),
            device: &session.device,
            client_address: session.client_address,
            expires_in: live.expires_in.as_secs(),
            absolute_expires_in: live.absolute_expires_in.as_secs(),
            claims: &session.claims,
        }
    }
}
