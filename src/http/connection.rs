//! What the handlers know of the connection of a request, and learn of it later.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use crate::http::error::{ErrorCode, GatewayError};

/// A client's connection. It belongs to one worker, and has one request under way.
#[derive(Debug, Default)]
pub struct ConnectionInfo {
    /// The address of its client, or of the proxy before that; `None`: it came over a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whether it came with TLS.
    pub is_secure: bool,
    /// Whether the balancer did not say whose connection it is. What comes on it are some client's
    /// own bytes, though the peer is trusted.
    pub is_nameless: bool,
    /// Whether the client has stopped sending its body.
    pub body_stalled: Cell<bool>,
    /// Whether the client has closed its side, or is gone.
    pub client_left: Cell<bool>,
    /// Whether the client has taken nothing for too long.
    pub write_stalled: Cell<bool>,
    /// Whether the last answer did not go out in full.
    pub answer_cut: Cell<bool>,
}

impl ConnectionInfo {
    /// The address of the peer. Whoever may write to a Unix socket is on this machine.
    pub fn peer(&self) -> IpAddr {
        self.peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
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
        if code == ErrorCode::BodyBroken && self.body_stalled.get() {
            ErrorCode::RequestTimeout
        } else {
            code
        }
    }
}
