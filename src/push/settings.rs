//! What the configuration says of the messages that an app's platform pushes.

use std::sync::Arc;

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
    /// The upstream that gets the messages.
    pub upstream: Arc<str>,
    /// Where it gets them.
    pub path: String,
    /// What the platform is answered when the backend has nothing to say.
    pub ack: String,
}
