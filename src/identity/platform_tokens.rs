//! The seam between the broker of access tokens and where they are kept for all gateways.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::app::App;
use crate::clock::UnixMillis;
use crate::secret::Secret;
use crate::session::{StoreError, Written};

/// What a token is called in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenName {
    /// The app's id at its platform: apps of two names with one id have one token.
    pub appid: Arc<str>,
    /// The app of somebody else's that it is a token of, where `appid` acts for it.
    pub authorizer: Option<Arc<str>>,
    /// What it is for: a word without braces, such as `access`.
    pub kind: &'static str,
}

impl TokenName {
    /// The token of an app.
    pub fn of(app: &App, kind: &'static str) -> Self {
        match &app.component {
            Some(component) => Self {
                appid: component.clone(),
                authorizer: Some(app.appid.clone()),
                kind,
            },
            None => Self {
                appid: app.appid.clone(),
                authorizer: None,
                kind,
            },
        }
    }
}

/// A token as it is stored for all gateways.
#[derive(Debug, Clone)]
pub struct StoredToken {
    pub text: Secret<String>,
    /// How long ago it was fetched.
    pub age: Duration,
    /// How long it is still good.
    pub expires_in: Duration,
}

/// What a gateway finds that wants a token.
#[derive(Debug, Clone)]
pub enum TokenLease {
    /// There is one, and not the one that shall be replaced.
    Found(StoredToken),
    /// This caller fetches one; the ticket stores it.
    Leader { now: UnixMillis, ticket: [u8; 16] },
    /// Somebody else is fetching one.
    Pending,
    /// The one that shall be replaced was fetched a moment ago: none is fetched for so long.
    Recent { wait: Duration },
}

/// A token to be stored.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub text: &'a Secret<String>,
    /// When the lease was taken.
    pub fetched_at: UnixMillis,
    pub expires_in: Duration,
    /// How long nobody may replace it.
    pub rest: Duration,
}

impl NewToken<'_> {
    /// When it ends, at the latest: the platform counts from when it was asked, or later, and
    /// whatever holds up the answer makes no token good for longer.
    #[must_use]
    pub fn ends(&self) -> UnixMillis {
        self.fetched_at.plus(self.expires_in)
    }
}

/// Keeps platforms' tokens, and says who fetches the next one.
#[async_trait]
pub trait PlatformTokens: Send + Sync {
    /// What there is, and nothing is reserved.
    async fn find(&self, name: &TokenName) -> Result<Option<StoredToken>, StoreError>;

    /// Finds a token other than `replaced`, or reserves the fetch of one for `lease`.
    async fn lease(
        &self,
        name: &TokenName,
        replaced: Option<&Secret<String>>,
        lease: Duration,
    ) -> Result<TokenLease, StoreError>;

    /// Stores what the holder of the lease has fetched, and ends the lease. `Stale`: it had lapsed,
    /// nothing was stored.
    async fn keep(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
    ) -> Result<Written, StoreError>;

    /// Gives the lease up, so that another gateway may try.
    async fn release(&self, name: &TokenName, ticket: &[u8; 16]) -> Result<Written, StoreError>;
}
