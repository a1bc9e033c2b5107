//! The error of this client.

/// No answer that could be used. Nothing is known of what the servers hold, nor whether the request
/// was carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct ClientError {
    /// In the words of an operator, for the log: the server, what happened, and what to look at.
    pub reason: String,
    /// Whether a server has answered, with an error (`OOM`, `NOPERM`, a script's own); `false`: it
    /// is down, silent, or not to be found.
    pub answered: bool,
}

impl ClientError {
    /// Without an answer.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            answered: false,
        }
    }
}
