//! What sets a platform apart: how it is asked, how its answer reads, what its errors mean, and what
//! operators and clients have to know of it.

use std::sync::Arc;

use super::client::Call;
use super::settings::AppSettings;
use crate::identity::{ExchangeRequest, PlatformCode};
use crate::secret::Secret;
use crate::session::ProviderKind;

/// Everything that sets a platform apart from the others.
pub struct Platform {
    /// Which one: its name in the configuration and its number in stored records.
    pub kind: ProviderKind,
    /// Its name in messages.
    pub name: &'static str,
    /// Where its API is.
    pub base_urls: &'static [&'static str],
    /// Its domain: a base URL below it is the platform itself and no stand-in.
    pub domain: &'static str,
    /// Where an operator finds an app's id and secret.
    pub console: &'static str,
    /// The origin of its clients' pages, which may call the gateway whatever `cors.origins` says;
    /// in a Referer the app's id follows it.
    pub web_origin: Option<&'static str>,
    /// What an app's id looks like.
    pub appid_example: &'static str,
    /// What is odd about an app's id, as it follows its key.
    pub appid_doubt: fn(&str) -> Option<String>,
    /// The same of a secret; it never shows the text.
    pub secret_doubt: fn(&str) -> Option<String>,
    /// What is odd about a user's id, as it follows it; `None`: the form is not known.
    pub user_doubt: Option<fn(&str) -> Option<String>>,
    pub login: LoginApi,
}

/// How a code becomes a user.
pub struct LoginApi {
    pub path: &'static str,
    pub request: for<'a> fn(&'a AppSettings, &ExchangeRequest<'a>) -> Call<'a>,
    /// Reads the body of an answer; whether it is believed, the engine decides.
    pub read: fn(&[u8]) -> Result<Parsed, serde_json::Error>,
    /// The field that holds the number of an error, for messages.
    pub error_field: &'static str,
    pub errors: &'static [(PlatformCode, Meaning)],
    /// Whether the platform looks at the app's secret before the code, so that a refused code shows
    /// that the secret is right.
    pub checks_secret_first: bool,
}

/// What a number or word of a platform's means for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The platform is busy, and the code most likely not consumed: try again soon.
    Busy,
    /// Too many calls; come back in the next minute.
    TooOften,
    /// The code is wrong, too old, or of another app.
    BadCode,
    CodeUsed,
    UserBlocked,
    /// Only the operator can fix it: what to do. `{app}` stands for the app's name in the
    /// configuration, `{appid}` for its id.
    Misconfigured(&'static str),
    /// It should not come: why.
    Unexpected(&'static str),
}

/// What a body says, in the same words for every platform.
#[derive(Debug)]
pub struct Parsed {
    /// The number or word of an error; `None`: it reports success.
    pub error: Option<PlatformCode>,
    /// The platform's text about the error.
    pub message: Option<String>,
    pub subject: Result<String, Missing>,
    pub unionid: Option<String>,
    /// Some platforms have none.
    pub session_key: Result<Option<String>, Missing>,
}

/// A field that should be there.
#[derive(Debug)]
pub struct Missing(pub &'static str);

impl Platform {
    /// The settings of an app that leaves everything else at its default.
    #[must_use]
    pub fn app(
        &self,
        name: impl Into<Arc<str>>,
        appid: impl Into<Arc<str>>,
        secret: Secret<String>,
    ) -> AppSettings {
        AppSettings {
            name: name.into(),
            provider: self.kind,
            appid: appid.into(),
            secret,
            base_urls: self.base_urls.iter().map(|&base| base.to_owned()).collect(),
            timeout: AppSettings::TIMEOUT,
            max_concurrent: AppSettings::MAX_CONCURRENT,
        }
    }

    /// Whether it is the platform itself that is asked at this base URL.
    #[must_use]
    pub fn lives_at(&self, base_url: &str) -> bool {
        let host = base_url
            .split("//")
            .nth(1)
            .unwrap_or_default()
            .split(['/', ':'])
            .next()
            .unwrap_or_default();
        host.strip_suffix(self.domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl LoginApi {
    /// The API's name: the last segment of its path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// What a number or word means; `None`: the platform does not document it.
    #[must_use]
    pub fn meaning(&self, code: &PlatformCode) -> Option<Meaning> {
        self.errors
            .iter()
            .find(|(known, _)| known == code)
            .map(|(_, meaning)| *meaning)
    }

    /// What the platform says of a used code.
    #[must_use]
    pub fn used_code(&self) -> Option<PlatformCode> {
        self.errors
            .iter()
            .find(|(_, meaning)| *meaning == Meaning::CodeUsed)
            .map(|(code, _)| code.clone())
    }
}

/// The value of a field that must be there and not be empty.
pub fn needed(name: &'static str, value: Option<String>) -> Result<String, Missing> {
    value.filter(|value| !value.is_empty()).ok_or(Missing(name))
}
