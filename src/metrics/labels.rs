//! The labels that several subjects share: few values each, so that no client can make series.

use prometheus_client::encoding::EncodeLabelSet;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// A word of docs/metrics.md.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppLabel {
    /// The app's name in the configuration.
    pub app: String,
}

impl AppLabel {
    pub fn new(app: &str) -> Self {
        Self {
            app: app.to_owned(),
        }
    }
}

/// An app and what came of a login, of the fetch of an access token, or of a pushed message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppOutcome {
    /// The app's name in the configuration.
    pub app: String,
    /// `ok`, `replayed`, or an error code of docs/errors.md; of a fetch also `same` and `late`; of a
    /// message a word of docs/metrics.md.
    pub outcome: &'static str,
}

impl AppOutcome {
    pub fn new(app: &str, outcome: &'static str) -> Self {
        Self {
            app: app.to_owned(),
            outcome,
        }
    }
}

/// An operation on an app's open data or on one of its users.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppOperation {
    /// The app's name in the configuration.
    pub app: String,
    /// `decrypt`, `phone`, `status` or `reset`; of a user `claims`, `block` or `unblock`.
    pub operation: &'static str,
    /// `ok`, `ok_older_key`, `replayed`, `stale`, or an error code of docs/errors.md.
    pub outcome: &'static str,
}
