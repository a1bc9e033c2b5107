//! The seam between whoever calls a platform in an app's name and whoever keeps the app's access
//! token and its tickets.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::app::App;
use super::capability::TicketKind;
use super::exchange_error::{ExchangeError, PlatformCode};
use super::token_use::TokenUse;
use crate::secret::Secret;

/// When to come back after a token that was fresh was refused: as long none is fetched.
pub const REFUSED_TWICE: Duration = Duration::from_secs(30);

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
}

impl From<AppTokenError> for ExchangeError {
    /// Nothing was exchanged, since there is no token to exchange it with.
    fn from(error: AppTokenError) -> Self {
        match error {
            AppTokenError::Unsupported => Self::Nonsense {
                reason: error.to_string(),
                platform_code: None,
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
            let why = match call(token.clone()).await {
                TokenUse::Taken(done) => return Ok(done),
                TokenUse::Refused(why) => why,
            };
            if refused_before {
                return Err(AppTokenError::Unavailable {
                    reason: format!("the platform refuses a token that it has just given: {why}"),
                    retry_after: REFUSED_TWICE,
                });
            }
            log::info!(app = &*app.name; "the platform refused the access token; the call is repeated with another one ({why})");
            token = self.token_after(app, &token).await?;
            refused_before = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::monotonic_now;
    use crate::identity::{
        AppTickets, AppToken, ComponentApi, ExchangeRequest, Identity, IdentityProvider, OpenData,
        PhoneNumbers, SessionKeyApi,
    };
    use crate::session::ProviderKind;

    /// A platform that nobody asks.
    struct Nobody;

    #[async_trait]
    impl IdentityProvider for Nobody {
        fn kind(&self) -> ProviderKind {
            ProviderKind::ALL[0]
        }

        fn total_timeout(&self) -> Duration {
            Duration::ZERO
        }

        fn trouble(&self) -> Option<String> {
            None
        }

        fn used_code(&self) -> Option<PlatformCode> {
            None
        }

        fn login_call(&self) -> &'static str {
            ""
        }

        async fn exchange(&self, _: &ExchangeRequest<'_>) -> Result<Identity, ExchangeError> {
            panic!("nobody signs in here")
        }

        fn open_data(&self) -> Option<&dyn OpenData> {
            None
        }

        fn phone_numbers(&self) -> Option<&dyn PhoneNumbers> {
            None
        }

        fn session_key_api(&self) -> Option<&dyn SessionKeyApi> {
            None
        }

        fn app_tickets(&self) -> Option<&dyn AppTickets> {
            None
        }

        fn app_token(&self) -> Option<&dyn AppToken> {
            None
        }

        fn component(&self) -> Option<&dyn ComponentApi> {
            None
        }
    }

    /// Tokens `t0`, `t1`, … as they are refused.
    #[derive(Default)]
    struct Numbered(AtomicU32);

    #[async_trait]
    impl AppTokenSource for Numbered {
        async fn token(&self, _: &App) -> Result<AccessToken, AppTokenError> {
            Ok(AccessToken {
                text: Secret::new(format!("t{}", self.0.load(Ordering::Relaxed))),
                until: monotonic_now() + Duration::from_secs(60),
            })
        }

        async fn token_after(
            &self,
            app: &App,
            _: &AccessToken,
        ) -> Result<AccessToken, AppTokenError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.token(app).await
        }
    }

    #[tokio::test]
    async fn a_refused_call_is_repeated_once_with_another_token() {
        let app = App::new("shop".into(), "wx1".into(), Arc::new(Nobody));
        for (good, calls) in [
            ("t0", vec!["t0"]),
            ("t1", vec!["t0", "t1"]),
            ("t2", vec!["t0", "t1"]),
        ] {
            let source: &dyn AppTokenSource = &Numbered::default();
            let made = Mutex::new(Vec::new());
            let outcome = source.with_token(&app, |token| {
                made.lock().unwrap().push(token.text.expose().clone());
                async move {
                    if token.text.expose() == good {
                        TokenUse::Taken(7)
                    } else {
                        TokenUse::Refused("40001".to_owned())
                    }
                }
            });
            assert_eq!(outcome.await.ok(), (good != "t2").then_some(7));
            assert_eq!(*made.lock().unwrap(), calls);
        }
    }
}
