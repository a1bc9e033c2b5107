//! What a fetch has brought, or why it has brought nothing.

use std::time::Instant;

use crate::identity::{AppTokenError, ExchangeError, GrantedToken};
use crate::secret::Secret;
use crate::session::StoreError;

pub(super) struct Fetched {
    pub(super) token: GrantedToken,
    pub(super) refresh: Option<RefreshTokens>,
}

/// Of an authorizer: the refresh token that was used, and the one that came.
pub(super) struct RefreshTokens {
    pub(super) used: Secret<String>,
    pub(super) fresh: Secret<String>,
}

/// What was fetched, and when that began.
pub(super) struct DatedFetch {
    pub(super) fetched: Fetched,
    pub(super) asked: Instant,
}

pub(super) enum NotFetched {
    /// It takes the store, which does not answer.
    Store(StoreError),
    Platform(ExchangeError),
}

impl From<StoreError> for NotFetched {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ExchangeError> for NotFetched {
    fn from(error: ExchangeError) -> Self {
        Self::Platform(error)
    }
}

impl From<AppTokenError> for NotFetched {
    fn from(error: AppTokenError) -> Self {
        match error {
            AppTokenError::Store(error) => Self::Store(error),
            error => Self::Platform(error.into()),
        }
    }
}
