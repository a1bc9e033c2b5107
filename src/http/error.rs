//! Every error that the gateway itself answers with: one stable word, one status, one shape (RFC
//! 9457).

use std::borrow::Cow;
use std::time::Duration;

use crate::identity::{AppTokenError, LoginError, PlatformCode, PlatformTrouble};
use crate::limit::LimitRefusal;
use crate::session::StoreError;
use crate::telemetry::Throttle;

mod code;
mod open_data;

pub use code::ErrorCode;

/// The header that tells the gateway's own errors from an upstream's.
pub const X_HUFU_ERROR: &str = "x-hufu-error";

/// An error on its way to a client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {detail}", code.word())]
pub struct GatewayError {
    /// The word.
    pub code: ErrorCode,
    /// A sentence for whoever wrote the client. Says nothing of the inside.
    pub detail: Cow<'static, str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The platform's own number.
    pub platform_code: Option<PlatformCode>,
    /// The gateway's own quota that is used up.
    pub refusal: Option<Box<LimitRefusal>>,
    /// The methods that would have been right, for `Allow`.
    pub allow: Option<Box<str>>,
    /// Whether the connection cannot be used any more.
    pub close: bool,
}

impl GatewayError {
    /// An error with its sentence.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after: None,
            platform_code: None,
            refusal: None,
            allow: None,
            close: false,
        }
    }

    /// The session of a request has ended, before it or meanwhile.
    pub fn session_expired() -> Self {
        Self::new(
            ErrorCode::SessionExpired,
            "The session has expired or was ended. Log in again and repeat the request.",
        )
    }

    /// The session lives, and the route is not for it. What would be required is not said.
    pub fn forbidden() -> Self {
        Self::new(
            ErrorCode::Forbidden,
            "You are signed in, but this is not for you. A repetition is refused too until your rights change.",
        )
    }

    /// The gateway's prefix, and no endpoint below it.
    pub fn no_endpoint() -> Self {
        Self::new(
            ErrorCode::EndpointNotFound,
            "The gateway has no endpoint of this name.",
        )
    }

    /// The same, and the connection ends with it.
    #[must_use]
    pub const fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The same, with the methods that would have been right.
    #[must_use]
    pub fn allow(mut self, methods: &str) -> Self {
        self.allow = Some(methods.into());
        self
    }

    /// The same, with a time to come back.
    #[must_use]
    pub const fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// For the access line: which quota it was, or what is wrong with the request. In the gateway's
    /// own words alone, with nothing that the client sent. `None`: the code says it all.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        match (&self.refusal, self.code) {
            (Some(refusal), _) => Some(refusal.policy.as_str().into()),
            (None, ErrorCode::RateLimited) if self.platform_code.is_some() => {
                Some("platform".into())
            }
            (None, ErrorCode::PathInvalid) => Some(self.detail.clone()),
            (None, ErrorCode::RequestInvalid) => Some(match &self.detail {
                Cow::Borrowed(detail) => Cow::Borrowed(detail),
                // Behind the colon stands what a parser says, with a piece of what it read.
                Cow::Owned(detail) => {
                    Cow::Owned(detail.split(':').next().unwrap_or_default().to_owned())
                }
            }),
            _ => None,
        }
    }

    fn platform(mut self, platform_code: impl Into<Option<PlatformCode>>) -> Self {
        self.platform_code = platform_code.into();
        self
    }
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> Self {
        /// While the store is down every request meets this; the access lines name each of them.
        static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
        if let Some(silent) = THROTTLE.admit() {
            log::error!("{error}{silent}");
        }
        Self::new(ErrorCode::StoreUnavailable, "Sessions cannot be looked up right now. Keep the token and try again; do not log in again.")
            .retry_after(Duration::from_secs(1))
    }
}

