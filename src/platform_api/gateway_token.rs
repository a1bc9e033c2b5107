//! The gateway's own token, which SDKs take for an access token. It holds all that is needed to
//! check it, so it outlives restarts, Redis and the sealing keys, and ends with its client's secret.

use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::crypto::encoding;
use crate::crypto::hash::{KeyedHash, constant_time_eq, hmac_sha256};
use crate::secret::Secret;

/// What it begins with.
pub(super) const PREFIX: &str = "hufu_at_";
/// What is said of its life.
pub(super) const LIFE: Duration = Duration::from_secs(7200);
/// It is good for so long beyond that: an SDK may send a call in its last moment.
const GRACE: Duration = Duration::from_secs(300);

const VERSION: u8 = 1;
/// The version and the end.
const HEAD: usize = 1 + 8;
const MAC: usize = 32;
/// No longer than a platform's token.
const LONGEST: usize = 512;

/// Makes and checks the tokens of one secret.
#[derive(Clone)]
pub(super) struct TokenKey(KeyedHash);

/// A token that nobody has checked.
pub(super) struct UncheckedToken {
    signed: Vec<u8>,
    mac: [u8; MAC],
    pub(super) client: String,
    pub(super) app: String,
    pub(super) ends: UnixMillis,
}

impl TokenKey {
    pub(super) fn new(secret: &Secret<String>) -> Self {
        let key = hmac_sha256(secret.expose().as_bytes(), b"hufu gateway token 1");
        Self(KeyedHash::new(&Secret::new(key)))
    }

    /// A token for an app's calls by a client. Names and ids have at most 64 characters.
    pub(super) fn issue(&self, client: &str, app: &str, now: UnixMillis) -> Secret<String> {
        let ends = now.plus(LIFE + GRACE).0 / 1000;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&ends.to_be_bytes());
        bytes.push(u8::try_from(client.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(client.as_bytes());
        bytes.extend_from_slice(app.as_bytes());
        let mac = self.0.of([bytes.as_slice()]);
        bytes.extend_from_slice(&mac);
        Secret::new(format!("{PREFIX}{}", encoding::base64url(&bytes)))
    }

    pub(super) fn has_made(&self, token: &UncheckedToken) -> bool {
        constant_time_eq(&self.0.of([token.signed.as_slice()]), &token.mac)
    }
}

impl UncheckedToken {
    /// `None`: it cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text
            .strip_prefix(PREFIX)
            .filter(|text| text.len() <= LONGEST)?;
        let bytes = encoding::from_base64url_of_any_length(text)?;
        let (signed, mac) = bytes.split_last_chunk::<MAC>()?;
        let (head, names) = signed.split_at_checked(HEAD)?;
        let (version, ends) = head.split_first()?;
        let (length, names) = names.split_first()?;
        let (client, app) = names.split_at_checked(usize::from(*length))?;
        let ends = u64::from_be_bytes(ends.try_into().ok()?);
        if *version != VERSION {
            return None;
        }
        Some(Self {
            client: String::from_utf8(client.to_vec()).ok()?,
            app: String::from_utf8(app.to_vec()).ok()?,
            ends: UnixMillis(ends.saturating_mul(1000)),
            mac: *mac,
            signed: signed.to_vec(),
        })
    }

    pub(super) fn has_ended(&self, now: UnixMillis) -> bool {
        now.0 >= self.ends.0
    }
}

/// What `expires_in` says, in seconds.
pub(super) fn expires_in() -> u64 {
    millis(LIFE) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> TokenKey {
        TokenKey::new(&Secret::new(secret.to_owned()))
    }

    #[test]
    fn a_token_says_whose_it_is_and_ends_after_its_life_and_a_little() {
        let now = UnixMillis(1_700_000_000_000);
        let token = key("secret").issue("orders", "shop", now);
        let text = token.expose();
        assert!(text.starts_with("hufu_at_") && text.len() < 200);
        let parsed = UncheckedToken::parse(text).unwrap();
        assert_eq!((&*parsed.client, &*parsed.app), ("orders", "shop"));
        assert!(key("secret").has_made(&parsed));
        assert!(!key("another").has_made(&parsed));
        assert!(!parsed.has_ended(now.plus(Duration::from_secs(7499))));
        assert!(parsed.has_ended(now.plus(Duration::from_secs(7500))));
        let app = format!("{}/{}", "a".repeat(64), "i".repeat(64));
        let longest = key("x").issue(&"c".repeat(64), &app, now);
        assert!(longest.expose().len() <= 512);
        assert!(UncheckedToken::parse(longest.expose()).is_some());
    }

    #[test]
    fn no_other_text_is_a_token() {
        let token = key("secret").issue("orders", "shop", UnixMillis(0));
        let text = token.expose().clone();
        for at in 8..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            let is_made =
                UncheckedToken::parse(&other).is_some_and(|parsed| key("secret").has_made(&parsed));
            assert!(!is_made, "{other}");
        }
        for other in [
            "",
            "hufu_at_",
            "hufu_at_AQ",
            "hufu_at_=",
            "hufu_x",
            &text[..60],
        ] {
            assert!(UncheckedToken::parse(other).is_none(), "{other}");
        }
        assert!(UncheckedToken::parse(&format!("{text}=")).is_none());
        assert!(UncheckedToken::parse(&format!("hufu_at_{}", "A".repeat(4000))).is_none());
    }
}
