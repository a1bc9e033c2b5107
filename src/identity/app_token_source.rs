//! The seam between whoever calls a platform in an app's name and whoever keeps the app's access
//! token and its tickets.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::app::App;
use super::capability::TicketKind;
use super::exchange_error::{ExchangeError, PlatformCode};
use super::token_use::TokenUse;
use crate::secret::Secret;
use crate::session::StoreError;

/// When to come back after a token that was fresh was refused: as long none is fetched.
pub const REFUSED_TWICE: Duration = Duration::from_secs(30);

/// When to come back if the store does not answer.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// An app's token at its platform, as this process has it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// What goes to the platform and nowhere else.
    pub text: Secret<String>,
    /// Until when the platform takes it.
    pub until: Instant,
}

/// Why there is no token, named for what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppTokenError {
    /// The platform of this app has no such tokens.
    #[error("the platform of this app has no access tokens")]
    Unsupported,
    /// The platform or the way there is down or busy, or refuses a token that it has just given.
    #[error("no access token: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        retry_after: Duration,
    },
    /// The platform refuses what the operator has set: the secret, or this machine's address.
    #[error("no access token: {reason}")]
    Misconfigured {
        /// What is wrong and what to do, for the log.
        reason: String,
        platform_code: PlatformCode,
        retry_after: Duration,
    },
    /// It takes the gateways' store, which does not answer.
    #[error("no access token: {0}")]
    Store(StoreError),
    /// The app has not authorised the one that acts for it.
    #[error("no access token: {reason}")]
    NotAuthorized {
        /// For the log.
        reason: String,
        platform_code: PlatformCode,
        retry_after: Duration,
    },
}

impl AppTokenError {
    /// A token that was fresh was refused too.
    #[must_use]
    pub fn refused_twice(retry_after: Duration) -> Self {
        Self::Unavailable {
            reason: "the platform refuses a token that it has just given".to_owned(),
            retry_after,
        }
    }
}

impl From<AppTokenError> for ExchangeError {
    /// Nothing was exchanged, since there is no token to exchange it with.
    fn from(error: AppTokenError) -> Self {
        match error {
            AppTokenError::Unsupported => Self::Nonsense {
                reason: error.to_string(),
                platform_code: None,
            },
            AppTokenError::Store(error) => Self::Unavailable {
                reason: error.to_string(),
                retry_after: STORE_AGAIN,
            },
            AppTokenError::Unavailable {
                reason,
                retry_after,
            } => Self::Unavailable {
                reason,
                retry_after,
            },
            AppTokenError::Misconfigured {
                reason,
                platform_code,
                ..
            } => Self::Misconfigured {
                reason,
                platform_code,
            },
            AppTokenError::NotAuthorized {
                reason,
                platform_code,
                ..
            } => Self::NotAuthorized {
                reason,
                platform_code,
            },
        }
    }
}

/// Keeps the tokens of all apps.
#[async_trait]
pub trait AppTokenSource: Send + Sync {
    /// The app's token. It is fetched when nobody has one, which takes about as long as an exchange
    /// of the app may take.
    async fn token(&self, app: &App) -> Result<AccessToken, AppTokenError>;

    /// The app's token after the platform has refused this one: the one that somebody has fetched
    /// meanwhile, or a fresh one, and never the refused one.
    async fn token_after(
        &self,
        app: &App,
        refused: &AccessToken,
    ) -> Result<AccessToken, AppTokenError>;
}

/// Keeps the tickets of all apps.
#[async_trait]
pub trait AppTicketSource: Send + Sync {
    /// The app's ticket of a kind. It is fetched when nobody has one.
    async fn ticket(&self, app: &App, kind: TicketKind) -> Result<AccessToken, AppTokenError>;
}

impl dyn AppTokenSource + '_ {
    /// Makes a call with the app's token; when the platform refuses the token, once more with
    /// another one. The caller bounds the time of all of it.
    pub async fn with_token<T, Call, Called>(
        &self,
        app: &App,
        call: Call,
    ) -> Result<T, AppTokenError>
    where
        Call: Fn(AccessToken) -> Called,
        Called: Future<Output = TokenUse<T>>,
    {
        let mut token = self.token(app).await?;
        let mut refused_before = false;
        loop {
            match call(token.clone()).await {
                TokenUse::Taken(done) => return Ok(done),
                TokenUse::Refused(why) => {
                    log::info!(app = &*app.name; "the platform refused the access token ({why})");
                }
            }
            if refused_before {
                return Err(AppTokenError::refused_twice(REFUSED_TWICE));
            }
            token = self.token_after(app, &token).await?;
            refused_before = true;
        }
    }
}
