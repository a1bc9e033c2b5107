//! What the configuration says about the store.

use std::time::Duration;

use crate::redis_client::{ConnectSettings, Deployment, RedisLogin, RedisTls, RedisUrl, Timeouts};
use crate::store::near_cache::NearCacheSettings;
use crate::store::url::StoreUrl;

/// Why the store's settings cannot be used, in the words of an operator; never with a password in
/// it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadStoreSettings {
    /// What is wrong and what to write instead.
    pub reason: String,
}

impl BadStoreSettings {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// The `[store]` section.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where the store is (`store.url`, with `store.username` and `store.password` in their
    /// places).
    pub url: StoreUrl,
    /// The login at the sentinels, where the URL names some (`store.sentinel_username`,
    /// `store.sentinel_password`).
    pub sentinel_login: RedisLogin,
    /// How many replicas must have a revocation before it is answered (`store.wait_replicas`); 0:
    /// none.
    pub wait_replicas: u32,
    /// What every key begins with (`store.key_prefix`).
    pub key_prefix: KeyPrefix,
    /// Sessions that are kept in the process and dropped when Redis says so (`session.near_cache`);
    /// `None`: every lookup calls Redis.
    pub near_cache: Option<NearCacheSettings>,
    /// How long a connection may take, TLS and login included (`store.connect_timeout`).
    pub connect_timeout: Duration,
    /// How long an answer may take (`store.timeout`).
    pub timeout: Duration,
    /// Certificates for `rediss://` (`store.tls`).
    pub tls: RedisTls,
}

impl StoreSettings {
    /// The defaults over a URL: prefix `hufu`, one second to connect, half a second for an answer:
    /// together with one repetition over a fresh connection, two seconds at most.
    pub fn new(url: StoreUrl) -> Self {
        Self {
            url,
            sentinel_login: RedisLogin::default(),
            wait_replicas: 0,
            key_prefix: KeyPrefix::default(),
            near_cache: None,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            tls: RedisTls::default(),
        }
    }

    /// Where the data is. Nobody is asked.
    pub(super) fn deployment(&self, url: &RedisUrl) -> Result<Deployment, BadStoreSettings> {
        let settings = ConnectSettings {
            sentinel_login: &self.sentinel_login,
            tls: &self.tls,
            timeouts: Timeouts {
                connect: self.connect_timeout,
                answer: self.timeout,
            },
        };
        Deployment::new(url, &settings)
            .map_err(|error| BadStoreSettings::new(format!("store: {error}")))
    }
}

/// What every key begins with: letters, digits, `-`, `_`, `.` and `:`. Braces would move the
/// cluster's hash tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Longest prefix: it is paid for in every key of every session.
    pub const MAX: usize = 32;

    /// Checks a prefix.
    pub fn new(text: &str) -> Result<Self, BadStoreSettings> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadStoreSettings::new(format!(
                "a key prefix has 1 to {} letters, digits, `-`, `_`, `.` or `:`, such as `hufu`",
                Self::MAX
            )))
        }
    }

    /// The prefix, without the colon that follows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("hufu".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn nothing_prints_a_password() {
        let mut settings =
            StoreSettings::new(StoreUrl::parse("rediss://hufu:tiger@h:1/2").unwrap());
        settings.tls.key = Some(Secret::new(b"tiger".to_vec()));
        settings.sentinel_login.password = Some(Secret::new("tiger".to_owned()));
        assert!(!format!("{settings:?} {}", settings.url).contains("tiger"));
        assert_eq!(settings.url.to_string(), "rediss://h:1/2");
    }

    #[test]
    fn a_prefix_cannot_move_the_hash_tag() {
        assert_eq!(KeyPrefix::new("hufu:eu-1").unwrap().as_str(), "hufu:eu-1");
        for wrong in ["", "a b", "{a}", "a*", "a\n", "ü", &"a".repeat(33)] {
            assert!(KeyPrefix::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
