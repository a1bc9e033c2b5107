//! What a platform says where it gives no answer, in its own number or word and in ours.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// A platform's own number or word for an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlatformCode {
    Number(i64),
    Word(Cow<'static, str>),
}

/// Why a code was not exchanged, named for what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// The platform does not know the code: wrong, older than five minutes, or of another app.
    #[error("the platform refused the code ({platform_code})")]
    BadCode { platform_code: PlatformCode },
    /// The code was exchanged before.
    #[error("the code was used before ({platform_code})")]
    CodeUsed { platform_code: PlatformCode },
    /// The platform has blocked the user.
    #[error("the platform has blocked the user ({platform_code})")]
    UserBlocked { platform_code: PlatformCode },
    /// The platform does not take the token that came with the code, and has not looked at the code.
    #[error("the platform refused the app's token ({platform_code})")]
    TokenRefused { platform_code: PlatformCode },
    /// The app has not authorised the one that acts for it.
    #[error("not authorised: {reason}")]
    NotAuthorized {
        /// For the log.
        reason: String,
        platform_code: PlatformCode,
    },
    /// The platform wants fewer calls.
    #[error("the platform limits calls ({platform_code})")]
    Throttled {
        platform_code: PlatformCode,
        /// When to come back.
        retry_after: Duration,
    },
    /// Busy, down, slow, or too many exchanges under way here. The code is most likely still good.
    #[error("the platform is unavailable: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The platform answered something that is not an answer.
    #[error("the platform's answer is invalid: {reason}")]
    Nonsense {
        /// For the log.
        reason: String,
        /// The number or word of an error that means nothing for a login; `None`: it is no answer
        /// of the platform's at all.
        platform_code: Option<PlatformCode>,
    },
    /// The app id or secret is wrong; only the operator can fix it.
    #[error("the app is misconfigured: {reason}")]
    Misconfigured {
        /// What is wrong and what to do, for the log.
        reason: String,
        platform_code: PlatformCode,
    },
}

impl<'de> Deserialize<'de> for PlatformCode {
    /// A number that is written as a text is a number: platforms write both.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(number) => Self::Number(number),
            Written::Text(text) => text
                .trim()
                .parse()
                .map_or_else(|_| Self::Word(text.into()), Self::Number),
        })
    }
}

impl fmt::Display for PlatformCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

impl log::kv::ToValue for PlatformCode {
    fn to_value(&self) -> log::kv::Value<'_> {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Word(word) => log::kv::Value::from(&**word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbers_or_words_and_keep_their_form() {
        let read = |json: &str| serde_json::from_str::<PlatformCode>(json);
        assert_eq!(read("40029").unwrap(), PlatformCode::Number(40029));
        assert_eq!(read("\" -1 \"").unwrap(), PlatformCode::Number(-1));
        let word = read("\"isv.code-invalid\"").unwrap();
        assert_eq!(word, PlatformCode::Word("isv.code-invalid".into()));
        assert_eq!(
            serde_json::to_string(&word).unwrap(),
            "\"isv.code-invalid\""
        );
        assert_eq!(
            serde_json::to_string(&PlatformCode::Number(7)).unwrap(),
            "7"
        );
        assert!(read("4.5").is_err());
    }
}
