//! What a mini program needs to be told.

use std::sync::Arc;
use std::time::Duration;

use crate::provider::call::{BadBaseUrl, BaseUrl};
use crate::secret::Secret;

/// One mini program's settings.
#[derive(Debug, Clone)]
pub struct MiniProgramSettings {
    /// The app's name in the configuration, for messages and metrics.
    pub app: Arc<str>,
    /// WeChat's id of the app.
    pub appid: Arc<str>,
    /// WeChat's secret of the app.
    pub secret: Secret<String>,
    /// Where the API lives, at least one; the next is tried when one cannot be connected to.
    pub base_urls: Vec<String>,
    /// The longest that one exchange takes, retries included.
    pub timeout: Duration,
    /// How many exchanges may be under way at once. One more is refused at once.
    pub max_concurrent: usize,
}

impl MiniProgramSettings {
    /// WeChat's own address.
    pub const BASE_URL: &'static str = "https://api.weixin.qq.com";
    /// Five seconds: room for three tries of a platform that answers at all, well within the 60 s
    /// of `wx.request`.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// Sixty-four: 640 logins a second while the platform answers within 100 ms, and few enough
    /// sockets while it does not.
    pub const MAX_CONCURRENT: usize = 64;

    /// The settings of an app that leaves everything else at its default.
    #[must_use]
    pub fn new(
        app: impl Into<Arc<str>>,
        appid: impl Into<Arc<str>>,
        secret: Secret<String>,
    ) -> Self {
        Self {
            app: app.into(),
            appid: appid.into(),
            secret,
            base_urls: vec![Self::BASE_URL.to_owned()],
            timeout: Self::TIMEOUT,
            max_concurrent: Self::MAX_CONCURRENT,
        }
    }

    /// The base URLs, once everything else is found to be usable too.
    pub(super) fn checked_bases(&self) -> Result<Vec<BaseUrl>, SettingsError> {
        let app = || self.app.clone();
        let empties = [
            ("appid", self.appid.is_empty()),
            ("secret", self.secret.expose().is_empty()),
            ("base_url", self.base_urls.is_empty()),
            ("timeout", self.timeout.is_zero()),
            ("max_concurrent", self.max_concurrent == 0),
        ];
        if let Some((key, _)) = empties.into_iter().find(|(_, empty)| *empty) {
            return Err(SettingsError::Empty { app: app(), key });
        }
        self.base_urls
            .iter()
            .map(|base| {
                BaseUrl::parse(base).map_err(|why| SettingsError::BaseUrl { app: app(), why })
            })
            .collect()
    }
}

/// Settings that cannot work. The key is that of the configuration, within the app's table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No base URL, or a bad one.
    #[error("apps.{app}.base_url: {why}")]
    BaseUrl {
        /// Which app.
        app: Arc<str>,
        /// What is wrong.
        why: BadBaseUrl,
    },
    /// An empty appid or secret, or a limit of zero.
    #[error("apps.{app}.{key}: it must not be empty or zero")]
    Empty {
        /// Which app.
        app: Arc<str>,
        /// Which key.
        key: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> MiniProgramSettings {
        MiniProgramSettings::new("shop", "wx1", Secret::new("s3cret".to_owned()))
    }

    #[test]
    fn settings_that_cannot_work_name_their_key() {
        assert!(settings().checked_bases().is_ok());
        let told =
            |settings: MiniProgramSettings| settings.checked_bases().unwrap_err().to_string();
        assert_eq!(
            told(MiniProgramSettings {
                base_urls: vec![],
                ..settings()
            }),
            "apps.shop.base_url: it must not be empty or zero"
        );
        assert!(
            told(MiniProgramSettings {
                base_urls: vec!["gopher://x".to_owned()],
                ..settings()
            })
            .starts_with("apps.shop.base_url: it must begin with https://")
        );
        assert!(
            told(MiniProgramSettings {
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
