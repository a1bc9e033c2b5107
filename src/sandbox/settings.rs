//! How the simulator behaves.

use std::time::Duration;

use crate::secret::Secret;

/// An app that the simulator knows.
#[derive(Debug, Clone)]
pub struct SandboxApp {
    pub appid: String,
    /// Its secret; another one is refused with 40125.
    pub secret: Secret<String>,
}

/// Which apps may call.
#[derive(Debug, Clone, Default)]
pub enum AcceptedApps {
    /// Every appid with any secret, as long as neither is empty.
    #[default]
    Any,
    /// These; any other appid is refused with 40013.
    Only(Vec<SandboxApp>),
}

/// The simulator's settings.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Which apps may call.
    pub apps: AcceptedApps,
    /// Whether a code that was never issued is good once, for a user of its name: for demos, so
    /// that `wx.login` codes of the developer tools and codes that a person types both work.
    pub accept_unknown_codes: bool,
    /// How long a code is good. WeChat's: five minutes.
    pub code_ttl: Duration,
    /// How old a session_key must be before another `wx.login` replaces it. WeChat tells only that
    /// there is such a minimum; zero replaces it at every login.
    pub rotate_after: Duration,
    /// How many exchanges one user gets in a minute before 45011. An older page of WeChat's says
    /// 100.
    pub logins_per_minute: u32,
    /// How long an access_token lives. WeChat's: two hours.
    pub token_life: Duration,
}

impl Default for SandboxSettings {
    /// Any app, issued codes only, five minutes, a new session_key after one minute, 100 logins a
    /// minute, access_tokens of two hours.
    fn default() -> Self {
        Self {
            apps: AcceptedApps::Any,
            accept_unknown_codes: false,
            code_ttl: Duration::from_secs(300),
            rotate_after: Duration::from_secs(60),
            logins_per_minute: 100,
            token_life: Duration::from_secs(7200),
        }
    }
}