impl From<LoginError> for GatewayError {
    fn from(error: LoginError) -> Self {
        use ErrorCode as E;
        match error {
            LoginError::AppRequired => {
                Self::new(E::AppRequired, "This gateway serves several apps; send {\"code\", \"app\"} with the app's name in the gateway's configuration.")
            }
            LoginError::AppUnknown => Self::new(E::AppUnknown, "No app of this name is configured; send the name in [apps.NAME], not the appid."),
            LoginError::AuthorizerRequired => {
                Self::new(E::AuthorizerRequired, "This app acts for the apps of others; send {\"code\", \"app\", \"authorizer_appid\"} with the appid of the one that the user uses.")
            }
            LoginError::AuthorizerInvalid(why) => Self::new(E::AuthorizerInvalid, why),
            LoginError::CodeMalformed(why) => Self::new(E::CodeInvalid, format!("This is not a login code: {why}.")),
            LoginError::CodeInvalid { platform_code } => {
                Self::new(E::CodeInvalid, "The platform refused the code: it is wrong, too old, or of another app. Get a fresh one from the platform's login call.")
                    .platform(platform_code)
            }
            LoginError::CodeUsed { platform_code } => Self::new(E::CodeUsed, "A code is good once. Get a fresh one from the platform's login call.").platform(platform_code),
            LoginError::AppMismatch { platform_code } => {
                Self::new(E::AppMismatch, "The code was made by another app than the one that it was sent for.").platform(platform_code)
            }
            LoginError::UserBlocked { platform_code } => {
                let who = if platform_code.is_some() { "The platform" } else { "The operator" };
                Self::new(E::UserBlocked, format!("{who} has blocked this user.")).platform(platform_code)
            }
            LoginError::Refused { detail } if detail.is_empty() => Self::new(E::LoginRefused, "This user may not log in."),
            LoginError::Refused { detail } => Self::new(E::LoginRefused, detail),
            // No time to come back: with this code it would not help.
            LoginError::HookFailed => Self::new(E::LoginHookFailed, "The backend that decides about logins has not answered, and the code is used up. Get a fresh one from the platform's login call."),
            LoginError::ClaimsTooLarge => Self::new(E::LoginClaimsTooLarge, "This user's claims are more than a session can have, and the code is used up. Get a fresh one from the platform's login call."),
            LoginError::StateUnreadable => Self::new(E::Misconfigured, "What the gateway keeps of this user cannot be read. The user cannot log in until the operator has corrected that."),
            LoginError::Limited(refusal) => Self::from(refusal),
            LoginError::Platform(trouble) => Self { detail: of_login(&trouble).into(), ..Self::from(trouble) },
            LoginError::Store(error) => Self { detail: "Logging in is not possible right now. Try again in a moment.".into(), ..Self::from(error) },
        }
    }
}

const fn of_login(trouble: &PlatformTrouble) -> &'static str {
    match trouble {
        PlatformTrouble::Throttled { .. } => "The platform limits how often this user may log in.",
        PlatformTrouble::Unavailable { .. } => {
            "The platform does not answer. Try again with the same code."
        }
        PlatformTrouble::Nonsense => "The platform gave an answer that cannot be used.",
        PlatformTrouble::NotAuthorized { .. } => {
            "The app of authorizer_appid has not authorised this gateway's app. Its administrator has to do so."
        }
        PlatformTrouble::Misconfigured => {
            "Logging in is not possible until the operator has corrected the gateway's settings."
        }
    }
}

impl From<AppTokenError> for GatewayError {
    fn from(error: AppTokenError) -> Self {
        use ErrorCode as E;
        match error {
            AppTokenError::Unsupported => Self::new(
                E::RequestInvalid,
                "The platform of this app has no access tokens.",
            ),
            AppTokenError::Store(error) => Self {
                detail: "The gateway's store does not answer, so there is no access token just now. Try again in a moment.".into(),
                ..error.into()
            },
            AppTokenError::Unavailable { retry_after, .. } => Self::new(
                E::PlatformUnavailable,
                "The platform gives no access token just now. Try again in a moment.",
            )
            .retry_after(retry_after),
            AppTokenError::Misconfigured { platform_code, .. } => Self::new(
                E::Misconfigured,
                "The platform gives no access token until the operator has corrected the settings of the app.",
            )
            .platform(platform_code),
            AppTokenError::NotAuthorized { platform_code, .. } => Self::new(
                E::AppNotAuthorized,
                "This app has not authorised the gateway's, or has withdrawn.",
            )
            .platform(platform_code),
        }
    }
}
