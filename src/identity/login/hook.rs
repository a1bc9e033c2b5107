//! The login hook within a login: what is refused before it is asked, and what its answer leads to.

use super::LoginFlow;
use super::lead::{NoSession, unknown_user};
use super::reservation::HeldCode;
use crate::clock::monotonic_now;
use crate::identity::code::Outcome;
use crate::identity::login_hook::{HookAnswer, HookError, HookQuestion, OnFailure};
use crate::limit::Policy;
use crate::session::Claims;
use crate::session::service::SignIn;

impl LoginFlow {
    /// Asks the login hook, where there is one for this app, and puts its claims into the session
    /// that is to be made.
    pub(super) async fn ask_hook(
        &self,
        held: &HeldCode<'_>,
        sign_in: &mut SignIn,
    ) -> Result<(), NoSession> {
        let Some(settings) = held.app.login_hook.as_deref() else {
            return Ok(());
        };
        self.refuse_unasked(held, sign_in).await?;
        let app = &*held.app.name;
        let request_id = held.request_id;
        let started = monotonic_now();
        let question = HookQuestion::about(sign_in);
        let answer = self.hook.ask(settings, &question, request_id).await;
        let took = monotonic_now().saturating_duration_since(started);
        let (outcome, result) = match answer.and_then(|answer| decided(answer, sign_in)) {
            Ok(decided) => decided,
            Err(HookError(why)) => {
                let result = match settings.on_failure {
                    OnFailure::Refuse => {
                        log::error!(app, request_id; "login hook: the login is refused: {why}");
                        Err(NoSession::Verdict(Outcome::HookFailed))
                    }
                    OnFailure::Allow => {
                        log::error!(app, request_id; "login hook: the login goes on without its claims: {why}");
                        Ok(())
                    }
                };
                ("failed", result)
            }
        };
        self.metrics.login.hook(app, outcome, took);
        result
    }

    /// Refuses what must not reach the backend: logins of a blocked user, and those beyond the
    /// user's quota, which is taken here instead of with the session. A user who is blocked
    /// meanwhile gets no session either.
    async fn refuse_unasked(
        &self,
        held: &HeldCode<'_>,
        sign_in: &mut SignIn,
    ) -> Result<(), NoSession> {
        let state = self.sessions.store().user_state(&sign_in.user).await?;
        let state = state.map_err(|unreadable| unknown_user(&unreadable, held))?;
        if state.blocked.is_some() {
            return Err(NoSession::Verdict(Outcome::BlockedHere));
        }
        let Some(quota) = sign_in.quota.take() else {
            return Ok(());
        };
        let limit = self
            .sessions
            .limit_of(Policy::PerUser, &sign_in.user, quota);
        let admitted = self.limits.admit_user(limit).await;
        admitted.map_err(|refusal| NoSession::Freed(refusal.into()))
    }
}

/// What an answer leads to, with its word for the metric.
fn decided(
    answer: HookAnswer,
    sign_in: &mut SignIn,
) -> Result<(&'static str, Result<(), NoSession>), HookError> {
    match answer {
        HookAnswer::Claims(claims) => {
            sign_in.claims = joined(&sign_in.claims, &claims)?;
            Ok(("claims", Ok(())))
        }
        HookAnswer::Nothing => Ok(("none", Ok(()))),
        HookAnswer::Refused { detail } => {
            let refused = NoSession::Verdict(Outcome::Refused { detail });
            Ok(("refused", Err(refused)))
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
