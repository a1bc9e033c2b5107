//! The token that a client holds and the names made from it.
//!
//! `hufu_` + base64url of `tag (2) ‖ random (32) ‖ check (4)`: 56 characters, one spelling. The tag comes from
//! the user and decides the Redis Cluster slot; the check bytes turn away tokens that nobody issued without
//! asking the store.

use std::borrow::Cow;
use std::fmt;

use crate::crypto::encoding::{base64url, from_base64url};
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::crypto::{hash, random};
use crate::secret::Secret;
use crate::session::user::UserKey;

const PREFIX: &str = "hufu_";
const BODY: usize = 38;
const CHECKED: usize = BODY - 4;
/// Characters in a token.
pub const TOKEN_LEN: usize = PREFIX.len() + 51;

/// Why a text is not a session token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Wrong length, prefix, alphabet, or spare bits.
    #[error("not a session token")]
    Malformed,
    /// The right form, but issued by nobody who holds a configured key.
    #[error("not a token of this gateway")]
    Foreign,
}

/// The two bytes that all keys of one user share, so that they lie in one cluster slot.
pub type Tag = [u8; 2];

/// The tag of a user.
#[must_use]
pub fn tag_of(naming: &NamingKey, user: &UserKey) -> Tag {
    naming.name("tag", &user.parts())
}

/// The secret that the client holds. It exists only when its check bytes are right.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(Secret<[u8; BODY]>);

impl SessionToken {
    /// A fresh token for a user.
    #[must_use]
    pub fn issue(keys: &Keyring, tag: Tag) -> Self {
        let mut body = [0; BODY];
        body[..2].copy_from_slice(&tag);
        body[2..CHECKED].copy_from_slice(&random::bytes::<32>());
        let check = keys.check_bytes(&body[..CHECKED]);
        body[CHECKED..].copy_from_slice(&check);
        Self(Secret::new(body))
    }

    /// Reads what a client sent.
    pub fn parse(keys: &Keyring, text: &str) -> Result<Self, TokenError> {
        let body = text.strip_prefix(PREFIX).and_then(from_base64url::<BODY>).ok_or(TokenError::Malformed)?;
        let (checked, check) = body.split_last_chunk::<4>().ok_or(TokenError::Malformed)?;
        if keys.checks(checked, check) { Ok(Self(Secret::new(body))) } else { Err(TokenError::Foreign) }
    }

    /// The text that goes to the client: the login and rotate answers, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", base64url(self.0.expose()))
    }

    /// The public name of the session that this token opens.
    #[must_use]
    pub fn id(&self) -> SessionId {
        let body = self.0.expose();
        SessionId { tag: [body[0], body[1]], hash: hash::truncated(&hash::sha256(body)) }
    }
}

/// The text with every token in it made unreadable: for places where a client has put one by mistake, such as a path.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let is_body = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let tokens: Vec<&str> =
        text.match_indices(PREFIX).map(|(at, _)| &text[at..]).filter_map(|rest| rest.get(..TOKEN_LEN)).filter(|t| t.chars().all(is_body)).collect();
    tokens.into_iter().fold(Cow::Borrowed(text), |text, token| Cow::Owned(text.replace(token, "hufu_[hidden]")))
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({})", self.id())
    }
}

/// The public name of a session: the user's tag and the first 16 bytes of the token's SHA-256. It names the
/// key in the store and gives nothing of the token, so logs show it and an operator can revoke by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The user's tag.
    pub tag: Tag,
    /// The token's truncated hash.
    pub hash: [u8; 16],
}

impl SessionId {
    /// Reads the 25 characters that [`SessionId`] displays.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, hash) = text.split_at_checked(3)?;
        Some(Self { tag: from_base64url(tag)?, hash: from_base64url(hash)? })
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", base64url(&self.tag), base64url(&self.hash))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_has_one_spelling_and_one_issuer() {
        let keys = Keyring::ephemeral();
        let token = SessionToken::issue(&keys, [1, 2]);
        let text = token.expose();
        assert_eq!(text.len(), TOKEN_LEN);
        assert_eq!(SessionToken::parse(&keys, &text).unwrap().id(), token.id());
        assert_eq!(SessionToken::parse(&Keyring::ephemeral(), &text).unwrap_err(), TokenError::Foreign);
        assert_eq!(token.id().tag, [1, 2]);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for i in 0..text.len() {
            for other in alphabet {
                let mut changed = text.clone().into_bytes();
                if changed[i] == *other {
                    continue;
                }
                changed[i] = *other;
                assert!(SessionToken::parse(&keys, std::str::from_utf8(&changed).unwrap()).is_err(), "{i} {other}");
            }
        }
        for wrong in ["", "hufu_", &text[1..], &text[..55], &format!("{text}A"), &format!("{text}="), &format!(" {text}"), &text.to_uppercase()] {
            assert_eq!(SessionToken::parse(&keys, wrong).unwrap_err(), TokenError::Malformed, "{wrong:?}");
        }
    }

    #[test]
    fn a_token_in_another_text_is_made_unreadable() {
        let token = SessionToken::issue(&Keyring::ephemeral(), [1, 2]).expose();
        assert_eq!(redacted(&format!("/api/{token}/x")), "/api/hufu_[hidden]/x");
        assert_eq!(redacted(&format!("{token}{token}")), "hufu_[hidden]hufu_[hidden]");
        for other in ["/api/x", "/hufu_docs/intro", "hufu_", "/é/hufu_é"] {
            assert!(matches!(redacted(other), Cow::Borrowed(_)), "{other}");
        }
    }

    #[test]
    fn ids_are_read_back_and_tell_nothing_of_the_token() {
        let token = SessionToken::issue(&Keyring::ephemeral(), [9, 9]);
        let id = token.id();
        assert_eq!(id.to_string().len(), 25);
        assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        assert!(!token.expose().contains(&id.to_string()[3..]));
        assert!(!format!("{token:?}").contains(&token.expose()));
        for wrong in ["", "AAA", &"A".repeat(24), &"A".repeat(26), &"é".repeat(13)] {
            assert_eq!(SessionId::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn ten_thousand_tokens_are_unique_and_their_bits_balanced() {
        let keys = Keyring::ephemeral();
        let mut seen = HashSet::new();
        let mut ones = 0_u32;
        for _ in 0..10_000 {
            let token = SessionToken::issue(&keys, [0, 0]);
            ones += token.0.expose()[2..CHECKED].iter().map(|b| b.count_ones()).sum::<u32>();
            assert!(seen.insert(token.expose()));
        }
        // Monobit: 2 560 000 bits, standard deviation 800; six of them fail once in 10^9 runs.
        assert!((1_275_200..=1_284_800).contains(&ones), "{ones}");
    }
}
