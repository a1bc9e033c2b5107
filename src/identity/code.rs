//! A platform's code: what can be one, what it is called in the store, what only it opens there, and
//! how those wait who come with the same one.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::clock::UnixMillis;
use crate::crypto::keyring::{DerivedBox, NamingKey};
use crate::identity::answer::LoginAnswer;
use crate::identity::error::LoginError;
use crate::identity::exchange_error::PlatformCode;
use crate::identity::login_codes::{LoginCodes, Reservation};
use crate::session::StoreError;
use crate::session::store::LoginKey;

/// Longest code that goes out to a platform, in bytes. Most have 32.
const CODE_MAX: usize = 512;

/// What the store may take beside the exchange, within a reservation.
pub(super) const STORE_SHARE: Duration = Duration::from_secs(2);
/// How long a follower waits between two looks, at first and at most.
pub(super) const FOLLOW: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(200));

/// What the store keeps of a settled login, sealed under the code.
#[derive(Serialize, Deserialize)]
pub(super) enum Outcome {
    Issued(LoginAnswer),
    BadCode(PlatformCode),
    Used(PlatformCode),
    Blocked(PlatformCode),
    /// By an operator.
    BlockedHere,
    /// By the login hook.
    Refused {
        detail: String,
    },
    /// The login hook gave no answer that counts, and nobody signs in without one.
    HookFailed,
    /// What the login brings and what operators have set break a limit together.
    ClaimsTooLarge,
    /// What is kept of the user cannot be read; it may be a block.
    StateUnreadable,
}

impl Outcome {
    /// The answer, or what the platform's verdict means for the client.
    pub(super) fn answer(self) -> Result<LoginAnswer, LoginError> {
        match self {
            Self::Issued(answer) => Ok(answer),
            Self::BadCode(platform_code) => Err(LoginError::CodeInvalid { platform_code }),
            Self::Used(platform_code) => Err(LoginError::CodeUsed {
                platform_code: Some(platform_code),
            }),
            Self::Blocked(platform_code) => Err(LoginError::UserBlocked {
                platform_code: Some(platform_code),
            }),
            Self::BlockedHere => Err(LoginError::UserBlocked {
                platform_code: None,
            }),
            Self::Refused { detail } => Err(LoginError::Refused { detail }),
            Self::HookFailed => Err(LoginError::HookFailed),
            Self::ClaimsTooLarge => Err(LoginError::ClaimsTooLarge),
            Self::StateUnreadable => Err(LoginError::StateUnreadable),
        }
    }
}

/// A code's name in the store and the box that only the code opens.
pub(super) struct CodeOf {
    pub(super) key: LoginKey,
    sealed: DerivedBox,
}

/// What came of reserving a code.
pub(super) enum Reserved<Outcome> {
    Leader { now: UnixMillis, ticket: [u8; 16] },
    Settled(Outcome),
}

impl CodeOf {
    /// The code and what it counts for are the parts: the same code under other parts is another
    /// one.
    pub(super) fn new(naming: &NamingKey, kind: CodeKind, parts: &[&[u8]]) -> Self {
        let (name, answer) = match kind {
            CodeKind::Login => ("login code", "login answer"),
            CodeKind::Phone => ("phone code", "phone answer"),
        };
        Self {
            key: naming.name(name, parts),
            sealed: DerivedBox::new(naming, answer, parts),
        }
    }

    /// An outcome for those who come with the same code.
    pub(super) fn seal(&self, outcome: &impl Serialize) -> Vec<u8> {
        self.sealed
            .seal(&serde_json::to_vec(outcome).expect("an outcome has only strings and numbers"))
    }

    fn open<Outcome: DeserializeOwned>(&self, answer: &[u8]) -> Option<Outcome> {
        serde_json::from_slice(&self.sealed.open(answer).ok()?).ok()
    }

    /// Waits while somebody else exchanges the code. A leader that dies leaves a reservation that
    /// lapses, and the next one to look becomes the leader. `None`: it has taken longer than
    /// `patience`, here or since the reservation was made for `lease`; or `is_wanted` said no,
    /// which is asked before each further look.
    pub(super) async fn follow<Outcome: DeserializeOwned>(
        &self,
        codes: &dyn LoginCodes,
        first: Reservation,
        lease: Duration,
        patience: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<Reserved<Outcome>>, StoreError> {
        let mut seen = first;
        let mut first_seen = None;
        for attempt in 1.. {
            let (now, age) = match seen {
                Reservation::Leader { now, ticket } => {
                    return Ok(Some(Reserved::Leader { now, ticket }));
                }
                Reservation::Settled { now, answer } => match self.open(&answer) {
                    Some(outcome) => return Ok(Some(Reserved::Settled(outcome))),
                    // Sealed by a release that writes another form: wait until it lapses.
                    None => (now, Duration::ZERO),
                },
                Reservation::Pending { now, left } => (now, lease.saturating_sub(left)),
            };
            let waited = now.since(*first_seen.get_or_insert(now));
            if waited.max(age) > patience {
                break;
            }
            tokio::time::sleep(backoff::jittered(FOLLOW.0, FOLLOW.1, attempt)).await;
            if !is_wanted() {
                break;
            }
            seen = codes.reserve(&self.key, lease).await?;
        }
        Ok(None)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum CodeKind {
    Login,
    Phone,
}

/// Why a text is no code.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotACode(pub(super) &'static str);

impl From<NotACode> for LoginError {
    fn from(NotACode(why): NotACode) -> Self {
        Self::CodeMalformed(why)
    }
}

/// Refuses what cannot be a code before anything goes out. Platforms use letters, digits and
/// URL-safe marks.
pub(super) fn check_code(code: &str) -> Result<(), NotACode> {
    if code.is_empty() {
        return Err(NotACode(
            "it is empty; send the code as the platform's client gave it",
        ));
    }
    if code.len() > CODE_MAX {
        return Err(NotACode("it is longer than any platform's codes"));
    }
    if code.contains("mock one") {
        return Err(NotACode(
            "it is the mock code that the developer tools give to a test app id; open the project with a real app id",
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+/=|:".contains(&b);
    if code.bytes().all(allowed) {
        Ok(())
    } else {
        Err(NotACode(
            "it has characters that no platform puts into a code",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_with_foreign_characters_stay_here() {
        assert!(check_code("0a3RkM000abc-_XYZ").is_ok());
        let long = "a".repeat(CODE_MAX + 1);
        for wrong in [
            "",
            "a&b",
            "a\"b",
            "a\r\nb",
            "a\0b",
            "a b",
            "a#b",
            "ü",
            "the code is a mock one",
            &long,
        ] {
            assert!(matches!(check_code(wrong), Err(NotACode(_))), "{wrong:?}");
        }
    }
}
