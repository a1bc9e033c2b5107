//! What is counted and logged once a request is over, however it ends: answered, refused, or left
//! by its client.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest};
use arrayvec::ArrayString;

use crate::clock::{Clock, UnixMillis, millis, monotonic_now};
use crate::http::connection::ConnectionInfo;
use crate::http::drain::Drain;
use crate::http::error::{ErrorCode, GatewayError};
use crate::http::extract::Inbound;
use crate::metrics::{Metrics, RouteMetrics};
use crate::route::canonical;
use crate::session::SessionId;
use crate::session::token::redacted;
use crate::telemetry::{AccessLog, FinishedRequest, Traces};

mod body;

pub use body::{BrokenOff, LoggedBody};

/// Longest method in an access line, in characters.
const METHOD_MAX: usize = 20;
/// The status of a request whose client left before there was an answer (nginx's number for it).
pub const CLIENT_LEFT: u16 = 499;

/// In the access line, of an answer that its client did not wait for.
const LEFT: &str = "client_left";
/// The same of an answer of which its client took nothing for too long.
const STALLED: &str = "write_timeout";
/// The status of a WebSocket.
const SWITCHED: u16 = 101;

/// Where completions are reported.
#[derive(Clone)]
pub struct RequestReporter {
    pub metrics: Arc<Metrics>,
    /// The access lines.
    pub access: AccessLog,
    /// The spans, where they are made.
    pub traces: Option<Arc<Traces>>,
    /// The time of day in them.
    pub clock: Arc<dyn Clock>,
    /// Whether the process is on its way out, and how many requests that has cut.
    pub drain: Drain,
    /// Canonical paths whose requests have no access line where nothing went wrong.
    pub skipped: Arc<[String]>,
}

impl RequestReporter {
    /// Whether nobody wants to read of a request: what failed in any way is worth a line on every
    /// path.
    fn skips(&self, path: &str, status: u16, error: Option<&str>) -> bool {
        let named = |path: &str| self.skipped.iter().any(|skipped| skipped == path);
        !self.skipped.is_empty()
            && status < 400
            && error.is_none()
            && canonical(path).is_ok_and(|path| named(&path))
    }
}

/// The route that a completion is counted under: its name and its counters, found once at start.
pub struct CountedRoute {
    /// The route's path, or the name of the gateway's own endpoint.
    pub name: Arc<str>,
    /// Its counters.
    pub metrics: RouteMetrics,
}

impl CountedRoute {
    /// A route with its counters.
    pub fn new(metrics: &Metrics, name: &str) -> Self {
        Self {
            name: name.into(),
            metrics: metrics.listener.route(name),
        }
    }
}

/// A request under way. It reports itself when dropped, so nothing that happens to a request goes
/// unreported.
pub struct RequestLog {
    reports: Arc<RequestReporter>,
    /// The facts of the request's head.
    pub inbound: Inbound,
    method: ArrayString<METHOD_MAX>,
    path: String,
    /// Under which it is counted, once that is known.
    pub route: Arc<CountedRoute>,
    /// The status that the client gets.
    pub status: u16,
    /// The gateway's own error.
    pub error: Option<ErrorCode>,
    /// What of several things it was, where the code leaves that open.
    reason: Option<Cow<'static, str>>,
    /// What is known of the call of the upstream.
    pub upstream: UpstreamCall,
    /// The session, once it is known.
    pub session: Option<SessionId>,
    /// The app, once it is known.
    pub app: Option<Arc<str>>,
    /// What a stream tells while it is open.
    pub stream: Option<Rc<StreamAccount>>,
    /// The client's connection, which knows why a body or an answer broke off.
    pub connection: Option<Rc<ConnectionInfo>>,
    /// Of the body, on their way to the client.
    bytes: u64,
}

/// A request to an upstream.
#[derive(Debug, Default)]
pub struct UpstreamCall {
    /// When the upstream was asked.
    pub started: Option<Instant>,
    /// How long the upstream took to answer.
    pub took: Option<Duration>,
    /// The endpoint that the request went to last.
    pub endpoint: Option<Arc<str>>,
    /// How many endpoints it went to.
    pub attempts: usize,
}

/// What is known of a stream only while it runs.
#[derive(Debug, Default)]
pub struct StreamAccount {
    /// Bytes that came from the client through a tunnel.
    pub received: Cell<u64>,
    /// Why the gateway ended it.
    pub error: Cell<Option<ErrorCode>>,
}

impl RequestLog {
    /// Starts the account of a request.
    pub fn new(
        reports: Arc<RequestReporter>,
        inbound: Inbound,
        method: &str,
        path: &str,
        route: Arc<CountedRoute>,
    ) -> Box<Self> {
        reports.metrics.listener.requests_in_flight.inc();
        let mut shown = ArrayString::new();
        // Letters of one byte each: no other method comes in.
        shown.push_str(&method[..method.floor_char_boundary(METHOD_MAX)]);
        // Boxed, since it moves from the handler into the answer's body.
        Box::new(Self {
            reports,
            inbound,
            method: shown,
            path: loggable(path),
            route,
            status: CLIENT_LEFT,
            error: None,
            reason: None,
            upstream: UpstreamCall::default(),
            session: None,
            app: None,
            stream: None,
            connection: None,
            bytes: 0,
        })
    }

