//! What a platform needs to know of an app.

use std::sync::Arc;
use std::time::Duration;

use super::base_url::{BadBaseUrl, BaseUrl};
use crate::identity::TokenGrant;
use crate::secret::Secret;
use crate::session::ProviderKind;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSettings {
    /// Its name in the configuration, for messages and metrics.
    pub name: Arc<str>,
    pub provider: ProviderKind,
    /// Its id there.
    pub appid: Arc<str>,
    /// Its secret there.
    pub secret: Secret<String>,
    /// Where the platform's API is, at least one; the next is tried when one cannot be connected
    /// to.
    pub base_urls: Vec<String>,
    /// The longest that one exchange takes, retries included.
    pub timeout: Duration,
    /// How many exchanges may be under way at once. One more is refused at once.
    pub max_concurrent: usize,
    /// How its access token is fetched, where the platform has two ways.
    pub token_grant: TokenGrant,
}

impl AppSettings {
    /// Five seconds: room for three tries of a platform that answers at all, well within the 60 s
    /// after which a mini program gives a request up.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// Sixty-four: 640 logins a second while the platform answers within 100 ms, and few enough
    /// sockets while it does not.
    pub const MAX_CONCURRENT: usize = 64;

    /// The base URLs, once everything else is found to be usable too.
    pub(super) fn checked_bases(&self) -> Result<Vec<BaseUrl>, SettingsError> {
        let empties = [
            ("appid", self.appid.is_empty()),
            ("secret", self.secret.expose().is_empty()),
            ("base_url", self.base_urls.is_empty()),
            ("timeout", self.timeout.is_zero()),
            ("max_concurrent", self.max_concurrent == 0),
        ];
        if let Some((key, _)) = empties.into_iter().find(|(_, empty)| *empty) {
            let app = self.name.clone();
            return Err(SettingsError::Empty { app, key });
        }
        let parse = |base: &String| {
            BaseUrl::parse(base).map_err(|why| SettingsError::BaseUrl {
                app: self.name.clone(),
                why,
            })
        };
        self.base_urls.iter().map(parse).collect()
    }
}

/// Settings that cannot work. The key is that of the configuration, within the app's table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("apps.{app}.base_url: {why}")]
    BaseUrl { app: Arc<str>, why: BadBaseUrl },
    /// An empty text, or a limit of zero.
    #[error("apps.{app}.{key}: it must not be empty or zero")]
    Empty { app: Arc<str>, key: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::registry::platform;

    fn settings() -> AppSettings {
        let secret = Secret::new("s3cret".to_owned());
        platform(ProviderKind::WechatMiniProgram).app("shop", "wx1", secret)
    }

    #[test]
    fn settings_that_cannot_work_name_their_key() {
        assert!(settings().checked_bases().is_ok());
        let error = |settings: AppSettings| settings.checked_bases().unwrap_err().to_string();
        assert_eq!(
            error(AppSettings {
                base_urls: vec![],
                ..settings()
            }),
            "apps.shop.base_url: it must not be empty or zero"
        );
        assert!(
            error(AppSettings {
                base_urls: vec!["gopher://x".to_owned()],
                ..settings()
            })
            .starts_with("apps.shop.base_url: it must begin with https://")
        );
        assert!(
            error(AppSettings {
                secret: Secret::new(String::new()),
                ..settings()
            })
            .starts_with("apps.shop.secret")
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", settings()).contains("s3cret"));
    }
}
