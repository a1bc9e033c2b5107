//! The platforms, a row each. A platform's own file says what stands in its row.

use super::client::Call;
use super::reply::Parsed;
use super::settings::AppSettings;
use super::wechat;
use crate::identity::{ExchangeRequest, PlatformCode};
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

/// The platform of a kind.
#[must_use]
pub const fn platform(kind: ProviderKind) -> &'static Platform {
    match kind {
        ProviderKind::WechatMiniProgram => &wechat::MINI_PROGRAM,
    }
}

/// Every platform, in the order of the documentation.
pub fn platforms() -> impl Iterator<Item = &'static Platform> {
    ProviderKind::ALL.into_iter().map(platform)
}

/// The id of the app whose page a Referer names, such as `{web_origin}/{appid}/…`: a hint, never a
/// proof.
#[must_use]
pub fn appid_of_page(referer: &str) -> Option<&str> {
    let page = platforms()
        .filter_map(|platform| platform.web_origin)
        .find_map(|origin| referer.strip_prefix(origin))?;
    let (appid, _) = page.strip_prefix('/')?.split_once('/')?;
    (!appid.is_empty() && appid.len() <= 32 && appid.bytes().all(|b| b.is_ascii_alphanumeric()))
        .then_some(appid)
}

/// What is odd about a user's id, by the platforms whose form is known.
#[must_use]
pub fn user_doubt(user: &str) -> Option<String> {
    let doubts: Option<Vec<String>> = platforms()
        .filter_map(|platform| platform.user_doubt)
        .map(|doubt| doubt(user))
        .collect();
    doubts?.into_iter().next()
}

impl Platform {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_referer_names_the_app() {
        assert_eq!(
            appid_of_page("https://servicewechat.com/wx0123456789abcdef/0/page-frame.html"),
            Some("wx0123456789abcdef")
        );
        for other in [
            "https://servicewechat.com/",
            "https://servicewechat.com.evil.test/wx0/0/",
            "https://evil.test/wx0/0/",
            "https://servicewechat.com/a%0ab/0/x",
            "https://servicewechat.com//0/x",
        ] {
            assert_eq!(appid_of_page(other), None, "{other}");
        }
    }

    #[test]
    fn a_platform_lives_below_its_domain_only() {
        let wechat = platform(ProviderKind::WechatMiniProgram);
        for (url, lives) in [
            ("https://api.weixin.qq.com", true),
            ("https://weixin.qq.com:443/x", true),
            ("https://api.weixin.qq.com.evil.test", false),
            ("https://notweixin.qq.com", false),
            ("http://127.0.0.1:9001", false),
        ] {
            assert_eq!(wechat.lives_at(url), lives, "{url}");
        }
    }
}
