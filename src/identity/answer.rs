//! The answer of a login.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A login that worked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginAnswer {
    /// The token, for the client alone.
    pub token: String,
    /// The session's public name.
    pub session_id: String,
    /// The app's name.
    pub app: String,
    /// Until the session ends unused.
    pub expires_in: Duration,
    /// Until it ends in any case.
    pub absolute_expires_in: Duration,
}
