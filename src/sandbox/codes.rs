//! The codes that were given out: good once, for one app, one purpose and a few minutes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::crypto::{encoding, random};

/// How many codes are remembered, used ones too. The oldest go first; what is forgotten counts as
/// never issued.
const REMEMBERED: usize = 200_000;

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// `wx.login`, for `jscode2session`.
    #[default]
    Login,
    /// The phone number button, for `getuserphonenumber`.
    Phone,
}

/// Why a code is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeRefusal {
    /// Never issued (or long forgotten).
    Unknown,
    /// Too old, of another app or for another purpose.
    Invalid,
    /// Taken before.
    Used,
}

struct Issued {
    app: String,
    user: String,
    purpose: Purpose,
    at: UnixMillis,
    used: bool,
}

/// The book of codes.
#[derive(Default)]
pub(super) struct Codes {
    by_code: HashMap<String, Issued>,
    by_age: VecDeque<String>,
}

impl Codes {
    /// A fresh code, 32 characters as WeChat's are.
    pub(super) fn issue(
        &mut self,
        app: &str,
        user: &str,
        purpose: Purpose,
        at: UnixMillis,
    ) -> String {
        let code = format!("0{}", &encoding::base64url(&random::bytes::<24>())[1..]);
        self.remember(
            &code,
            Issued {
                app: app.to_owned(),
                user: user.to_owned(),
                purpose,
                at,
                used: false,
            },
        );
        code
    }

    /// Notes a code that somebody else issued as used, for a user of its name.
    pub(super) fn adopt(&mut self, app: &str, code: &str, purpose: Purpose, at: UnixMillis) {
        self.remember(
            code,
            Issued {
                app: app.to_owned(),
                user: code.to_owned(),
                purpose,
                at,
                used: true,
            },
        );
    }

    /// Whose the code is, without using it.
    pub(super) fn owner(
        &self,
        app: &str,
        code: &str,
        purpose: Purpose,
        now: UnixMillis,
        ttl: Duration,
    ) -> Result<String, CodeRefusal> {
        let issued = self.by_code.get(code).ok_or(CodeRefusal::Unknown)?;
        if issued.app != app || issued.purpose != purpose || now.since(issued.at) >= ttl {
            return Err(CodeRefusal::Invalid);
        }
        if issued.used {
            Err(CodeRefusal::Used)
        } else {
            Ok(issued.user.clone())
        }
    }

    /// Uses the code up.
    pub(super) fn spend(&mut self, code: &str) {
        if let Some(issued) = self.by_code.get_mut(code) {
            issued.used = true;
        }
    }

    fn remember(&mut self, code: &str, issued: Issued) {
        if self.by_code.insert(code.to_owned(), issued).is_none() {
            self.by_age.push_back(code.to_owned());
        }
        if self.by_age.len() > REMEMBERED
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.by_code.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let mut codes = Codes::default();
        for n in 0..=REMEMBERED {
            codes.adopt("wx1", &n.to_string(), Purpose::Login, UnixMillis(0));
        }
        assert_eq!(
            (codes.by_code.len(), codes.by_age.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert_eq!(
            codes.owner("wx1", "0", Purpose::Login, UnixMillis(0), Duration::MAX),
            Err(CodeRefusal::Unknown)
        );
    }
}
