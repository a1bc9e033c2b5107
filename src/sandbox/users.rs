//! The simulated users: made as they are named, the same name always with the same openid.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::crypto::{encoding, hash, random};

/// A user whose name contains this has no unionid, as when the app is bound to no Open Platform
/// account.
pub(super) const WITHOUT_UNIONID: &str = "no-unionid";
/// A user whose name begins with this is blocked: 40226.
pub(super) const BLOCKED: &str = "blocked";

/// One user of one app.
pub(super) struct User {
    pub(super) name: String,
    pub(super) session_key: String,
    keyed_at: UnixMillis,
    minute: u64,
    exchanges: u32,
}

/// All users by app and openid.
#[derive(Default)]
pub(super) struct Users(HashMap<(String, String), User>);

/// The openid: derived from app and user alone, 28 characters, and like a real one with a beginning
/// that all users of the app share.
pub fn openid(app: &str, user: &str) -> String {
    let of_app = encoding::base64url(&hash::sha256(format!("sandbox app\n{app}").as_bytes()));
    let of_user = encoding::base64url(&hash::sha256(
        format!("sandbox openid\n{app}\n{user}").as_bytes(),
    ));
    format!("o{}{}", &of_app[..5], &of_user[..22])
}

/// The unionid: of the user alone, as if all apps were bound to one account; `None` for a name that
/// says so.
pub fn unionid(user: &str) -> Option<String> {
    if user.contains(WITHOUT_UNIONID) {
        return None;
    }
    Some(format!(
        "oSbx6{}",
        &encoding::base64url(&hash::sha256(format!("sandbox unionid\n{user}").as_bytes()))[..23]
    ))
}

/// The user's phone number, in a range that looks Chinese.
pub(super) fn phone_number(user: &str) -> String {
    let digits = hash::sha256(format!("sandbox phone\n{user}").as_bytes());
    let tail: String = digits[..8]
        .iter()
        .map(|b| char::from(b'0' + b % 10))
        .collect();
    format!("138{tail}")
}

impl Users {
    /// The user, made if new.
    pub(super) fn named(&mut self, app: &str, user: &str, now: UnixMillis) -> &mut User {
        self.0
            .entry((app.to_owned(), openid(app, user)))
            .or_insert_with(|| User {
                name: user.to_owned(),
                session_key: new_session_key(),
                keyed_at: now,
                minute: 0,
                exchanges: 0,
            })
    }

    /// The user with this openid, if one was ever named.
    pub(super) fn with_openid(&mut self, app: &str, openid: &str) -> Option<&mut User> {
        self.0.get_mut(&(app.to_owned(), openid.to_owned()))
    }
}

impl User {
    /// What `wx.login` does: a new session_key if the present one is old enough.
    pub(super) fn logged_in(&mut self, now: UnixMillis, rotate_after: Duration) {
        if now.since(self.keyed_at) >= rotate_after {
            self.rotate(now);
        }
    }

    /// A new session_key; what was sealed under the old one no longer opens.
    pub(super) fn rotate(&mut self, now: UnixMillis) {
        self.session_key = new_session_key();
        self.keyed_at = now;
    }

    /// Counts one exchange; `false` when this minute's are used up.
    pub(super) fn may_exchange(&mut self, now: UnixMillis, per_minute: u32) -> bool {
        let minute = now.0 / 60_000;
        if self.minute != minute {
            (self.minute, self.exchanges) = (minute, 0);
        }
        self.exchanges = self.exchanges.saturating_add(1);
        self.exchanges <= per_minute
    }
}

fn new_session_key() -> String {
    encoding::base64(&random::bytes::<16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_openids_that_look_real() {
        let alice = openid("wx1", "alice");
        assert_eq!((alice.len(), alice.chars().next()), (28, Some('o')));
        assert_eq!(alice, openid("wx1", "alice"));
        assert_eq!(alice[..6], openid("wx1", "bob")[..6], "the app's part");
        assert_ne!(alice, openid("wx2", "alice"));
        assert_eq!(unionid("alice").map(|id| id.len()), Some(28));
        assert_eq!(unionid("bob-no-unionid"), None);
        assert_eq!(phone_number("alice").len(), 11);
    }
}
