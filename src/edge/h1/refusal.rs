//! Why the parser refuses a request: the error code and the sentence that the client gets.

use crate::http::{ErrorCode, GatewayError};

/// A refused request. The connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRefusal {
    pub code: ErrorCode,
    /// The sentence for whoever wrote the client.
    pub detail: &'static str,
}

impl RequestRefusal {
    /// No complete head in time.
    pub const LATE: Self = Self::new(
        ErrorCode::RequestTimeout,
        "The request's head did not come in time.",
    );
    /// More header lines, or longer ones, than the gateway takes.
    pub const HEAD_TOO_LARGE: Self = Self::new(
        ErrorCode::HeadTooLarge,
        "The request's head is too large: too many headers, or too long ones.",
    );
    /// A target over the limit.
    pub const URI_TOO_LONG: Self = Self::new(
        ErrorCode::UriTooLong,
        "The request target is too long; move data into the body.",
    );
    /// A method that no session gateway passes on.
    pub const METHOD: Self = Self::new(
        ErrorCode::MethodNotAllowed,
        "CONNECT, TRACE and unknown methods are not forwarded.",
    );
    /// Another version of HTTP.
    pub const VERSION: Self = Self::new(
        ErrorCode::VersionUnsupported,
        "This listener speaks HTTP/1.1 and HTTP/1.0; a load balancer before it can speak HTTP/2.",
    );
    /// An `Expect` that nobody can meet.
    pub const EXPECTATION: Self = Self::new(
        ErrorCode::ExpectationFailed,
        "The only expectation that is met is \"100-continue\".",
    );
    /// A WebSocket handshake of another version.
    pub const WEBSOCKET_VERSION: Self = Self::new(
        ErrorCode::WebsocketVersionUnsupported,
        "The version of the WebSocket protocol is 13.",
    );
    /// Line ends that servers read differently.
    pub const LINE_END: Self = Self::malformed(
        "Lines of a request's head must end with CR LF, and neither may occur elsewhere.",
    );
    /// Bytes that have no place in a head.
    pub const CONTROL: Self = Self::malformed("The request's head holds a control character.");

    const fn new(code: ErrorCode, detail: &'static str) -> Self {
        Self { code, detail }
    }

    /// A head that is not sound HTTP.
    pub const fn malformed(detail: &'static str) -> Self {
        Self::new(ErrorCode::RequestInvalid, detail)
    }

    /// A target that servers read differently.
    pub const fn target(detail: &'static str) -> Self {
        Self::new(ErrorCode::PathInvalid, detail)
    }

    /// Not a WebSocket handshake, although it says so.
    pub const fn handshake(detail: &'static str) -> Self {
        Self::new(ErrorCode::UpgradeInvalid, detail)
    }

    /// The error that the client gets.
    pub fn error(self) -> GatewayError {
        let error = GatewayError::new(self.code, self.detail).closing();
        // Nothing knows yet whose path it is: what can be sent at all.
        if self.code == ErrorCode::MethodNotAllowed {
            error.allow("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        } else {
            error
        }
    }
}
