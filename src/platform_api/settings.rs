//! A client of the listener, as it is configured.

use std::sync::Arc;

use super::paths::PathPattern;
use crate::limit::Quota;
use crate::secret::Secret;

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    pub name: Arc<str>,
    /// One, or two while one is exchanged for the other.
    pub secrets: Vec<Secret<String>>,
    /// The apps that it may call for, by their names.
    pub apps: Vec<Arc<str>>,
    pub allow: Vec<PathPattern>,
    /// `None`: no limit.
    pub rate: Option<Quota>,
    /// Calls at once.
    pub max_concurrent: usize,
    /// Whether it may have data signed with users' session_keys.
    pub sign: bool,
    /// The apps whose real access token it gets; each is also among `apps`.
    pub real_token: Vec<Arc<str>>,
}
