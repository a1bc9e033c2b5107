//! The seam between a login and the platform that answers for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::capability::{AppTickets, AppToken, OpenData, PhoneNumbers, SessionKeyApi};
use super::component::ComponentApi;
use super::exchange_error::{ExchangeError, PlatformCode};
use crate::secret::Secret;
use crate::session::{Claims, ProviderKind};

/// What a client hands over to be exchanged.
#[derive(Clone, Copy)]
pub struct ExchangeRequest<'a> {
    /// What the platform's login call gave the client.
    pub code: &'a str,
    /// The id of the app that the code is of, where the configured app acts for it.
    pub authorizer: Option<&'a str>,
    /// The configured app's token, where the platform wants one.
    pub token: Option<&'a Secret<String>>,
}

impl<'a> ExchangeRequest<'a> {
    /// A code of the configured app itself.
    pub const fn of_code(code: &'a str) -> Self {
        Self {
            code,
            authorizer: None,
            token: None,
        }
    }
}

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
    pub claims: Claims,
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

    /// What the platform says of a used code, if it has a number or word for that alone.
    fn used_code(&self) -> Option<PlatformCode>;

    /// What the client calls for a login code, for people.
    fn login_call(&self) -> &'static str;

    /// Exchanges a code for an identity.
    async fn exchange(&self, request: &ExchangeRequest<'_>) -> Result<Identity, ExchangeError>;

    fn open_data(&self) -> Option<&dyn OpenData>;

    fn phone_numbers(&self) -> Option<&dyn PhoneNumbers>;

    fn session_key_api(&self) -> Option<&dyn SessionKeyApi>;

    fn app_tickets(&self) -> Option<&dyn AppTickets>;

    fn app_token(&self) -> Option<&dyn AppToken>;

    /// For an app that acts for those of others: its exchanges take an authorizer and a token.
    fn component(&self) -> Option<&dyn ComponentApi>;
}
