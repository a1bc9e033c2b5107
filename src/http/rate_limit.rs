//! How a quota that is used up is told to clients.

use std::time::Duration;

use crate::http::error::{ErrorCode, GatewayError};
use crate::limit::{LimitRefusal, Policy};

/// The fields of draft-ietf-httpapi-ratelimit-headers-11: which policy refused, and when it has one
/// more.
pub(super) fn fields(refusal: &LimitRefusal) -> [(&'static str, String); 2] {
    let policy = refusal.policy.as_str();
    let quota = refusal.quota.amount();
    let window = refusal.quota.window().as_secs();
    let wait = whole_seconds(refusal.retry_after);
    [
        (
            "ratelimit-policy",
            format!("\"{policy}\";q={quota};w={window}"),
        ),
        ("ratelimit", format!("\"{policy}\";r=0;t={wait}")),
    ]
}

/// Rounded up, and never none: a client that came back at once would be refused again.
pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_millis()
        .div_ceil(1000)
        .max(1)
        .try_into()
        .unwrap_or(u64::MAX)
}

impl From<LimitRefusal> for GatewayError {
    fn from(refusal: LimitRefusal) -> Self {
        let detail = match refusal.policy {
            Policy::PerIp => {
                "Too many logins came from this address. Try again later with the same code, or with a fresh one after five minutes."
            }
            Policy::PerUser => {
                "This user logs in too often. Keep the token that there is; should there be none, log in again later."
            }
            Policy::PerApp => {
                "Too many users of this app log in at the moment. Try again later with the same code, or with a fresh one after five minutes."
            }
            Policy::OpenData => {
                "This user asks too often for what hangs on the session_key. Try again later."
            }
            Policy::PhoneLimit => {
                "This user has asked for a phone number too often. Try again later with a fresh code."
            }
        };
        let error = Self::new(ErrorCode::RateLimited, detail).retry_after(refusal.retry_after);
        Self {
            refusal: Some(Box::new(refusal)),
            ..error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_second_is_a_second() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
    }
}
