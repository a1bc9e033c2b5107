//! The access_tokens of the server side APIs: `/cgi-bin/token` gives a new one at every call,
//! `/cgi-bin/stable_token` the same one until its last five minutes. The two do not touch each
//! other.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::crypto::{encoding, random};

/// How long the previous one goes on beside a new one; of tokens that live shortly a part of their
/// life.
const OVERLAP: (Duration, u32) = (Duration::from_secs(300), 4);
/// The least time between two forced refreshes.
const FORCED_APART: Duration = Duration::from_secs(30);
/// Forced refreshes within a day.
const FORCED_A_DAY: usize = 20;
const DAY: Duration = Duration::from_secs(86_400);

/// A token and the seconds that it still lives.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) expires_in: u64,
}

struct Stable {
    token: String,
    /// The forced refreshes of the last day.
    forced: Vec<UnixMillis>,
}

#[derive(Default)]
pub(super) struct AccessTokens {
    life: Duration,
    live: HashMap<String, (String, UnixMillis)>,
    plain: HashMap<String, String>,
    stable: HashMap<String, Stable>,
}

impl AccessTokens {
    /// No tokens yet; they will live so long.
    pub(super) fn new(life: Duration) -> Self {
        Self {
            life,
            ..Self::default()
        }
    }

    /// A new token; the previous one of this kind lives on for the overlap.
    pub(super) fn plain(&mut self, app: &str, now: UnixMillis) -> Granted {
        let token = self.make(app, now);
        if let Some(previous) = self.plain.insert(app.to_owned(), token.clone()) {
            self.shorten(&previous, now.plus(self.overlap()));
        }
        granted(token, now.plus(self.life), now)
    }

    /// A new token beside all others.
    pub(super) fn another(&mut self, app: &str, now: UnixMillis) -> Granted {
        let token = self.make(app, now);
        granted(token, now.plus(self.life), now)
    }

    /// The stable token. Forced, a new one at once, and the old one is dead, unless it was forced a
    /// moment ago; `None`: it was forced too often today.
    pub(super) fn stable(&mut self, app: &str, force: bool, now: UnixMillis) -> Option<Granted> {
        let present = self.stable.remove(app);
        let (token, mut forced) = match present {
            Some(Stable { token, forced }) => (Some(token), forced),
            None => (None, Vec::new()),
        };
        forced.retain(|at| now.since(*at) < DAY);
        let is_forced = force
            && forced
                .last()
                .is_none_or(|at| now.since(*at) >= FORCED_APART);
        let until = token
            .as_ref()
            .and_then(|token| self.live.get(token))
            .map_or(now, |(_, until)| *until);
        let is_refused = is_forced && forced.len() >= FORCED_A_DAY;
        let token = match token {
            Some(token) if is_refused || (!is_forced && until.since(now) > self.overlap()) => token,
            previous => {
                if let Some(previous) = previous.filter(|_| is_forced) {
                    self.shorten(&previous, now);
                }
                if is_forced {
                    forced.push(now);
                }
                self.make(app, now)
            }
        };
        let until = self.live.get(&token).map_or(now, |(_, until)| *until);
        let stable = Stable {
            token: token.clone(),
            forced,
        };
        self.stable.insert(app.to_owned(), stable);
        (!is_refused).then(|| granted(token, until, now))
    }

    /// Ends all tokens of an app, as somebody else does who fetches them; how many lived.
    pub(super) fn end(&mut self, app: &str, now: UnixMillis) -> usize {
        let before = self.live.len();
        self.live
            .retain(|_, (owner, until)| owner != app && now < *until);
        before - self.live.len()
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
            .insert(token.clone(), (app.to_owned(), now.plus(self.life)));
        token
    }

    fn overlap(&self) -> Duration {
        OVERLAP.0.min(self.life / OVERLAP.1)
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
