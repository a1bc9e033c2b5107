//! What a process knows of one app's token. A state machine: it is told the time, does no I/O and
//! answers what is to be done.

use std::time::{Duration, Instant};

use crate::backoff;
use crate::crypto::random;
use crate::identity::{AccessToken, AppTokenError, ExchangeError, REFUSED_TWICE};
use crate::secret::Secret;

/// A token is refreshed at a moment between these before its end, drawn anew for each: platforms
/// give another one in the last five minutes, in which both are good.
const REFRESH: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(270));
/// Of a token that was short from the beginning: in this part of its life, at the earliest.
const REFRESH_PART: u32 = 5;
/// Whoever has not used a token for so long gets none in the background.
const IN_USE: Duration = Duration::from_secs(3600);
/// How soon a process with a token of its own, or one that could not ask, looks into the store
/// again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A token that has less left is fetched without the store, where that is down.
const URGENT: Duration = Duration::from_secs(60);
/// After a fetch that failed without an answer: the first and the longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// After a refusal that only an operator can end.
const MISCONFIGURED: Duration = Duration::from_secs(60);
/// Two early ends within this time are somebody's doing.
const EARLY: Duration = Duration::from_secs(3600);

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// All gateways have it.
    Store,
    /// Only this process has it, since the store is down.
    Process,
}

/// What to do for somebody who wants the token.
#[derive(Debug)]
pub(super) enum Step {
    Use(AccessToken),
    /// It is good, and due.
    UseAndRefresh(AccessToken),
    /// There is none.
    Obtain,
}

/// What a refusal by the platform leads to.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another one is known.
    Use(AccessToken),
    /// Another one is needed. `early`: for the second time within an hour a token ended long before
    /// its time.
    Obtain { early: bool },
    /// It was fetched a moment ago: another fetch would not help.
    Wait(AppTokenError),
}

/// The state of one app's token.
#[derive(Debug, Default)]
pub(super) struct TokenState {
    held: Option<Held>,
    /// The last one that the platform refused, until a fetch has brought an answer to that. One
    /// refusal may be a mistake: while nothing is fetched it goes on being used.
    refused: Option<Secret<String>>,
    pause: Option<Pause>,
    failures: u32,
    used_at: Option<Instant>,
    ended_early: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Held {
    token: AccessToken,
    origin: Origin,
    /// Until when a refusal leads to no fetch, since it has just been fetched.
    rests: Instant,
    due: Instant,
}

/// Until when nothing is fetched, and why.
#[derive(Debug, Clone)]
struct Pause {
    until: Instant,
    why: AppTokenError,
}

impl TokenState {
    /// Somebody wants the token.
    pub(super) fn wanted(&mut self, now: Instant) -> Step {
        self.used_at = Some(now);
        match self.good(now) {
            Some(held) if self.is_refused(&held.token.text) && self.paused(now).is_none() => {
                Step::Obtain
            }
            Some(held) if now < held.due => Step::Use(held.token.clone()),
            Some(held) => Step::UseAndRefresh(held.token.clone()),
            None => Step::Obtain,
        }
    }

    /// What to use where nothing better can be had: a token that was refused once may be good.
    pub(super) fn last_resort(&self, now: Instant) -> Option<AccessToken> {
        self.good(now).map(|held| held.token.clone())
    }

    /// The platform has refused this token.
    pub(super) fn refused(&mut self, text: &Secret<String>, now: Instant) -> Refused {
        let mut early = false;
        if let Some(held) = self.good(now)
            && !self.is_refused(&held.token.text)
        {
            if held.token.text != *text {
                return Refused::Use(held.token.clone());
            }
            if now < held.rests {
                return Refused::Wait(AppTokenError::refused_twice(held.rests - now));
            }
            if held.token.until.saturating_duration_since(now) > REFRESH.1 {
                let before = self.ended_early.replace(now);
                early = before.is_some_and(|at| now.saturating_duration_since(at) < EARLY);
            }
            self.refused = Some(text.clone());
        }
        Refused::Obtain { early }
    }

    /// Whether this is the token that the platform refused last.
    pub(super) fn is_refused(&self, text: &Secret<String>) -> bool {
        self.refused.as_ref() == Some(text)
    }

    /// The token in whose place another one is wanted: one that was refused, or that all gateways
    /// have and that is due.
    pub(super) fn replaced(&self, now: Instant) -> Option<&Secret<String>> {
        let due = self
            .good(now)
            .filter(|held| held.origin == Origin::Store && held.due <= now);
        self.refused.as_ref().or_else(|| Some(&due?.token.text))
    }

