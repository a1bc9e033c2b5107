//! What operators read when a change of an app that acts for others fails.

use std::time::Duration;

use super::apps::acts_for_none;
use super::operator::Operator;
use super::outcome::outcome_of;
use crate::broker::ComponentError;
use crate::http::{ErrorCode, GatewayError};
use crate::identity::{App, AppTokenError, ExchangeError};

/// The audit line and the answer of a change that was not carried out, as far as anybody knows.
pub(super) fn not_carried_out(
    error: ComponentError,
    audit: &'static str,
    authorizer: &App,
    operator: &Operator,
) -> GatewayError {
    let outcome = match &error {
        ComponentError::Store(error) => outcome_of(error),
        ComponentError::Platform(_) | ComponentError::Unsupported => "failed",
    };
    log::warn!(audit = audit, outcome = outcome, app = &*authorizer.name, appid = &*authorizer.appid, by = &*operator.token, from = &*operator.address; "an operator's change of the tokens of {} got no good answer: {error}", authorizer.appid);
    for_operators(error)
}

/// The answer: operators read why.
pub(super) fn for_operators(error: ComponentError) -> GatewayError {
    match error {
        ComponentError::Unsupported => acts_for_none(),
        ComponentError::Store(error) => error.into(),
        ComponentError::Platform(error) => {
            let detail = format!("The platform was asked: {error}.");
            let mut answer = match error {
                ExchangeError::NotAuthorized { platform_code, .. } => GatewayError {
                    platform_code: Some(platform_code),
                    ..GatewayError::new(ErrorCode::AppNotAuthorized, "")
                },
                ExchangeError::Misconfigured {
                    reason,
                    platform_code,
                } => AppTokenError::Misconfigured {
                    reason,
                    platform_code,
                    retry_after: Duration::ZERO,
                }
                .into(),
                ExchangeError::Unavailable { retry_after, .. }
                | ExchangeError::Throttled { retry_after, .. } => {
                    GatewayError::new(ErrorCode::PlatformUnavailable, "").retry_after(retry_after)
                }
                _ => GatewayError::new(ErrorCode::PlatformError, ""),
            };
            answer.detail = detail.into();
            answer
        }
    }
}
