//! What the handlers know of the connection of a request, and learn of it later.

use std::cell::Cell;
use std::rc::Rc;

use crate::http::error::{ErrorCode, GatewayError};

/// A client's connection. It belongs to one worker, and has one request under way.
#[derive(Debug, Clone, Default)]
pub struct ConnectionInfo(Rc<ConnectionState>);

#[derive(Debug, Default)]
struct ConnectionState {
    secure: Cell<bool>,
    nameless: Cell<bool>,
    body_stalled: Cell<bool>,
    left: Cell<bool>,
    stalled: Cell<bool>,
    cut: Cell<bool>,
}

impl ConnectionInfo {
    /// A connection that came with TLS, or without.
    pub fn new(secure: bool) -> Self {
        let connection = Self::default();
        connection.0.secure.set(secure);
        connection
    }

    /// Whether it came with TLS.
    pub fn is_secure(&self) -> bool {
        self.0.secure.get()
    }

    /// The balancer did not say whose connection it is.
    pub fn came_nameless(&self) {
        self.0.nameless.set(true);
    }

    /// Whether the balancer did not say whose connection it is. What comes on it are some client's
    /// own bytes, though the peer is trusted.
    pub fn is_nameless(&self) -> bool {
        self.0.nameless.get()
    }

    /// The client has stopped sending its body.
    pub fn body_stalled(&self) {
        self.0.body_stalled.set(true);
    }

    /// The client has closed its side, or is gone.
    pub fn client_left(&self) {
        self.0.left.set(true);
    }

    /// Whether the client has closed its side, or is gone.
    pub fn has_left(&self) -> bool {
        self.0.left.get()
    }

    /// The client has taken nothing for too long.
    pub fn write_stalled(&self) {
        self.0.stalled.set(true);
    }

    /// Whether the client has taken nothing for too long.
    pub fn has_stalled(&self) -> bool {
        self.0.stalled.get()
    }

    /// The answer under way goes no further, though it is not out in full.
    pub fn answer_cut(&self) {
        self.0.cut.set(true);
    }

    /// Whether the last answer did not go out in full.
    pub fn was_cut(&self) -> bool {
        self.0.cut.get()
    }

    /// The error of a request whose body broke off, said as what it was: a client that was silent
    /// for too long.
    pub fn blamed(&self, error: GatewayError) -> GatewayError {
        if self.blamed_code(error.code) == error.code {
            error
        } else {
            GatewayError::new(
                ErrorCode::RequestTimeout,
                "The request's body did not come in time.",
            )
            .closing()
        }
    }

    /// The same of a code, where the answer has begun.
    pub fn blamed_code(&self, code: ErrorCode) -> ErrorCode {
        if code == ErrorCode::BodyBroken && self.0.body_stalled.get() {
            ErrorCode::RequestTimeout
        } else {
            code
        }
    }
}
