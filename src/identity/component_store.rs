//! The seam to where is kept what a platform has given a component.

use std::time::Duration;

use async_trait::async_trait;

use super::capability::GrantedToken;
use super::platform_tokens::{NewToken, TokenName};
use crate::clock::UnixMillis;
use crate::secret::Secret;
use crate::session::{StoreError, Written};

/// How long a ticket is good.
pub const TICKET_LIFE: Duration = Duration::from_secs(12 * 3600);
/// How much a platform's clock may be ahead of the store's: a ticket that is dated later than that
/// gives way to any other.
pub const CLOCK_AHEAD: Duration = Duration::from_secs(60);

/// An authorizer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAuthorizer {
    pub appid: String,
    /// When its refresh token was stored.
    pub since: UnixMillis,
    pub seal: SealState,
}

/// How a value is sealed that outlives sealing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealState {
    /// Under the first key.
    Current,
    /// Under another one of the configuration.
    Old,
    /// Under none of them, or changed.
    Unreadable,
}

/// What was found in the place of an authorizer's refresh token.
#[derive(Debug)]
pub struct FoundRefreshToken {
    /// `None` also where it does not open.
    pub text: Option<Secret<String>>,
    pub mark: RefreshTokenMark,
}

/// How long a withdrawal is remembered: longer than anybody asks a platform for a refresh token.
pub const WITHDRAWAL_KEPT: Duration = Duration::from_secs(3600);

/// Tells whether what was found still stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshTokenMark {
    /// The stored bytes, which no two writes have the same; `None`: there was nothing.
    pub(crate) stored: Option<Vec<u8>>,
    /// Where there was nothing, the name of the last withdrawal that is remembered: a later one
    /// finds nothing to delete, and has another name.
    pub(crate) withdrawal: Option<Vec<u8>>,
}

impl RefreshTokenMark {
    /// Whether there was nothing.
    pub const fn is_none(&self) -> bool {
        self.stored.is_none()
    }
}

/// A refresh token, and the one that it was got with.
#[derive(Debug)]
pub struct NewRefreshToken<'a> {
    pub used: &'a Secret<String>,
    pub text: &'a Secret<String>,
}

/// Keeps what a platform has given a component and gives nobody again: tickets until they end, and
/// refresh tokens for ever.
#[async_trait]
pub trait ComponentStore: Send + Sync {
    /// The store's time, by which what is kept is dated.
    async fn time(&self) -> Result<UnixMillis, StoreError>;

    /// The component's newest ticket.
    async fn ticket(&self, component: &str) -> Result<Option<Secret<String>>, StoreError>;

    /// Stores a ticket that the platform made at this time. `Stale`: it is over, or there is a newer
    /// one.
    async fn keep_ticket(
        &self,
        component: &str,
        ticket: &Secret<String>,
        made: UnixMillis,
    ) -> Result<Written, StoreError>;

    /// The authorizers whose refresh tokens are kept, by their ids.
    async fn authorizers(&self, component: &str) -> Result<Vec<KeptAuthorizer>, StoreError>;

    /// An authorizer's refresh token.
    async fn refresh_token(&self, name: &TokenName) -> Result<FoundRefreshToken, StoreError>;

    /// Stores an authorizer's refresh token in the place of any other, and its token if it came with
    /// one.
    async fn authorize(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        access: Option<&GrantedToken>,
    ) -> Result<(), StoreError>;

    /// Stores a refresh token in the place of what was read there. `Stale`: that stands no more, or
    /// the authorizer has withdrawn since, and nothing is stored.
    async fn keep_recovered(
        &self,
        name: &TokenName,
        refresh_token: &Secret<String>,
        at: UnixMillis,
        read: &RefreshTokenMark,
    ) -> Result<Written, StoreError>;

    /// Stores what the holder of the lease has fetched with a refresh token, both tokens in one
    /// step, and ends the lease. `Stale`: the lease had lapsed, and only the refresh token is
    /// stored. `Gone`: the authorizer has withdrawn or authorised anew meanwhile, and nothing is
    /// stored.
    async fn keep_refreshed(
        &self,
        name: &TokenName,
        ticket: &[u8; 16],
        token: &NewToken<'_>,
        refresh_token: &NewRefreshToken<'_>,
    ) -> Result<Written, StoreError>;

    /// Deletes an authorizer's tokens; `at` is when it withdrew. `Stale`: what is kept is newer.
    async fn withdraw(&self, name: &TokenName, at: UnixMillis) -> Result<Written, StoreError>;

    /// Seals refresh tokens anew that are not under the first sealing key; how many.
    async fn reseal(&self, component: &str) -> Result<usize, StoreError>;
}
