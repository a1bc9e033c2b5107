//! The login hook: the team's own backend is asked about each login, between the exchange of the
//! code and the session. Here stand what it is told, what its answers mean, and the seam to it.

mod answer;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

pub use self::answer::{DETAIL_MAX, claims_of, detail_of};
use crate::crypto::hash::{hmac_sha256, to_hex};
use crate::secret::Secret;
use crate::session::service::SignIn;
use crate::session::{Claims, Session, shortened};

/// What the configuration says of the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginHookSettings {
    /// The name of an upstream.
    pub upstream: Arc<str>,
    /// The path there.
    pub path: String,
    /// How long it may take to answer; at most half of it is a wait for a permit.
    pub timeout: Duration,
    /// Each of them signs: two while one is exchanged for the other.
    pub secrets: Vec<Secret<String>>,
    /// The apps whose logins it is asked about; empty: all.
    pub apps: Vec<Arc<str>>,
    /// What becomes of a login where the hook gives no answer that counts.
    pub on_failure: OnFailure,
    /// How many calls of one app are under way at once in a process.
    pub max_concurrent: usize,
}

/// What becomes of a login whose hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// There is no session.
    Refuse,
    /// There is a session without the claims of the hook, also for a user whom it would have
    /// refused.
    Allow,
}

impl LoginHookSettings {
    /// Whether it is asked about the logins of this app.
    #[must_use]
    pub fn is_for(&self, app: &str) -> bool {
        self.apps.is_empty() || self.apps.iter().any(|name| **name == *app)
    }

    /// The value of the header that signs a body: the time, and for each secret the HMAC over time
    /// and body. A receiver that knows one of the secrets finds its own among them.
    #[must_use]
    pub fn signature(&self, unix_seconds: u64, body: &[u8]) -> String {
        let mut message = format!("{unix_seconds}.").into_bytes();
        message.extend_from_slice(body);
        let mut signature = format!("t={unix_seconds}");
        for secret in &self.secrets {
            signature.push_str(",v1=");
            let hash = hmac_sha256(secret.expose().as_bytes(), &message);
            signature.push_str(&to_hex(&hash));
        }
        signature
    }
}

/// What the hook is told.
#[derive(Debug, Serialize)]
pub struct HookQuestion<'a> {
    app: &'a str,
    provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer_appid: Option<&'a str>,
    subject: &'a str,
    unionid: Option<&'a str>,
    /// Of the session that is to be made: the same for each call about one login.
    session_id: String,
    client_address: Option<IpAddr>,
    device: &'a str,
}

impl<'a> HookQuestion<'a> {
    #[must_use]
    pub fn about(sign_in: &'a SignIn) -> Self {
        let user = &sign_in.user;
        Self {
            app: &user.app,
            provider: user.provider.as_str(),
            authorizer_appid: user.authorizer.as_deref(),
            subject: &user.subject,
            unionid: sign_in.unionid.as_deref(),
            session_id: sign_in.token.id().to_string(),
            client_address: sign_in.client_address,
            device: shortened(&sign_in.device, Session::DEVICE_MAX),
        }
    }
}

/// What the hook has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookAnswer {
    /// The user may sign in, and the session gets these claims.
    Claims(Claims),
    /// The same without claims.
    Nothing,
    /// The user may not, and is told this.
    Refused { detail: String },
}

/// Why there is no answer that counts: for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HookError(pub String);

/// Asks the backend.
#[async_trait(?Send)]
pub trait LoginHook {
    /// Asks about one login, within the timeout. What was sent is never sent again.
    async fn ask(
        &self,
        settings: &LoginHookSettings,
        question: &HookQuestion<'_>,
        request_id: &str,
    ) -> Result<HookAnswer, HookError>;
}

impl HookQuestion<'_> {
    /// The name of the app.
    #[must_use]
    pub const fn app(&self) -> &str {
        self.app
    }

    /// The body that is posted and signed.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a question has only texts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secrets: &[&str]) -> LoginHookSettings {
        LoginHookSettings {
            upstream: "api".into(),
            path: "/hook".to_owned(),
            timeout: Duration::from_secs(2),
            secrets: secrets
                .iter()
                .map(|text| Secret::new((*text).to_owned()))
                .collect(),
            apps: vec!["shop".into()],
            on_failure: OnFailure::Refuse,
            max_concurrent: 64,
        }
    }

    /// Computed with `printf '1700000000.{}' | openssl dgst -sha256 -hmac …`.
    #[test]
    fn each_secret_signs_time_and_body() {
        let one = settings(&["one"]).signature(1_700_000_000, b"{}");
        let hash = "4d15bf3ea0a52170f550b594e8e29052cb85827caad0da7695dbbffb71a5643e";
        assert_eq!(one, format!("t=1700000000,v1={hash}"));
        let both = settings(&["one", "two"]).signature(1_700_000_000, b"{}");
        assert!(both.starts_with(&format!("{one},v1=")), "{both}");
        assert_eq!(both.len(), "t=1700000000".len() + 2 * (",v1=".len() + 64));
    }

    #[test]
    fn without_apps_it_is_for_all() {
        let mut settings = settings(&["one"]);
        assert!(settings.is_for("shop") && !settings.is_for("club"));
        settings.apps.clear();
        assert!(settings.is_for("club"));
    }
}
