//! What hangs on a user's session_key: data that the platform's client has sealed under it, the
//! check of the key, its reset; and the phone number behind a code.
//!
//! - `keeping`: what of it becomes a claim
//! - `opening`: data, keys and what is demanded of the two; pure
//! - `phone`: phone numbers, each of which costs the operator money
//! - `session_key`: what the platform says of a key
//! - `unstored`: answers to phone codes that the store could not take

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::monotonic_now;
use crate::identity::app::{App, Apps};
use crate::identity::app_token_source::{AppTokenError, AppTokenSource};
use crate::identity::capability::PhoneNumbers;
use crate::identity::exchange_error::{ExchangeError, PlatformCode};
use crate::identity::login_codes::LoginCodes;
use crate::identity::platform_trouble::PlatformTrouble;
use crate::limit::{LimitRefusal, Limiter, Policy, Quota};
use crate::metrics::{AppOperation, Metrics};
use crate::session::{Claims, SessionId, SessionKeys, SessionService, StoreError, UserKey, Users};

mod keeping;
mod opening;
mod phone;
mod session_key;
mod unstored;

use keeping::Source;

pub use keeping::KeptField;
pub use opening::{SealedData, Signed};
pub use unstored::UnstoredAnswers;

/// Data that is refused leaves so long after the work on it began: far longer than the work takes,
/// so that the moment says nothing of it.
const REFUSED_AFTER: Duration = Duration::from_millis(10);

/// What the operator has decided about open data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDataRules {
    /// How old data may be; `None`: any age.
    pub max_age: Option<Duration>,
    /// How often one user may ask for a phone number.
    pub phone_limit: Option<Quota>,
    /// Which fields become claims of the user.
    pub keep: Vec<KeptField>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Was just found alive.
    pub session: SessionId,
    pub user: UserKey,
    /// Those of the session.
    pub claims: Claims,
    /// The id of the request, for the log.
    pub request_id: String,
}

