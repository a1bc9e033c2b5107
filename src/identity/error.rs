//! Why a login did not work.

use super::exchange_error::PlatformCode;
use super::platform_trouble::PlatformTrouble;
use crate::limit::LimitRefusal;
use crate::session::StoreError;

/// Why a login did not work, named for what the client can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoginError {
    /// Several apps are configured and the request names none.
    #[error("several apps are configured and none was named")]
    AppRequired,
    /// The request names an app that is not configured.
    #[error("no such app")]
    AppUnknown,
    /// The app acts for those of others, and the request names none.
    #[error("the app acts for those of others and none was named")]
    AuthorizerRequired,
    /// The request names an authorizer that cannot be one.
    #[error("no authorizer: {0}")]
    AuthorizerInvalid(&'static str),
    /// The code cannot be a code: too long, empty, or with characters that no platform uses.
    #[error("not a login code: {0}")]
    CodeMalformed(&'static str),
    /// The platform refused the code.
    #[error("the platform refused the code ({platform_code})")]
    CodeInvalid { platform_code: PlatformCode },
    /// The code was used before.
    #[error("the code was used before")]
    CodeUsed { platform_code: Option<PlatformCode> },
    /// The platform refused the code, and the Referer names another app: the code came from there.
    #[error("the code came from another app ({platform_code})")]
    AppMismatch { platform_code: PlatformCode },
    /// The platform has blocked the user; without its number an operator has.
    #[error("the user is blocked")]
    UserBlocked { platform_code: Option<PlatformCode> },
    /// The login hook has refused the login.
    #[error("the login hook has refused the login")]
    Refused {
        /// What the user is told, in the words of the backend; may be empty.
        detail: String,
    },
    /// The login hook gave no answer that counts. The code was exchanged for that.
    #[error("the login hook has failed")]
    HookFailed,
    /// The claims of the login and the changes of the user's claims break a limit together. The
    /// code was exchanged for that.
    #[error("the claims of the login and those that operators have set do not fit together")]
    ClaimsTooLarge,
    /// What is kept of the user cannot be read; it may be a block. The code was exchanged for that.
    #[error("what is kept of the user cannot be read")]
    StateUnreadable,
    /// A quota of the gateway's own is used up. The code is as good as before, unless it is the
    /// user's quota: who the user is only the platform tells, and for that the code was exchanged.
    #[error(transparent)]
    Limited(#[from] LimitRefusal),
    #[error(transparent)]
    Platform(#[from] PlatformTrouble),
    /// The store is down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoginError {
    /// The word for the metric, the same as the error code of the answer.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::AppRequired => "app_required",
            Self::AppUnknown => "app_unknown",
            Self::AuthorizerRequired => "authorizer_required",
            Self::AuthorizerInvalid(_) => "authorizer_invalid",
            Self::CodeMalformed(_) | Self::CodeInvalid { .. } => "code_invalid",
            Self::CodeUsed { .. } => "code_used",
            Self::AppMismatch { .. } => "app_mismatch",
            Self::UserBlocked { .. } => "user_blocked",
            Self::Refused { .. } => "login_refused",
            Self::HookFailed => "login_hook_failed",
            Self::ClaimsTooLarge => "login_claims_too_large",
            Self::StateUnreadable => "misconfigured",
            Self::Limited(_) => "rate_limited",
            Self::Platform(trouble) => trouble.outcome(),
            Self::Store(_) => "store_unavailable",
        }
    }
}
