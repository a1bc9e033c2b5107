//! The access_tokens of the server side APIs: `/cgi-bin/token` gives a new one at every call,
//! `/cgi-bin/stable_token` the same one until its last five minutes. The two do not touch each
//! other.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::crypto::{encoding, random};

/// How long a token lives.
const LIFE: Duration = Duration::from_secs(7200);
/// How long the previous one goes on beside a new one.
const OVERLAP: Duration = Duration::from_secs(300);
/// The least time between two forced refreshes.
const FORCED_APART: Duration = Duration::from_secs(30);

/// A token and the seconds that it still lives.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) expires_in: u64,
}

struct Stable {
    token: String,
    forced_at: Option<UnixMillis>,
}

/// All tokens.
#[derive(Default)]
pub(super) struct AccessTokens {
    live: HashMap<String, (String, UnixMillis)>,
    plain: HashMap<String, String>,
    stable: HashMap<String, Stable>,
}

impl AccessTokens {
    /// A new token; the previous one of this kind lives on for five minutes.
    pub(super) fn plain(&mut self, app: &str, now: UnixMillis) -> Granted {
        let token = self.make(app, now);
        if let Some(previous) = self.plain.insert(app.to_owned(), token.clone()) {
            self.shorten(&previous, now.plus(OVERLAP));
        }
        granted(token, now.plus(LIFE), now)
    }

    /// The stable token. Forced, a new one at once, and the old one is dead; `None` when it was
    /// forced a moment ago.
    pub(super) fn stable(&mut self, app: &str, force: bool, now: UnixMillis) -> Option<Granted> {
        let present = self
            .stable
            .get(app)
            .map(|stable| (stable.token.clone(), stable.forced_at));
        let (token, forced_at) = present.unzip();
        let forced_at = forced_at.flatten();
        if force && forced_at.is_some_and(|at| now.since(at) < FORCED_APART) {
            return None;
        }
        if let Some(token) = token {
            let until = self.live.get(&token).map_or(now, |(_, until)| *until);
            if !force && until.since(now) > OVERLAP {
                return Some(granted(token, until, now));
            }
            if force {
                self.shorten(&token, now);
            }
        }
        let token = self.make(app, now);
        self.stable.insert(
            app.to_owned(),
            Stable {
                token: token.clone(),
                forced_at: if force { Some(now) } else { forced_at },
            },
        );
        Some(granted(token, now.plus(LIFE), now))
    }

    /// The app of a token that lives.
    pub(super) fn app_of(&self, token: &str, now: UnixMillis) -> Option<String> {
        self.live
            .get(token)
            .filter(|(_, until)| now < *until)
            .map(|(app, _)| app.clone())
    }

    fn make(&mut self, app: &str, now: UnixMillis) -> String {
        self.live.retain(|_, (_, until)| now < *until);
        let token = encoding::base64url(&random::bytes::<96>());
        self.live
            .insert(token.clone(), (app.to_owned(), now.plus(LIFE)));
        token
    }

    fn shorten(&mut self, token: &str, until: UnixMillis) {
        if let Some((_, present)) = self.live.get_mut(token) {
            *present = until.min(*present);
        }
    }
}

fn granted(access_token: String, until: UnixMillis, now: UnixMillis) -> Granted {
    Granted {
        access_token,
        expires_in: millis(until.since(now)) / 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    #[test]
    fn a_plain_token_pushes_out_the_previous_one_after_the_overlap() {
        let mut tokens = AccessTokens::default();
        let first = tokens.plain("wx1", at(0));
        let second = tokens.plain("wx1", at(10));
        assert_ne!(first, second);
        assert_eq!(
            tokens.app_of(&first.access_token, at(309)).as_deref(),
            Some("wx1")
        );
        assert_eq!(tokens.app_of(&first.access_token, at(310)), None);
        assert_eq!(
            tokens.app_of(&second.access_token, at(310)).as_deref(),
            Some("wx1")
        );
    }

    #[test]
    fn a_stable_token_stays_until_its_last_five_minutes() {
        let mut tokens = AccessTokens::default();
        let first = tokens.stable("wx1", false, at(0)).unwrap();
        tokens.plain("wx1", at(1));
        let again = tokens.stable("wx1", false, at(6899)).unwrap();
        assert_eq!(
            (again.access_token, again.expires_in),
            (first.access_token.clone(), 301)
        );
        let next = tokens.stable("wx1", false, at(6900)).unwrap();
        assert_ne!(next.access_token, first.access_token);
        assert!(
            tokens.app_of(&first.access_token, at(7199)).is_some(),
            "both live for the overlap"
        );
    }

    #[test]
    fn forcing_kills_the_old_one_and_not_twice_within_thirty_seconds() {
        let mut tokens = AccessTokens::default();
        let first = tokens.stable("wx1", false, at(0)).unwrap();
        let forced = tokens.stable("wx1", true, at(5)).unwrap();
        assert_eq!(tokens.app_of(&first.access_token, at(5)), None);
        assert_eq!(tokens.stable("wx1", true, at(34)), None);
        assert_eq!(
            tokens.stable("wx1", false, at(34)).unwrap().access_token,
            forced.access_token
        );
        assert!(tokens.stable("wx1", true, at(35)).is_some());
    }
}