/// Why something is not given, named for what the client can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenDataError {
    /// The session's app is not configured any more.
    #[error("no such app")]
    AppUnknown,
    #[error("the platform does not give this")]
    Unsupported,
    /// The data does not open, or is not what it has to be. It does not say more: CBC has no MAC,
    /// and whoever learnt what is wrong could make data of their own.
    #[error("the open data is refused")]
    Invalid,
    /// There is no session_key, or the platform takes it no more.
    #[error("no session_key is left")]
    KeyGone { login_call: &'static str },
    /// The session has ended meanwhile.
    #[error("the session has ended")]
    SessionGone,
    #[error("not a phone code: {0}")]
    CodeMalformed(&'static str),
    /// The platform refused the phone code.
    #[error("the platform refused the code ({platform_code})")]
    CodeInvalid {
        platform_code: PlatformCode,
        /// As in `PhoneNumbers`.
        other_codes: &'static str,
    },
    /// The platform may have taken the phone code, and there is no answer.
    #[error("nobody knows whether the platform has taken the code")]
    CodeLost,
    /// The platform may have reset the session_key, and there is no answer.
    #[error("nobody knows whether the platform has reset the key")]
    ResetLost { login_call: &'static str },
    #[error(transparent)]
    Limited(#[from] LimitRefusal),
    #[error(transparent)]
    Platform(#[from] PlatformTrouble),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenDataError {
    /// The word for the metric, the same as the error code of the answer.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::AppUnknown => "app_unknown",
            Self::Unsupported => "unsupported_by_platform",
            Self::Invalid => "open_data_invalid",
            Self::KeyGone { .. } => "session_key_gone",
            Self::SessionGone => "session_expired",
            Self::CodeMalformed(_) | Self::CodeInvalid { .. } => "code_invalid",
            Self::CodeLost | Self::ResetLost { .. } => "platform_unavailable",
            Self::Limited(_) => "rate_limited",
            Self::Platform(trouble) => trouble.outcome(),
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// The open data of all apps.
#[derive(Clone)]
pub struct OpenDataFlow {
    pub apps: Arc<Apps>,
    pub sessions: Arc<SessionService>,
    pub keys: Arc<dyn SessionKeys>,
    pub users: Arc<dyn Users>,
    pub codes: Arc<dyn LoginCodes>,
    /// Of the whole process.
    pub unstored: Arc<UnstoredAnswers>,
    pub tokens: Arc<dyn AppTokenSource>,
    pub limiter: Limiter,
    pub rules: OpenDataRules,
    pub metrics: Arc<Metrics>,
}

impl OpenDataFlow {
    /// Opens data that the platform's client has sealed for this user and app.
    pub async fn open(
        &self,
        asker: &Asker,
        sealed: &SealedData,
    ) -> Result<Map<String, Value>, OpenDataError> {
        let opened = self.opened(asker, sealed).await;
        let outcome = match &opened {
            Ok((_, 0)) => "ok",
            Ok(_) => "ok_older_key",
            Err(error) => error.outcome(),
        };
        self.count(asker, "decrypt", outcome);
        let (data, _) = opened?;
        if !self.rules.keep.is_empty() {
            let signed = sealed.signed_fields();
            let source = Source::Sealed {
                signed: signed.as_ref(),
            };
            self.keep(asker, &self.app(&asker.user)?, &data, &source)
                .await;
        }
        Ok(data)
    }

    async fn opened(
        &self,
        asker: &Asker,
        sealed: &SealedData,
    ) -> Result<(Map<String, Value>, usize), OpenDataError> {
        let app = &self.app(&asker.user)?;
        let platform = app.open_data().ok_or(OpenDataError::Unsupported)?;
        self.admit(&asker.user).await?;
        let (keys, now) = tokio::try_join!(
            self.keys.session_keys(&asker.user),
            self.sessions.store().now()
        )?;
        if keys.is_empty() {
            return Err(Self::key_gone(app));
        }
        let demands = opening::Demands {
            appid: &app.appid,
            subject: &asker.user.subject,
            now,
            max_age: self.rules.max_age,
        };
        let started = monotonic_now();
        match opening::open(platform, &keys, sealed, &demands) {
            Ok(opened) => Ok(opened),
            Err(fault) => {
                log::info!(app = &*app.name, request_id = asker.request_id.as_str(); "open data refused: {fault}");
                let took = monotonic_now().saturating_duration_since(started);
                tokio::time::sleep(REFUSED_AFTER.saturating_sub(took)).await;
                Err(OpenDataError::Invalid)
            }
        }
    }

    fn app(&self, user: &UserKey) -> Result<App, OpenDataError> {
        self.apps
            .of_user(user)
            .filter(|app| app.provider.kind() == user.provider)
            .ok_or(OpenDataError::AppUnknown)
    }

    fn key_gone(app: &App) -> OpenDataError {
        let login_call = app.provider.login_call();
        OpenDataError::KeyGone { login_call }
    }

    /// Takes one from what a user may ask under their session_key.
    async fn admit(&self, user: &UserKey) -> Result<(), OpenDataError> {
        let policy = Policy::OpenData;
        let limit = self.sessions.limit_of(policy, user, Quota::OPEN_DATA);
        Ok(self.limiter.admit(policy, limit).await?)
    }

    fn count(&self, asker: &Asker, operation: &'static str, outcome: &'static str) {
        self.metrics
            .login
            .open_data
            .get_or_create(&AppOperation {
                app: asker.user.app.to_string(),
                operation,
                outcome,
            })
            .inc();
    }

    fn no_token(asker: &Asker, operation: &str, error: AppTokenError) -> OpenDataError {
        let error = match error {
            AppTokenError::Unsupported => return OpenDataError::Unsupported,
            AppTokenError::Store(error) => return error.into(),
            error => error,
        };
        let asked = format!("{operation}: no access_token");
        ExchangeError::from(error)
            .trouble(&asked, &asker.user.app, &asker.request_id)
            .into()
    }

    /// What a refusal of the platform's means to the client; the rest is for the log.
    fn refused(asker: &Asker, app: &App, operation: &str, error: ExchangeError) -> OpenDataError {
        match error {
            ExchangeError::BadCode { platform_code }
            | ExchangeError::CodeUsed { platform_code }
            | ExchangeError::UserBlocked { platform_code } => OpenDataError::CodeInvalid {
                platform_code,
                other_codes: app.phone_numbers().map_or("", PhoneNumbers::other_codes),
            },
            error => error
                .trouble(operation, &app.name, &asker.request_id)
                .into(),
        }
    }
}
