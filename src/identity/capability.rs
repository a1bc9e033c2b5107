//! What a platform can do for an app beside the login. An [`App`](super::App) has such an ability or
//! has not; none of these has a method that only fails.

use std::time::Duration;

use async_trait::async_trait;

use serde::{Deserialize, Serialize};

use super::exchange_error::ExchangeError;
use super::token_use::TokenUse;
use crate::crypto::open_data::{self, Opened};
use crate::secret::Secret;

/// Reads what the platform's client has sealed under a user's session_key: as most platforms seal
/// it, AES-128-CBC under the session_key, signed with SHA-1.
pub trait OpenData: Send + Sync {
    /// Opens `encrypted_data`. For which app it was sealed and when, its watermark says: the caller
    /// compares it.
    fn open(&self, session_key: &Secret<String>, iv: &str, encrypted_data: &str) -> Opened {
        open_data::open(session_key.expose(), iv, encrypted_data)
    }

    /// The signature that the client's `raw_data` must have.
    fn signature(&self, session_key: &Secret<String>, raw_data: &str) -> String {
        open_data::signature(raw_data, session_key.expose())
    }
}

/// Knows the phone number behind a code of its phone number button. Each answer costs money.
#[async_trait]
pub trait PhoneNumbers: Send + Sync {
    /// Which codes clients take for those of the button, for people.
    fn other_codes(&self) -> &'static str;

    /// Asks once, in the name of this user, and never again where the platform may have taken the
    /// code.
    async fn phone_number(
        &self,
        token: &Secret<String>,
        code: &str,
        subject: &str,
    ) -> TokenUse<Result<PhoneNumber, UserCallError>>;
}

/// Checks and resets users' session_keys.
#[async_trait]
pub trait SessionKeyApi: Send + Sync {
    /// Whether the platform still takes the key.
    async fn check(
        &self,
        token: &Secret<String>,
        subject: &str,
        session_key: &Secret<String>,
    ) -> TokenUse<Result<bool, UserCallError>>;

    /// Has the platform draw another one, and end this one.
    async fn reset(
        &self,
        token: &Secret<String>,
        subject: &str,
        session_key: &Secret<String>,
    ) -> TokenUse<Result<ResetKey, UserCallError>>;
}

/// A phone number, as the client gets it. It does not print itself: logs are no place for it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PhoneNumber {
    pub phone_number: String,
    pub pure_phone_number: String,
    pub country_code: String,
}

/// What came of a reset.
pub enum ResetKey {
    Fresh(Secret<String>),
    /// The platform does not take the key that was to be reset.
    Stale,
}

/// Why a call about a user brought nothing.
#[derive(Debug)]
pub enum UserCallError {
    /// The platform has not done it.
    Refused(ExchangeError),
    /// The platform may have done it, and has not answered in full; why, for the log.
    Lost { reason: String },
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

/// Gives tickets of the app's, with which its pages in the platform's browser are signed.
#[async_trait]
pub trait AppTickets: Send + Sync {
    /// Fetches one within the app's timeout, with a token of the app's.
    async fn fetch(
        &self,
        kind: TicketKind,
        token: &Secret<String>,
    ) -> TokenUse<Result<GrantedToken, ExchangeError>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketKind {
    Page,
    Card,
}

impl TicketKind {
    pub const ALL: [Self; 2] = [Self::Page, Self::Card];

    /// Its name at the platform, and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "jsapi",
            Self::Card => "wx_card",
        }
    }
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
