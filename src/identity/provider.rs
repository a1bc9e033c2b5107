//! The seam between a login and the platform that answers for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::secret::Secret;
use crate::session::ProviderKind;

/// What a platform vouches for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user's name within the app, such as an openid: visible ASCII, at most 128 bytes, since
    /// it becomes a header.
    pub subject: Arc<str>,
    /// The user's name across the owner's apps, under the same rule.
    pub unionid: Option<Arc<str>>,
    /// The session_key, on platforms that have one.
    pub session_key: Option<Secret<String>>,
    /// Further facts.
    pub claims: Vec<(String, String)>,
}

/// Why a code was not exchanged, named for what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// The platform does not know the code: wrong, older than five minutes, or of another app.
    #[error("the platform refused the code ({platform_code})")]
    BadCode {
        /// The platform's own number.
        platform_code: i64,
    },
    /// The code was exchanged before.
    #[error("the code was used before ({platform_code})")]
    CodeUsed {
        /// The platform's own number.
        platform_code: i64,
    },
    /// The platform has blocked the user.
    #[error("the platform has blocked the user ({platform_code})")]
    UserBlocked {
        /// The platform's own number.
        platform_code: i64,
    },
    /// The platform wants fewer calls.
    #[error("the platform limits calls ({platform_code})")]
    Throttled {
        /// The platform's own number.
        platform_code: i64,
        /// When to come back.
        retry_after: Duration,
    },
    /// Busy, down, slow, or too many exchanges under way here. The code is most likely still good.
    #[error("the platform is unavailable: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The platform answered something that is not an answer.
    #[error("the platform answered nonsense: {reason}")]
    Nonsense {
        /// For the log.
        reason: String,
    },
    /// The app id or secret is wrong; only the operator can mend it.
    #[error("the app is misconfigured: {reason}")]
    Misconfigured {
        /// What is wrong and what to do, for the log.
        reason: String,
        /// The platform's own number.
        platform_code: i64,
    },
}

/// Exchanges login codes. Implementations bound their own time, retries and concurrency.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Which platform.
    fn kind(&self) -> ProviderKind;

    /// The longest that [`IdentityProvider::exchange`] takes, retries included.
    fn total_timeout(&self) -> Duration;

    /// Why nobody can sign in just now, for the operator; `None`: as far as is known everybody can.
    fn trouble(&self) -> Option<String>;

    /// Exchanges a code for an identity.
    async fn exchange(&self, code: &str) -> Result<Identity, ExchangeError>;
}
