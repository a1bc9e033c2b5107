//! The login hook within a login: what is refused before it is asked, and what its answer leads to.

use super::LoginFlow;
use crate::clock::monotonic_now;
use crate::identity::app::App;
use crate::identity::code::Outcome;
use crate::identity::login_hook::{HookAnswer, HookError, HookQuestion, LoginHook, OnFailure};
use crate::limit::{LimitRefusal, Policy};
use crate::metrics::{AppLabel, AppOutcome};
use crate::session::service::SignIn;
use crate::session::{Claims, StoreError};

/// What came of asking.
pub(super) enum Asked {
    /// The login goes on.
    GoesOn,
    /// The user's quota is used up, and the hook was not asked.
    Limited(LimitRefusal),
    /// The login is over, for all who come with this code.
    Ended(Outcome),
}

impl LoginFlow {
    /// The hook, where it is asked about this app's logins.
    pub(super) fn hook_of(&self, app: &App) -> Option<&dyn LoginHook> {
        app.hook_time.and(self.hook.as_deref())
    }

    /// Asks the hook about a login, and puts its claims into the session that is to be made. The
    /// user's quota is taken here instead of with the session: a login that it refuses must not
    /// reach the backend. Nor does that of a blocked user; one who is blocked meanwhile gets no
    /// session either.
    pub(super) async fn ask_hook(
        &self,
        hook: &dyn LoginHook,
        sign_in: &mut SignIn,
        request_id: &str,
    ) -> Result<Asked, StoreError> {
        let state = self.sessions.store().user_state(&sign_in.user).await?;
        if state.blocked.is_some() {
            return Ok(Asked::Ended(Outcome::BlockedHere));
        }
        if let Some(quota) = sign_in.quota.take() {
            let limit = self
                .sessions
                .limit_of(Policy::PerUser, &sign_in.user, quota);
            if let Err(refusal) = self.limits.admit_user(limit).await {
                return Ok(Asked::Limited(refusal));
            }
        }
        let app = sign_in.user.app.to_string();
        let started = monotonic_now();
        let answer = hook.ask(&HookQuestion::about(sign_in), request_id).await;
        self.metrics
            .login_hook_seconds
            .get_or_create(&AppLabel { app: app.clone() })
            .observe(
                monotonic_now()
                    .saturating_duration_since(started)
                    .as_secs_f64(),
            );
        let (outcome, asked) = match answer.and_then(|answer| decided(answer, sign_in)) {
            Ok(decided) => decided,
            Err(HookError(why)) => {
                let app = &*app;
                let asked = match hook.settings().on_failure {
                    OnFailure::Refuse => {
                        log::error!(app, request_id; "login hook: the login is refused: {why}");
                        Asked::Ended(Outcome::HookFailed)
                    }
                    OnFailure::Allow => {
                        log::error!(app, request_id; "login hook: the login goes on without its claims: {why}");
                        Asked::GoesOn
                    }
                };
                ("failed", asked)
            }
        };
        self.metrics
            .login_hooks
            .get_or_create(&AppOutcome { app, outcome })
            .inc();
        Ok(asked)
    }
}

/// What an answer leads to, with its word for the metric.
fn decided(answer: HookAnswer, sign_in: &mut SignIn) -> Result<(&'static str, Asked), HookError> {
    match answer {
        HookAnswer::Claims(claims) => {
            sign_in.claims = joined(&sign_in.claims, &claims)?;
            Ok(("claims", Asked::GoesOn))
        }
        HookAnswer::Nothing => Ok(("none", Asked::GoesOn)),
        HookAnswer::Refused { detail } => {
            Ok(("refused", Asked::Ended(Outcome::Refused { detail })))
        }
    }
}

/// The platform's claims with the hook's. Of two with one name the hook's counts: the team knows
/// more of its user.
fn joined(platform: &Claims, hook: &Claims) -> Result<Claims, HookError> {
    let others = platform.iter().filter(|(name, _)| hook.get(name).is_none());
    Claims::new(others.chain(hook.iter())).map_err(|error| {
        HookError(format!(
            "its claims do not fit beside the platform's: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_claims_with_one_name_the_hooks_counts() {
        let platform = Claims::new([("user_id", "2088"), ("tenant", "t1")]).unwrap();
        let hook = Claims::new([("role", "staff"), ("user_id", "42")]).unwrap();
        let both = joined(&platform, &hook).unwrap();
        let expected = [("tenant", "t1"), ("role", "staff"), ("user_id", "42")];
        assert_eq!(both, Claims::new(expected).unwrap());
        assert_eq!(joined(&platform, &Claims::default()).unwrap(), platform);
    }

    #[test]
    fn both_together_keep_the_limits_of_claims() {
        let half = "x".repeat(Claims::BYTES_MAX / 2);
        let one = Claims::new([("one", &*half)]).unwrap();
        let other = Claims::new([("other", &*half)]).unwrap();
        let error = joined(&one, &other).unwrap_err().to_string();
        assert!(error.contains("2048 bytes"), "{error}");
        assert!(joined(&one, &one).is_ok());
    }
}
