//! What the configuration says of the messages that an app's platform pushes.

use std::sync::Arc;

use super::messages::PushOwner;
use crate::crypto::push::PushKey;
use crate::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSettings {
    /// The app's name in the configuration.
    pub app: Arc<str>,
    /// Its id, which stands in sealed messages.
    pub appid: Arc<str>,
    /// The name of its platform.
    pub provider: &'static str,
    /// What the backend reads as the source of such a request.
    pub source: &'static str,
    /// The token of the console, which signs.
    pub token: Secret<String>,
    /// Seals messages; `None`: they come as they are.
    pub key: Option<PushKey>,
    /// Who gets the messages. The events of an app that acts for others are the gateway's, so this
    /// is who gets the messages to these others; `None`: they are not taken.
    pub backend: Option<PushTarget>,
    /// What the platform is answered when the backend has nothing to say.
    pub ack: String,
}

impl PushSettings {
    /// Whose messages these are in the store.
    #[must_use]
    pub fn owner(&self) -> PushOwner<'_> {
        PushOwner {
            app: &self.app,
            appid: &self.appid,
        }
    }
}

/// The backend of an app's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTarget {
    /// The name of an upstream.
    pub upstream: Arc<str>,
    pub path: String,
}
