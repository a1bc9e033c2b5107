//! A login code: what can be one, what it is called in the store, and what only it opens there.

use serde::{Deserialize, Serialize};

use crate::crypto::keyring::{DerivedBox, NamingKey};
use crate::identity::answer::LoginAnswer;
use crate::identity::app::App;
use crate::identity::error::LoginError;
use crate::identity::exchange_error::PlatformCode;
use crate::session::store::LoginKey;

/// Longest code that goes out to a platform, in bytes. Most have 32.
const CODE_MAX: usize = 512;

/// What the store keeps of a settled login, sealed under the code.
#[derive(Serialize, Deserialize)]
pub(super) enum Outcome {
    Issued(LoginAnswer),
    BadCode(PlatformCode),
    Used(PlatformCode),
    Blocked(PlatformCode),
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
            Self::Blocked(platform_code) => Err(LoginError::UserBlocked { platform_code }),
        }
    }
}

/// A code's name in the store and the box that only the code opens.
pub(super) struct CodeOf {
    pub(super) key: LoginKey,
    sealed: DerivedBox,
}

impl CodeOf {
    pub(super) fn new(naming: &NamingKey, app: &App, code: &str) -> Self {
        let parts: [&[u8]; 2] = [app.name.as_bytes(), code.as_bytes()];
        Self {
            key: naming.name("login code", &parts),
            sealed: DerivedBox::new(naming, "login answer", &parts),
        }
    }

    pub(super) fn seal(&self, outcome: &Outcome) -> Vec<u8> {
        self.sealed
            .seal(&serde_json::to_vec(outcome).expect("an outcome has only strings and numbers"))
    }

    pub(super) fn open(&self, answer: &[u8]) -> Option<Outcome> {
        serde_json::from_slice(&self.sealed.open(answer).ok()?).ok()
    }
}

/// Refuses what cannot be a code before anything goes out. Platforms use letters, digits and
/// URL-safe marks.
pub(super) fn check_code(code: &str) -> Result<(), LoginError> {
    if code.is_empty() {
        return Err(LoginError::CodeMalformed(
            "it is empty; send the code that the platform's login call gave",
        ));
    }
    if code.len() > CODE_MAX {
        return Err(LoginError::CodeMalformed(
            "it is longer than any platform's codes",
        ));
    }
    if code.contains("mock one") {
        return Err(LoginError::CodeMalformed(
            "it is the mock code that the developer tools give to a test app id; open the project with a real app id",
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+/=|:".contains(&b);
    if code.bytes().all(allowed) {
        Ok(())
    } else {
        Err(LoginError::CodeMalformed(
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
            assert!(
                matches!(check_code(wrong), Err(LoginError::CodeMalformed(_))),
                "{wrong:?}"
            );
        }
    }
}
