//! What a platform can do for an app beside the login. An [`App`](super::App) has such an ability or
//! has not; none of these has a method that only fails.

use std::time::Duration;

use async_trait::async_trait;

use super::exchange_error::ExchangeError;
use crate::crypto::open_data::BadOpenData;
use crate::secret::Secret;

/// Reads what the platform's client has sealed under a user's session_key.
pub trait OpenData: Send + Sync {
    /// Opens `encrypted_data`. For which app it was sealed and when, its watermark says: the caller
    /// compares it.
    fn open(
        &self,
        session_key: &Secret<String>,
        iv: &str,
        encrypted_data: &str,
    ) -> Result<Vec<u8>, BadOpenData>;

    /// The signature that the client's `raw_data` must have.
    fn signature(&self, session_key: &Secret<String>, raw_data: &str) -> String;
}

/// Gives tokens of the app's own, which the platform's other APIs take.
#[async_trait]
pub trait AppToken: Send + Sync {
    /// How the operator wants the app's tokens to be fetched.
    fn grant(&self) -> TokenGrant;

    /// Fetches one within the app's timeout. Neither the permits nor the breaker of logins count
    /// here.
    async fn fetch(&self, grant: TokenGrant) -> Result<GrantedToken, ExchangeError>;
}

/// How a token is fetched, where a platform has two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenGrant {
    /// While the last one is good, it is the same again; no fetch ends another one early.
    #[default]
    Stable,
    /// A new one each time, which soon ends the one before.
    Classic,
}

/// A token of an app's.
#[derive(Debug, Clone)]
pub struct GrantedToken {
    pub token: Secret<String>,
    pub expires_in: Duration,
}
