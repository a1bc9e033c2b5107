//! What a fetch has brought.

use crate::identity::GrantedToken;
use crate::secret::Secret;

pub(super) struct Fetched {
    pub(super) token: GrantedToken,
    pub(super) refresh: Option<RefreshTokens>,
}

/// Of an authorizer: the refresh token that was used, and the one that came.
pub(super) struct RefreshTokens {
    pub(super) used: Secret<String>,
    pub(super) fresh: Secret<String>,
}
