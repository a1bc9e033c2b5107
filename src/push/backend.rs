//! The seam between a message and the backend that gets it.

use std::time::Duration;

use async_trait::async_trait;

use super::messages::MessageContent;
use super::settings::PushSettings;

/// Longest answer of a backend that is passed on, in bytes: it is kept for the platform's retries.
pub const ANSWER_MAX: usize = 64 * 1024;
/// The longest that a delivery takes, whatever the upstream's own times are.
pub const DELIVERY_MAX: Duration = Duration::from_secs(15);

/// A message on its way to the backend.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    pub settings: &'a PushSettings,
    pub content: &'a MessageContent,
}

/// Why a backend has not taken a message: for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct BackendError {
    pub reason: String,
}

/// Takes messages.
#[async_trait(?Send)]
pub trait PushBackend {
    /// Hands a message over, within [`DELIVERY_MAX`]; the body of a 2xx. A longer one than
    /// [`ANSWER_MAX`] counts as empty: the backend has the message.
    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Vec<u8>, BackendError>;
}
