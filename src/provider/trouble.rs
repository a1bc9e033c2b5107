//! Why nobody can sign in to an app just now, as far as its last exchanges show. Pure: for
//! readiness.

use crate::identity::{ExchangeError, Identity};

/// What stands between all users of an app and their sessions.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// The platform refuses what the operator has set.
    refused: Option<String>,
    /// The platform does not answer, and the breaker is open.
    silent: Option<String>,
}

impl Trouble {
    /// The platform has answered. What it says of a code shows that it takes the app's credentials.
    pub(super) fn note_answer(&mut self, answer: &Result<Identity, ExchangeError>) {
        match answer {
            Ok(_)
            | Err(
                ExchangeError::BadCode { .. }
                | ExchangeError::CodeUsed { .. }
                | ExchangeError::UserBlocked { .. }
                | ExchangeError::NotAuthorized { .. },
            ) => self.refused = None,
            Err(ExchangeError::Misconfigured { reason, .. }) => self.refused = Some(reason.clone()),
            // Of one user, or of one answer.
            Err(
                ExchangeError::Throttled { .. }
                | ExchangeError::Unavailable { .. }
                | ExchangeError::TokenRefused { .. }
                | ExchangeError::Nonsense { .. },
            ) => {}
        }
    }

    /// The breaker has opened.
    pub(super) fn note_silence(&mut self, platform: &str, reason: &str) {
        self.silent = Some(format!(
            "{platform} does not answer, circuit breaker open: {reason}"
        ));
    }

    /// The breaker has closed.
    pub(super) fn note_recovery(&mut self) {
        self.silent = None;
    }

    /// What an operator should know; `None`: users can sign in.
    pub(super) fn reason(&self) -> Option<String> {
        self.silent.as_ref().or(self.refused.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::PlatformCode;

    fn nonsense() -> Result<Identity, ExchangeError> {
        Err(ExchangeError::Nonsense {
            reason: "?".to_owned(),
            platform_code: None,
        })
    }

    #[test]
    fn what_a_client_can_cause_is_no_trouble_and_ends_it() {
        let mut trouble = Trouble::default();
        let refused = || {
            Err(ExchangeError::Misconfigured {
                reason: "the secret".to_owned(),
                platform_code: PlatformCode::Number(40125),
            })
        };
        trouble.note_answer(&nonsense());
        trouble.note_answer(&Err(ExchangeError::BadCode {
            platform_code: PlatformCode::Number(40029),
        }));
        assert_eq!(trouble.reason(), None);
        trouble.note_answer(&refused());
        trouble.note_answer(&nonsense());
        assert_eq!(trouble.reason().as_deref(), Some("the secret"));
        trouble.note_silence("WeChat", "no route");
        assert!(
            trouble
                .reason()
                .is_some_and(|reason| reason.contains("no route"))
        );
        trouble.note_recovery();
        assert_eq!(trouble.reason().as_deref(), Some("the secret"));
        trouble.note_answer(&Err(ExchangeError::CodeUsed {
            platform_code: PlatformCode::Number(40163),
        }));
        assert_eq!(trouble.reason(), None);
    }
}
