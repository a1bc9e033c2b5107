//! Why a platform does nothing here, whatever a code or data is worth.

use std::time::Duration;

use super::exchange_error::{ExchangeError, PlatformCode};

/// What a client is told of it; the log has the rest.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlatformTrouble {
    #[error("the platform limits calls")]
    Throttled {
        platform_code: PlatformCode,
        /// When to come back.
        retry_after: Duration,
    },
    /// The platform is down, slow or busy.
    #[error("the platform is unavailable")]
    Unavailable {
        /// When to come back.
        retry_after: Duration,
    },
    #[error("the platform's answer is invalid")]
    Nonsense,
    /// The user's app has not authorised the one that acts for it.
    #[error("the app is not authorised ({platform_code})")]
    NotAuthorized { platform_code: PlatformCode },
    /// The operator has to fix the app's settings.
    #[error("the app is misconfigured")]
    Misconfigured,
}

impl PlatformTrouble {
    /// The word for the metric, the same as the error code of the answer.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "rate_limited",
            Self::Unavailable { .. } => "platform_unavailable",
            Self::Nonsense => "platform_error",
            Self::NotAuthorized { .. } => "app_not_authorized",
            Self::Misconfigured => "misconfigured",
        }
    }
}

impl ExchangeError {
    /// What it means to a client that asked for this, where it is no verdict on a code of the
    /// client's. It writes to the log what the operator has to know.
    pub(super) fn trouble(self, asked: &str, app: &str, request_id: &str) -> PlatformTrouble {
        match self {
            Self::Throttled {
                platform_code,
                retry_after,
            } => PlatformTrouble::Throttled {
                platform_code,
                retry_after,
            },
            Self::Unavailable {
                reason,
                retry_after,
            } => {
                log::warn!(app, request_id; "{asked}: {reason}");
                PlatformTrouble::Unavailable { retry_after }
            }
            Self::TokenRefused { platform_code } => {
                log::error!(app, platform_code, request_id; "{asked}: the platform refuses the app's token");
                PlatformTrouble::Nonsense
            }
            Self::Nonsense { reason, .. } => {
                log::error!(app, request_id; "{asked}: the platform's answer cannot be used: {reason}");
                PlatformTrouble::Nonsense
            }
            verdict @ (Self::BadCode { .. } | Self::CodeUsed { .. } | Self::UserBlocked { .. }) => {
                log::error!(app, request_id; "{asked}: the platform's answer cannot be used: {verdict}");
                PlatformTrouble::Nonsense
            }
            Self::NotAuthorized {
                reason,
                platform_code,
            } => {
                log::warn!(app, platform_code, request_id; "{asked}: {reason}");
                PlatformTrouble::NotAuthorized { platform_code }
            }
            Self::Misconfigured {
                reason,
                platform_code,
            } => {
                log::error!(app, platform_code, request_id; "{asked}: {reason}");
                PlatformTrouble::Misconfigured
            }
        }
    }
}