    /// Why nothing is fetched just now.
    pub(super) fn paused(&self, now: Instant) -> Option<AppTokenError> {
        let pause = self.pause.as_ref().filter(|pause| now < pause.until)?;
        let left = pause.until - now;
        let mut why = pause.why.clone();
        match &mut why {
            AppTokenError::Unavailable { retry_after, .. }
            | AppTokenError::Misconfigured { retry_after, .. }
            | AppTokenError::NotAuthorized { retry_after, .. } => *retry_after = left,
            AppTokenError::Unsupported | AppTokenError::Store(_) => {}
        }
        Some(why)
    }

    /// What stood against a fetch is gone: it has worked, or the settings have changed.
    pub(super) fn resume(&mut self) {
        self.pause = None;
        self.failures = 0;
    }

    /// The app has no token any more, and none is wanted.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// There is a token, fetched so long ago. If it is the one that was refused, the platform says
    /// that it is good: it goes on being used, and rests as a fresh one does.
    pub(super) fn obtained(
        &mut self,
        token: AccessToken,
        origin: Origin,
        age: Duration,
        now: Instant,
    ) -> AccessToken {
        let age = if self.is_refused(&token.text) {
            Duration::ZERO
        } else {
            age
        };
        let left = token.until.saturating_duration_since(now);
        let due = match origin {
            Origin::Process => now + LOOK_AGAIN,
            Origin::Store => {
                let latest = REFRESH.1.min(left / REFRESH_PART);
                let earliest = REFRESH.0.min(latest / 4);
                token.until - latest + (latest - earliest).mul_f64(random::fraction())
            }
        };
        self.refused = None;
        self.resume();
        self.held = Some(Held {
            token: token.clone(),
            origin,
            rests: now + rest(age + left).saturating_sub(age),
            due,
        });
        token
    }

    /// A fetch has failed. A token that is still good stays, unless the app has withdrawn, and
    /// nothing is fetched for a while.
    pub(super) fn failed(&mut self, error: &ExchangeError, now: Instant) -> AppTokenError {
        self.failures = self.failures.saturating_add(1);
        let growing = backoff::jittered(PAUSE.0, PAUSE.1, self.failures);
        let why = match error {
            ExchangeError::Misconfigured {
                reason,
                platform_code,
            } => AppTokenError::Misconfigured {
                reason: reason.clone(),
                platform_code: platform_code.clone(),
                retry_after: MISCONFIGURED,
            },
            ExchangeError::NotAuthorized {
                reason,
                platform_code,
            } => {
                self.held = None;
                AppTokenError::NotAuthorized {
                    reason: reason.clone(),
                    platform_code: platform_code.clone(),
                    retry_after: MISCONFIGURED,
                }
            }
            ExchangeError::Throttled { retry_after, .. } => {
                unavailable(error.to_string(), growing.max(*retry_after))
            }
            other => unavailable(other.to_string(), growing),
        };
        self.pause(why, now)
    }

    /// Nothing is fetched until the error says to come back.
    pub(super) fn pause(&mut self, why: AppTokenError, now: Instant) -> AppTokenError {
        let (AppTokenError::Unavailable { retry_after, .. }
        | AppTokenError::Misconfigured { retry_after, .. }
        | AppTokenError::NotAuthorized { retry_after, .. }) = &why
        else {
            return why;
        };
        let until = now + *retry_after;
        self.pause = Some(Pause {
            until,
            why: why.clone(),
        });
        if let Some(held) = &mut self.held {
            held.due = held.due.max(until);
        }
        why
    }

    /// The store is down. A token that is good for a while yet does meanwhile.
    pub(super) fn store_is_down(&mut self, now: Instant) -> Option<AccessToken> {
        let refused = self.refused.as_ref();
        let held = self.held.as_mut()?;
        let is_urgent = held.token.until.saturating_duration_since(now) <= URGENT;
        if is_urgent || refused == Some(&held.token.text) {
            return None;
        }
        held.due = now + LOOK_AGAIN;
        Some(held.token.clone())
    }

    /// When somebody should look whether the token is due; `None`: nobody needs to.
    pub(super) fn next_look(&self, now: Instant) -> Option<Duration> {
        let held = self.good(now)?;
        let used_at = self.used_at?;
        (now.saturating_duration_since(used_at) < IN_USE)
            .then(|| held.due.saturating_duration_since(now))
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.good(now).is_none() && self.paused(now).is_none()
    }

    /// How long the token is still good.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let good = self.good(now);
        good.map_or(Duration::ZERO, |held| held.token.until - now)
    }

    fn good(&self, now: Instant) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.token.until)
    }
}

/// How long a token rests after its fetch; one that lives shortly, a part of its life.
pub(super) fn rest(life: Duration) -> Duration {
    REFUSED_TWICE.min(life / 10)
}