    /// The gateway answers with an error of its own.
    pub fn refused(&mut self, error: &GatewayError) {
        self.error = Some(error.code);
        self.reason = error.reason();
    }

    /// An answer goes out: to a client that has broken off its body and left, for form's sake.
    pub fn set_status(&mut self, status: StatusCode) {
        let left = self.error == Some(ErrorCode::BodyBroken)
            && self
                .connection
                .as_ref()
                .is_some_and(|connection| connection.client_left.get());
        self.status = if left { CLIENT_LEFT } else { status.as_u16() };
    }

    /// The answer breaks off. Its status has gone out; the line at least says why.
    fn broke_off(&mut self, code: ErrorCode) {
        self.error = Some(
            self.connection
                .as_ref()
                .map_or(code, |connection| connection.blamed_code(code)),
        );
    }

    /// What the access line has as its error: the gateway's own, or why the answer did not go out
    /// in full.
    fn error_word(&self) -> Option<&'static str> {
        let error = self
            .stream
            .as_ref()
            .and_then(|stream| stream.error.get())
            .or(self.error);
        error.map_or_else(|| self.cut_word(), |error| Some(error.word()))
    }

    fn cut_word(&self) -> Option<&'static str> {
        let connection = self.connection.as_ref()?;
        if connection.write_stalled.get() {
            return Some(STALLED);
        }
        // Without an answer, the status says it of a client that has left.
        let unanswered = self.status == CLIENT_LEFT;
        if (unanswered || connection.answer_cut.get())
            && !connection.client_left.get()
            && self.reports.drain.is_cutting()
        {
            return Some(ErrorCode::ShuttingDown.word());
        }
        // A WebSocket ends when somebody leaves.
        (connection.answer_cut.get() && !unanswered && self.status != SWITCHED).then_some(LEFT)
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let error = self.error_word();
        if error == Some(ErrorCode::ShuttingDown.word()) {
            self.reports.drain.request_cut();
        }
        if error == Some(ErrorCode::Forbidden.word()) {
            self.reports
                .metrics
                .listener
                .forbidden_request(&self.route.name);
        }
        let took = monotonic_now().duration_since(self.inbound.started);
        self.reports.metrics.listener.requests_in_flight.dec();
        // How long a tunnel was open says nothing about answers.
        let answer_time = if self.status == SWITCHED {
            self.upstream.took.unwrap_or(took)
        } else {
            took
        };
        self.route.metrics.record_answer(self.status, answer_time);
        let session = self.session.map(|id| id.text());
        let time = UnixMillis(self.reports.clock.unix_now().0.saturating_sub(millis(took)));
        let finished = FinishedRequest {
            time,
            request_id: &self.inbound.id,
            trace_id: self.inbound.trace_id(),
            method: &self.method,
            path: &self.path,
            route: &self.route.name,
            status: self.status,
            error,
            reason: self.reason.as_deref(),
            bytes: self.bytes,
            received: self
                .stream
                .as_ref()
                .filter(|_| self.status == SWITCHED)
                .map(|stream| stream.received.get()),
            took,
            upstream_after: self
                .upstream
                .started
                .map(|started| started.saturating_duration_since(self.inbound.started)),
            upstream_took: self.upstream.took,
            endpoint: self.upstream.endpoint.as_deref(),
            attempts: self.upstream.attempts,
            session: session.as_deref(),
            app: self.app.as_deref(),
            client: &self.inbound.client_text,
        };
        if let (Some(traces), Some(ids)) = (&self.reports.traces, self.inbound.spans) {
            traces.record(ids, &finished);
        }
        if !self.reports.skips(&self.path, self.status, error) {
            self.reports.access.record(&finished);
        }
    }
}

/// What a handler has found out about whose request it is, for the access line.
#[derive(Debug, Clone)]
pub struct SeenSession {
    /// The session's public name; `None`: a login that came to nothing.
    pub session: Option<SessionId>,
    /// The app, where it is known without asking the store.
    pub app: Option<Arc<str>>,
}

/// Notes the session and its app for the access line.
pub fn note_session(req: &HttpRequest, session: SessionId, app: &Arc<str>) {
    req.extensions_mut().insert(SeenSession {
        session: Some(session),
        app: Some(app.clone()),
    });
}

/// The path without a token in it, also where the client has escaped some of its letters.
fn loggable(path: &str) -> String {
    if !path.as_bytes().contains(&b'%') {
        return redacted(path).into_owned();
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    match redacted(&decoded) {
        Cow::Owned(masked) => masked,
        Cow::Borrowed(_) => path.to_owned(),
    }
}
