//! What the gate and the handlers of one connection tell each other. A connection belongs to one worker, and has one request under way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use actix_web::HttpRequest;

use crate::http::error::{ErrorCode, GatewayError};

/// The connection of a request, found with `HttpRequest::conn_data`.
#[derive(Debug, Clone, Default)]
pub struct Connection(Rc<State>);

#[derive(Debug, Default)]
struct State {
    secure: Cell<bool>,
    nameless: Cell<bool>,
    answered: Cell<bool>,
    closing: Cell<bool>,
    body_late: Cell<bool>,
    wants_body: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    refused: RefCell<Option<RefusedHead>>,
}

/// A head that the gate has refused, and what it could make out of it for the access line.
#[derive(Debug)]
pub struct RefusedHead {
    /// The answer.
    pub error: GatewayError,
    /// The method, if it was one.
    pub method: String,
    /// The path without the query, if there was one.
    pub path: String,
    /// When it was refused.
    pub at: Instant,
}

/// The error of a request whose body broke off, said as what it was: a client that was silent for too long.
#[must_use]
pub fn blamed(req: &HttpRequest, error: GatewayError) -> GatewayError {
    match req.conn_data::<Connection>() {
        Some(connection) if error.code == ErrorCode::BodyBroken && connection.is_body_late() => {
            GatewayError::new(ErrorCode::RequestTimeout, "The request's body did not come in time.").closing()
        }
        _ => error,
    }
}

impl Connection {
    /// A connection that came with TLS.
    #[must_use]
    pub fn secure() -> Self {
        let connection = Self::default();
        connection.0.secure.set(true);
        connection
    }

    /// Whether it came with TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.secure.get()
    }

    /// The balancer did not say whose connection it is.
    pub fn is_nobodys(&self) {
        self.0.nameless.set(true);
    }

    /// Whether the balancer did not say whose connection it is. What comes on it are some client's own bytes, though the peer is trusted.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.0.nameless.get()
    }

    /// The whole answer of the request under way has been made.
    pub fn answer_made(&self) {
        self.0.answered.set(true);
    }

    /// Whether the whole answer has been made, and that it has been noticed.
    #[must_use]
    pub fn take_answer(&self) -> bool {
        self.0.answered.replace(false)
    }

    /// The answer says that the connection ends.
    pub fn close(&self) {
        self.0.closing.set(true);
    }

    /// Whether an answer has said that the connection ends.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.closing.get()
    }

    /// The client has stopped sending its body.
    pub fn body_is_late(&self) {
        self.0.body_late.set(true);
    }

    /// Whether the body broke off because its client was silent for too long.
    #[must_use]
    pub fn is_body_late(&self) -> bool {
        self.0.body_late.get()
    }

    /// A handler reads the body of a request whose client waits for "100 Continue".
    pub fn want_body(&self) {
        self.0.wants_body.set(true);
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }

    /// Whether a handler reads such a body.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        self.0.wants_body.get()
    }

    /// A request begins whose client waits for "100 Continue"; `reader` is woken when its body is wanted.
    pub fn await_want(&self, reader: Waker) {
        self.0.wants_body.set(false);
        self.0.reader.replace(Some(reader));
    }

    /// Leaves word of a refused head.
    pub fn refuse(&self, refused: RefusedHead) {
        self.0.refused.replace(Some(refused));
    }

    /// The refused head.
    #[must_use]
    pub fn take_refused(&self) -> Option<RefusedHead> {
        self.0.refused.take()
    }
}
