//! A client of the listener, as it is configured.

use std::fmt;
use std::sync::Arc;

use super::paths::PathPattern;
use crate::identity::App;
use crate::limit::Quota;
use crate::secret::Secret;

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    pub name: Arc<str>,
    /// One, or two while one is exchanged for the other.
    pub secrets: Vec<Secret<String>>,
    pub apps: Vec<CallableApp>,
    pub allow: Vec<PathPattern>,
    /// `None`: no limit.
    pub rate: Option<Quota>,
    /// Calls at once.
    pub max_concurrent: usize,
    /// Whether it may have data signed with users' session_keys.
    pub sign: bool,
    /// The apps whose real access token it gets; each is also among `apps`.
    pub real_token: Vec<CallableApp>,
}

/// An app that a client may call for: `NAME`, or `NAME/APPID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallableApp {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The id of the one app for which it acts here; `None`: of all, where it acts for others.
    pub authorizer: Option<Arc<str>>,
}

impl CallableApp {
    /// Whether another one is the same, or one of these.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.name == other.name
            && (self.authorizer.is_none() || self.authorizer == other.authorizer)
    }

    pub(super) fn of(app: &App) -> Self {
        Self {
            name: app.name.clone(),
            authorizer: app.authorizer().cloned(),
        }
    }
}

impl fmt::Display for CallableApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.authorizer {
            Some(appid) => write!(f, "/{appid}"),
            None => Ok(()),
        }
    }
}
