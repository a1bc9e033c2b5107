//! What is said of open data, phone numbers and session_keys that are not given.

use super::{ErrorCode, GatewayError};
use crate::identity::{OpenDataError, PlatformTrouble};

impl From<OpenDataError> for GatewayError {
    fn from(error: OpenDataError) -> Self {
        use ErrorCode as E;
        match error {
            OpenDataError::AppUnknown => Self::new(E::AppUnknown, "The app of this session is not configured any more."),
            OpenDataError::Unsupported => Self::new(E::UnsupportedByPlatform, "The platform of this session's app does not give this."),
            OpenDataError::Invalid => Self::new(
                E::OpenDataInvalid,
                "The data does not open for this user and app, or it is too old. Get it anew from the platform's client; if that is refused too, log in first.",
            ),
            OpenDataError::KeyGone { login_call } => Self::new(
                E::SessionKeyGone,
                format!("There is no session_key of this user that the platform takes: call {login_call}, log in, ask for the data again."),
            ),
            OpenDataError::SessionGone => Self::session_expired(),
            OpenDataError::CodeMalformed(why) => Self::new(E::CodeInvalid, format!("This is not a phone code: {why}.")),
            OpenDataError::CodeInvalid { platform_code, other_codes } => Self::new(
                E::CodeInvalid,
                format!("The platform refused the code: it is none of the phone number button's ({other_codes}), of another user, used, or older than five minutes. Let the user press the button again."),
            )
            .platform(platform_code),
            OpenDataError::CodeLost => Self::new(
                E::PlatformUnavailable,
                "The platform may have taken the code, and no answer is known here. The code is not sent again: let the user press the button again.",
            ),
            OpenDataError::ResetLost { login_call } => Self::new(
                E::PlatformUnavailable,
                format!("The platform may have reset the session_key, and has not answered: call {login_call} and log in."),
            ),
            OpenDataError::Limited(refusal) => Self::from(refusal),
            OpenDataError::Platform(trouble) => trouble.into(),
            OpenDataError::Store(error) => Self { detail: "This is not possible right now. Keep the token and try again in a moment.".into(), ..Self::from(error) },
        }
    }
}

impl From<PlatformTrouble> for GatewayError {
    fn from(trouble: PlatformTrouble) -> Self {
        use ErrorCode as E;
        match trouble {
            PlatformTrouble::Throttled {
                platform_code,
                retry_after,
            } => Self::new(
                E::RateLimited,
                "The platform limits how often it may be asked.",
            )
            .platform(platform_code)
            .retry_after(retry_after),
            PlatformTrouble::Unavailable { retry_after } => Self::new(
                E::PlatformUnavailable,
                "The platform does not answer. Try again, with the same code where there is one.",
            )
            .retry_after(retry_after),
            PlatformTrouble::Nonsense => Self::new(
                E::PlatformError,
                "The platform gave an answer that cannot be used.",
            ),
            PlatformTrouble::NotAuthorized { platform_code } => Self::new(
                E::AppNotAuthorized,
                "This app has not authorised the gateway's, or has withdrawn. Its administrator has to authorise it again.",
            )
            .platform(platform_code),
            PlatformTrouble::Misconfigured => Self::new(
                E::Misconfigured,
                "This is not possible until the operator has corrected the gateway's settings.",
            ),
        }
    }
}
