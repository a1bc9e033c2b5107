//! Why an upstream did not answer: the error for the client, the metric's label and the log line.

use std::sync::Arc;
use std::time::Duration;

use crate::http::{ErrorCode, GatewayError};
use crate::proxy::inbound;
use crate::proxy::session_watch::{NotAgain, SessionEnd};
use crate::session::StoreError;
use crate::telemetry::Throttle;
use crate::upstream_client::response_head::BadAnswer;
use crate::upstream_client::upload::UploadError;

/// The outcome of a request whose client left, or broke off its body: a word of docs/metrics.md.
pub const CLIENT_LEFT: &str = "client_left";
/// When somebody may come back whom a full upstream turned away.
const COME_BACK: Duration = Duration::from_secs(1);

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection.
    #[error("cannot connect to {endpoint}: {reason}")]
    Unreachable {
        endpoint: Arc<str>,
        /// For the log.
        reason: String,
    },
    /// No connection, for want of a descriptor or a port of the gateway's own.
    #[error("cannot open a connection to {endpoint}: {reason}")]
    Starved {
        endpoint: Arc<str>,
        /// For the log.
        reason: String,
    },
    /// Nothing is known of where its host names lead.
    #[error("no address yet: cannot resolve the host names")]
    Unresolved,
    /// Silent for longer than the upstream's timeout.
    #[error("{endpoint} gave no answer within {}", humantime::format_duration(*.timeout))]
    Timeout {
        /// Who.
        endpoint: Arc<str>,
        /// For how long it was waited.
        timeout: Duration,
    },
    /// It answered something that is no answer.
    #[error("{endpoint} gave no usable answer: {why}")]
    Broken {
        /// Who.
        endpoint: Arc<str>,
        /// What was wrong with it.
        why: BadAnswer,
    },
    /// As many requests as may be are under way, and as many as may wait do.
    #[error("max_concurrent requests are in flight, and the queue is full or too slow")]
    Full,
    /// Health checks found every endpoint unhealthy.
    #[error("all endpoints are unhealthy")]
    AllUnhealthy,
    /// The client's body does not get through.
    #[error("{0}")]
    Client(UploadError),
    /// The session ended, or the route let it in no more, before there was an answer.
    #[error("the session was no longer let in before there was an answer: {}", .0.code().word())]
    SessionEnded(SessionEnd),
    /// The request had to wait, and nobody could say after that whether its session lives. The
    /// upstream has nothing of it.
    #[error("the session cannot be looked up after the wait for a place: {0}")]
    SessionUnknown(StoreError),
    /// The process ends, and there was no answer in the time that was left.
    #[error("no answer before the process ends")]
    ShuttingDown,
}

impl From<NotAgain> for UpstreamError {
    fn from(error: NotAgain) -> Self {
        match error {
            NotAgain::Ended(end) => Self::SessionEnded(end),
            NotAgain::Unknown(error) => Self::SessionUnknown(error),
        }
    }
}

impl UpstreamError {
    /// Whether it says something of the endpoint's health.
    pub const fn is_the_endpoints(&self) -> bool {
        !matches!(
            self,
            Self::Client(_)
                | Self::Starved { .. }
                | Self::Broken {
                    why: BadAnswer::Leftover,
                    ..
                }
        )
    }
}

/// The word for the metric and the error for the client.
pub fn client_error(error: &UpstreamError) -> (&'static str, GatewayError) {
    use ErrorCode as E;
    let (outcome, code, detail) = match error {
        UpstreamError::Unreachable { .. } => (
            "unreachable",
            E::UpstreamUnreachable,
            "The backend of this route does not accept connections.",
        ),
        UpstreamError::Unresolved => (
            "unreachable",
            E::UpstreamUnreachable,
            "The backend of this route has no address yet.",
        ),
        UpstreamError::Timeout { .. } => (
            "timeout",
            E::UpstreamTimeout,
            "The backend of this route did not answer in time.",
        ),
        UpstreamError::Broken { .. } => (
            "broken",
            E::UpstreamError,
            "The backend of this route gave an answer that cannot be used.",
        ),
        UpstreamError::Full | UpstreamError::AllUnhealthy => (
            "unavailable",
            E::UpstreamUnavailable,
            "The backend of this route takes no more requests right now. Try again later.",
        ),
        UpstreamError::Starved { .. } => (
            "unavailable",
            E::UpstreamUnavailable,
            "The gateway cannot open another connection to a backend right now. Try again later.",
        ),
        UpstreamError::Client(UploadError::Left) => (
            CLIENT_LEFT,
            E::BodyBroken,
            "The request's body ended before its announced end.",
        ),
        UpstreamError::Client(UploadError::TooLarge) => {
            return (CLIENT_LEFT, inbound::too_large().closing());
        }
        UpstreamError::SessionEnded(end) => return (end.code().word(), GatewayError::from(*end)),
        UpstreamError::SessionUnknown(error) => {
            let answer = GatewayError::from(error.clone());
            return (answer.code.word(), answer);
        }
        UpstreamError::ShuttingDown => (
            "shutting_down",
            E::ShuttingDown,
            "The gateway is shutting down, and the backend of this route has not answered in time.",
        ),
    };
    let answer = GatewayError::new(code, detail);
    let answer = match code {
        E::UpstreamUnavailable => answer.retry_after(COME_BACK),
        E::BodyBroken | E::ShuttingDown => answer.closing(),
        _ => answer,
    };
    (outcome, answer)
}

/// A line in the log, where it is not the client's own doing.
pub fn log_failure(error: &UpstreamError, upstream: &str, request_id: &str) {
    /// A full upstream turns away as many as come; the access lines name each of them.
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
    match error {
        // The error of the store has its own line.
        UpstreamError::Client(_)
        | UpstreamError::SessionEnded(_)
        | UpstreamError::SessionUnknown(_)
        | UpstreamError::ShuttingDown => {}
        UpstreamError::Full | UpstreamError::AllUnhealthy | UpstreamError::Starved { .. } => {
            if let Some(silent) = THROTTLE.admit() {
                log::warn!(upstream, request_id; "{error}{silent}");
            }
        }
        _ => log::warn!(upstream, request_id; "{error}"),
    }
}