pub(super) fn unavailable(reason: String, retry_after: Duration) -> AppTokenError {
    AppTokenError::Unavailable {
        reason,
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic_now;
    use crate::identity::PlatformCode;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn token(text: &str, until: Instant) -> AccessToken {
        AccessToken {
            text: Secret::new(text.to_owned()),
            until,
        }
    }

    /// A process that has just taken `t1`, good for two hours, out of the store.
    fn holding(now: Instant) -> TokenState {
        let mut state = TokenState::default();
        assert!(matches!(state.wanted(now), Step::Obtain));
        let held = state.obtained(token("t1", now + 2 * HOUR), Origin::Store, SECOND, now);
        assert_eq!(held.text.expose(), "t1");
        state
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn it_is_refreshed_at_a_moment_of_its_own_in_the_last_five_minutes() {
        let now = monotonic_now();
        let end = now + 2 * HOUR;
        let moments: Vec<Duration> = (0..100)
            .map(|_| end - (now + holding(now).next_look(now).unwrap()))
            .collect();
        assert!(
            moments
                .iter()
                .all(|left| (REFRESH.0..=REFRESH.1).contains(left))
        );
        let spread = *moments.iter().max().unwrap() - *moments.iter().min().unwrap();
        assert!(spread > Duration::from_secs(60), "{spread:?}");

        let mut state = holding(now);
        assert!(matches!(state.wanted(end - 271 * SECOND), Step::Use(_)));
        assert_eq!(state.replaced(end - 271 * SECOND), None);
        assert!(matches!(
            state.wanted(end - 59 * SECOND),
            Step::UseAndRefresh(_)
        ));
        assert_eq!(state.replaced(end - 59 * SECOND), Some(&secret("t1")));
        assert!(matches!(state.wanted(end), Step::Obtain));
        assert_eq!(state.replaced(end), None, "it has ended by itself");
    }

    #[test]
    fn a_short_token_is_refreshed_in_the_last_quarter_of_its_life() {
        let now = monotonic_now();
        let mut state = TokenState::default();
        state.wanted(now);
        let short = token("t1", now + 8 * SECOND);
        state.obtained(short, Origin::Store, SECOND, now);
        let wait = state.next_look(now).unwrap();
        assert!((6 * SECOND..8 * SECOND).contains(&wait), "{wait:?}");
    }

    #[test]
    fn nobody_refreshes_what_nobody_uses() {
        let now = monotonic_now();
        let mut state = holding(now);
        assert!(state.next_look(now + 59 * 60 * SECOND).is_some());
        assert_eq!(state.next_look(now + HOUR), None);
        state.wanted(now + HOUR);
        assert!(state.next_look(now + HOUR).is_some());
    }

    #[test]
    fn only_the_refused_token_is_replaced_and_not_within_thirty_seconds_of_its_fetch() {
        let now = monotonic_now();
        let mut state = holding(now);
        assert!(matches!(
            state.refused(&secret("t0"), now),
            Refused::Use(other) if other.text.expose() == "t1"
        ));
        assert!(matches!(
            state.refused(&secret("t1"), now + 28 * SECOND),
            Refused::Wait(AppTokenError::Unavailable { retry_after, .. }) if retry_after == SECOND
        ));
        assert!(matches!(state.wanted(now + 28 * SECOND), Step::Use(_)));
        assert!(matches!(
            state.refused(&secret("t1"), now + 29 * SECOND),
            Refused::Obtain { early: false }
        ));
        assert!(matches!(state.wanted(now + 29 * SECOND), Step::Obtain));
        assert_eq!(state.replaced(now + 29 * SECOND), Some(&secret("t1")));
    }

    #[test]
    fn a_token_that_is_given_again_is_used_and_not_fetched_for_thirty_seconds() {
        let now = monotonic_now();
        let mut state = holding(now);
        let later = now + HOUR;
        assert!(matches!(
            state.refused(&secret("t1"), later),
            Refused::Obtain { .. }
        ));
        let same = token("t1", later + HOUR);
        state.obtained(same, Origin::Store, HOUR, later);
        assert!(matches!(state.wanted(later), Step::Use(_)));
        assert_eq!(state.replaced(later), None);
        assert!(matches!(
            state.refused(&secret("t1"), later + 29 * SECOND),
            Refused::Wait(AppTokenError::Unavailable { retry_after, .. }) if retry_after == SECOND
        ));
        assert!(matches!(state.wanted(later + 29 * SECOND), Step::Use(_)));
        assert!(matches!(
            state.refused(&secret("t1"), later + 30 * SECOND),
            Refused::Obtain { .. }
        ));
        let other = token("t2", later + HOUR);
        state.obtained(other, Origin::Store, Duration::ZERO, later);
        assert_eq!(state.replaced(later), None);
    }

    #[test]
    fn a_refused_token_is_used_while_nothing_is_fetched() {
        let now = monotonic_now();
        let mut state = holding(now);
        let later = now + HOUR;
        state.refused(&secret("t1"), later);
        assert!(matches!(state.wanted(later), Step::Obtain));
        assert!(state.store_is_down(later).is_none(), "an own one is better");
        state.pause(AppTokenError::refused_twice(REFUSED_TWICE), later);
        assert!(matches!(state.wanted(later + 29 * SECOND), Step::Use(_)));
        assert_eq!(state.last_resort(later).unwrap().text.expose(), "t1");
        // Whom the platform has refused it gets no call repeated with it.
        assert!(matches!(
            state.refused(&secret("t1"), later + 29 * SECOND),
            Refused::Obtain { early: false }
        ));
        assert!(matches!(state.wanted(later + 30 * SECOND), Step::Obtain));
        assert!(state.last_resort(now + 2 * HOUR).is_none(), "it has ended");
    }

    #[test]
    fn two_early_ends_within_an_hour_are_another_fetcher() {
        let now = monotonic_now();
        let mut state = holding(now);
        let mut ended = |text: &str, at: Instant| {
            let fresh = token(text, at + 2 * HOUR);
            let fetched = at.checked_sub(60 * SECOND).unwrap();
            state.obtained(fresh, Origin::Store, Duration::ZERO, fetched);
            match state.refused(&secret(text), at) {
                Refused::Obtain { early } => early,
                other => panic!("{other:?}"),
            }
        };
        assert!(!ended("t2", now + HOUR));
        assert!(ended("t3", now + HOUR + 59 * 60 * SECOND));
        assert!(!ended("t4", now + 4 * HOUR), "more than an hour later");
    }

    #[test]
    fn after_a_failed_fetch_the_old_token_goes_on_and_nothing_is_fetched_for_a_while() {
        let now = monotonic_now();
        let misconfigured = ExchangeError::Misconfigured {
            reason: "the secret was reset".to_owned(),
            platform_code: PlatformCode::Number(40125),
        };
        let throttled = ExchangeError::Throttled {
            platform_code: PlatformCode::Number(45011),
            retry_after: 50 * SECOND,
        };
        let down = ExchangeError::Unavailable {
            reason: "no answer".to_owned(),
            retry_after: SECOND,
        };
        for (error, least, most) in [
            (&misconfigured, 60 * SECOND, 60 * SECOND),
            (&throttled, 50 * SECOND, 50 * SECOND),
            (&down, SECOND / 2, SECOND),
        ] {
            let mut state = holding(now);
            let due = now + 2 * HOUR - 59 * SECOND;
            state.wanted(due);
            state.failed(error, due);
            let wait = state.next_look(due).unwrap();
            assert!((least..=most).contains(&wait), "{error}: {wait:?}");
            assert!(matches!(state.wanted(due), Step::Use(_)));
            assert!(state.paused(due).is_some() && state.paused(due + most).is_none());
        }
        let mut state = TokenState::default();
        for _ in 0..9 {
            state.failed(&down, now);
        }
        assert!(state.paused(now + PAUSE.1 / 3).is_some() && state.paused(now + PAUSE.1).is_none());
        state.resume();
        assert!(state.paused(now).is_none());
    }

    #[test]
    fn an_app_that_has_withdrawn_has_no_token_any_more() {
        let now = monotonic_now();
        let mut state = holding(now);
        let later = now + HOUR;
        state.refused(&secret("t1"), later);
        let withdrawn = ExchangeError::NotAuthorized {
            reason: "its administrator has withdrawn".to_owned(),
            platform_code: PlatformCode::Number(61003),
        };
        state.failed(&withdrawn, later);
        assert!(state.last_resort(later).is_none());
        assert!(matches!(state.wanted(later), Step::Obtain));
        assert!(matches!(
            state.paused(later),
            Some(AppTokenError::NotAuthorized { .. })
        ));
    }

    #[test]
    fn without_the_store_a_token_goes_on_until_its_last_minute() {
        let now = monotonic_now();
        let mut state = holding(now);
        let end = now + 2 * HOUR;
        state.wanted(end - 61 * SECOND);
        assert!(state.store_is_down(end - 61 * SECOND).is_some());
        assert!(matches!(state.wanted(end - 61 * SECOND), Step::Use(_)));
        assert!(state.store_is_down(end - 60 * SECOND).is_none());
        let own = token("p1", end + HOUR);
        state.obtained(own, Origin::Process, Duration::ZERO, end);
        assert_eq!(state.next_look(end), Some(LOOK_AGAIN));
        assert_eq!(
            state.replaced(end + LOOK_AGAIN),
            None,
            "any in the store will do"
        );
    }
}
