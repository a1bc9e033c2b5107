//! The token that a client holds and the names made from it.
//!
//! `hufu_` + base64url of `tag (2) ‖ random (32) ‖ check (4)`: 56 characters, one spelling. The tag
//! comes from the user and decides the Redis Cluster slot; the check bytes turn away tokens that
//! nobody issued without asking the store.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayString;
use parking_lot::Mutex;

use crate::crypto::encoding::{base64url, base64url_text, from_base64url};
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::crypto::{hash, random};
use crate::limit::Recent;
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
pub fn tag_of(naming: &NamingKey, user: &UserKey) -> Tag {
    naming.name("tag", &user.parts())
}

/// The user's name in keys and in the log: it tells nobody the platform's name for the user.
pub fn name_of(naming: &NamingKey, user: &UserKey) -> [u8; 16] {
    naming.name("user", &user.parts())
}

/// The secret that the client holds. It exists only when its check bytes are right.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken {
    body: Secret<[u8; BODY]>,
    id: SessionId,
}

impl SessionToken {
    /// A fresh token for a user.
    pub fn issue(keys: &Keyring, tag: Tag) -> Self {
        let mut body = [0; BODY];
        body[..2].copy_from_slice(&tag);
        body[2..CHECKED].copy_from_slice(&random::bytes::<32>());
        let check = keys.check_bytes(&body[..CHECKED]);
        body[CHECKED..].copy_from_slice(&check);
        Self::of(body)
    }

    fn of(body: [u8; BODY]) -> Self {
        let id = SessionId {
            tag: [body[0], body[1]],
            hash: hash::first(&hash::sha256(&body)),
        };
        Self {
            body: Secret::new(body),
            id,
        }
    }

    /// Reads what a client sent.
    pub fn parse(keys: &Keyring, text: &str) -> Result<Self, TokenError> {
        let body: [u8; BODY] = text
            .strip_prefix(PREFIX)
            .and_then(from_base64url)
            .ok_or(TokenError::Malformed)?;
        let (checked, check) = body.split_last_chunk::<4>().ok_or(TokenError::Malformed)?;
        if keys.checks(checked, check) {
            Ok(Self::of(body))
        } else {
            Err(TokenError::Foreign)
        }
    }

    /// The text that goes to the client: the login and rotate answers, and nowhere else.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", base64url(self.body.expose()))
    }

    /// The public name of the session that this token opens.
    pub const fn id(&self) -> SessionId {
        self.id
    }
}

/// Tokens whose check bytes were found right a moment ago, with the names of their sessions: a busy
/// client's token is read and hashed once and not on every request. They are the keys of a map with
/// a random hash, so nobody can time their way to one.
pub struct KnownTokens(Mutex<Recent<KnownText, SessionId>>);

/// A token as it is written, without its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KnownText([u8; TOKEN_LEN - PREFIX.len()]);

impl Hash for KnownText {
    /// Sixteen characters of its random part have 96 bits, which is enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0[8..24]);
    }
}

impl Default for KnownTokens {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(Self::GENERATION)))
    }
}

impl KnownTokens {
    /// Tokens in one generation; both together take about 8 MiB when they are full.
    const GENERATION: usize = 32 * 1024;

    /// The session that a client's token opens; refuses what [`SessionToken::parse`] refuses with
    /// the same keys.
    pub fn session(&self, keys: &Keyring, text: &str) -> Result<SessionId, TokenError> {
        let written = text
            .strip_prefix(PREFIX)
            .and_then(|body| body.as_bytes().try_into().ok());
        let written = written.map(KnownText).ok_or(TokenError::Malformed)?;
        self.0
            .lock()
            .get_or_try(written, || Ok(SessionToken::parse(keys, text)?.id()))
    }
}

/// The text with every token in it made unreadable: for places where a client has put one by
/// mistake, such as a path.
pub fn redacted(text: &str) -> Cow<'_, str> {
    // Looking for one byte is much faster than looking for five, and most paths have not even that.
    if !text.as_bytes().contains(&b'_') {
        return Cow::Borrowed(text);
    }
    let is_body = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let tokens: Vec<&str> = text
        .match_indices(PREFIX)
        .map(|(at, _)| &text[at..])
        .filter_map(|rest| rest.get(..TOKEN_LEN))
        .filter(|t| t.chars().all(is_body))
        .collect();
    tokens.into_iter().fold(Cow::Borrowed(text), |text, token| {
        Cow::Owned(text.replace(token, "hufu_[hidden]"))
    })
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({})", self.id)
    }
}

/// The public name of a session: the user's tag and the first 16 bytes of the token's SHA-256. It
/// names the key in the store and gives nothing of the token, so logs show it and an operator can
/// revoke by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId {
    /// The user's tag.
    pub tag: Tag,
    /// The token's truncated hash.
    pub hash: [u8; 16],
}

impl SessionId {
    /// The 25 characters that name it: tag and hash in base64url.
    pub fn text(&self) -> ArrayString<25> {
        // In one go: four characters of three bytes, of which the tag has two, and then those of
        // the hash.
        let mut bytes = [0; 19];
        bytes[..2].copy_from_slice(&self.tag);
        bytes[3..].copy_from_slice(&self.hash);
        let both = base64url_text::<26>(&bytes);
        let mut text = ArrayString::new();
        text.push_str(&both[..3]);
        text.push_str(&both[4..]);
        text
    }

    /// Reads the 25 characters that [`SessionId`] displays.
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, hash) = text.split_at_checked(3)?;
        Some(Self {
            tag: from_base64url(tag)?,
            hash: from_base64url(hash)?,
        })
    }
}

impl Hash for SessionId {
    /// Eight bytes are enough, since they are a part of a hash.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.hash[..8]);
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
