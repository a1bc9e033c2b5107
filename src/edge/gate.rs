//! The gate: a socket that hands on one request at a time, and only what can be read in one way.
//!
//! It stands between the client's socket and the HTTP server. A request that comes in one piece costs one look at its head and is
//! neither copied nor kept; anything else is held until it is complete. What is refused is replaced by a request of the gate's own
//! (`REFUSED`), so that the answer comes in its turn, with everything that an answer has.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::web::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::monotonic_now;
use crate::edge::inspector::{Inspector, Place, Verdict};
use crate::edge::linger::Linger;
use crate::edge::refusal::Refusal;
use crate::edge::refused::{REFUSED, refused_head};
use crate::edge::settings::GateSettings;
use crate::edge::timer::Timer;
use crate::http::connection::Connection;
use crate::metrics::OpenConnection;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101";
/// Bytes of a body that are a sign of life: fewer within the timeout are silence.
const SIGN_OF_LIFE: usize = 256;
/// How long the rest of a body is read whose request has been answered, and how many bytes of it.
const DRAIN: (Duration, usize) = (Duration::from_secs(5), 1 << 20);

/// A client's socket behind the gate.
#[derive(Debug)]
pub struct Gate<IO> {
    io: IO,
    _counted: OpenConnection,
    connection: Connection,
    settings: GateSettings,
    inspector: Inspector,
    /// Bytes that have not gone on, and how many of them may.
    held: BytesMut,
    cleared: usize,
    timer: Timer,
    read_by: Option<Instant>,
    write_by: Option<Instant>,
    /// Bytes of the body since its deadline was set, or since the early answer.
    body_bytes: usize,
    watch: Watch,
    left: bool,
    /// The client may still be sending what nobody will read: closing then would take the answer away from it.
    unread: bool,
    linger: Option<Linger>,
}

/// What is looked for in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    Nothing,
    /// The server's own "100 Continue", which it sends too early.
    Continue,
    /// The answer; the client waits for "100 Continue", of which so many bytes have been sent.
    Final {
        sent: usize,
    },
    /// Whether a handshake is answered with 101.
    Switch,
}

impl<IO> Gate<IO> {
    /// A gate before this socket.
    pub fn new(io: IO, connection: Connection, settings: GateSettings, counted: OpenConnection) -> Self {
        Self {
            io,
            _counted: counted,
            connection,
            settings,
            inspector: Inspector::new(settings.limits),
            held: BytesMut::new(),
            cleared: 0,
            timer: Timer::default(),
            read_by: Some(monotonic_now() + settings.head_timeout),
            write_by: None,
            body_bytes: 0,
            watch: Watch::Nothing,
            left: false,
            unread: false,
            linger: None,
        }
    }

    /// What the handlers find behind their requests.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Judges bytes that have just come, and keeps those that may not go on yet. Answers how many may.
    fn judge(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let (place, begun) = (self.inspector.place(), self.inspector.is_within_head());
        match self.inspector.inspect(bytes) {
            Verdict::Pass(passed) => {
                self.passed(place, passed, cx);
                passed
            }
            Verdict::More => {
                if !begun {
                    self.read_by = Some(monotonic_now() + self.settings.head_timeout);
                }
                0
            }
            Verdict::Refuse(refusal) => {
                self.refuse(refusal, bytes);
                0
            }
        }
    }

    fn passed(&mut self, from: Place, bytes: usize, cx: &mut Context<'_>) {
        if bytes == 0 {
            return;
        }
        match from {
            Place::Head => {
                (self.read_by, self.body_bytes) = (None, 0);
                self.watch = match self.inspector.place() {
                    Place::Handshake => Watch::Switch,
                    _ if self.inspector.expects() => Watch::Continue,
                    _ => Watch::Nothing,
                };
                if self.watch == Watch::Continue {
                    self.connection.await_want(cx.waker().clone());
                }
            }
            Place::Sized(_) | Place::Chunked(_) => {
                self.body_bytes += bytes;
                if self.inspector.is_answered_early() {
                    if !self.inspector.in_body() {
                        self.unread = false;
                        self.rest();
                    }
                } else if self.body_bytes >= SIGN_OF_LIFE || !self.inspector.in_body() {
                    (self.read_by, self.body_bytes) = (None, 0);
                }
            }
            _ => {}
        }
    }

    /// Puts a request of the gate's own in the place of what has come; it is answered with the refusal, in its turn.
    fn refuse(&mut self, refusal: Refusal, bytes: &[u8]) {
        self.connection.refuse(refused_head(refusal, bytes));
        self.unread = true;
        self.inspector.end();
        self.read_by = None;
        self.held = BytesMut::from(REFUSED.head);
        self.cleared = self.held.len();
    }

    /// Hands on what is held and may go on.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> bool {
        if self.held.is_empty() {
            return false;
        }
        if self.cleared == 0 {
            let held = std::mem::take(&mut self.held);
            let cleared = self.judge(&held, cx);
            if self.cleared == 0 {
                (self.held, self.cleared) = (held, cleared);
            }
        }
        let bytes = self.cleared.min(out.remaining());
        out.put_slice(&self.held[..bytes]);
        self.cleared -= bytes;
        if bytes == self.held.len() {
            self.held = BytesMut::new();
        } else {
            let _ = self.held.split_to(bytes);
        }
        bytes > 0
    }

    /// The connection waits for a request.
    fn rest(&mut self) {
        self.read_by = Some(monotonic_now() + self.settings.keep_alive);
    }

    /// The answer under way is out in full.
    fn answered(&mut self, cx: &mut Context<'_>) {
        self.unread |= self.inspector.in_body() || matches!(self.inspector.place(), Place::Broken | Place::Tunnel);
        self.inspector.answered(self.connection.is_closing());
        self.watch = Watch::Nothing;
        if self.inspector.in_body() {
            (self.read_by, self.body_bytes) = (Some(monotonic_now() + DRAIN.0), 0);
        } else {
            self.rest();
        }
        // What was held back is looked at when the server reads again. Otherwise it sleeps until bytes come, or the timer rings.
        let rings = self.read_by.is_some_and(|moment| self.timer.has_come(moment, cx));
        if rings || !self.held.is_empty() || self.inspector.place() == Place::Over {
            cx.waker().wake_by_ref();
        }
    }

    /// What is done when nothing has come: `Some`, once the client's time is over.
    fn silence(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let in_body = self.inspector.in_body() && !self.inspector.is_answered_early();
        if in_body && self.read_by.is_none() && matches!(self.watch, Watch::Nothing) {
            self.read_by = Some(monotonic_now() + self.settings.body_timeout);
        }
        let moment = self.read_by?;
        if !self.timer.has_come(moment, cx) {
            return None;
        }
        self.read_by = None;
        if self.inspector.place() == Place::Head && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.refuse(Refusal::LATE, &held);
            return Some(End::Refused);
        }
        if in_body {
            self.connection.body_is_late();
        }
        Some(End::Silent)
    }

    /// Whether nothing more is read: the server behind is told that the connection has ended, and answers what it has.
    fn is_over(&self) -> bool {
        let drained = self.inspector.is_answered_early() && self.inspector.in_body() && self.body_bytes > DRAIN.1;
        drained || matches!(self.inspector.place(), Place::Over | Place::Broken)
    }
}

/// Why nothing more is read.
enum End {
    /// A refusal has taken the place of the request.
    Refused,
    /// The client's time is over.
    Silent,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        loop {
            if gate.hand_on(out, cx) || gate.is_over() {
                return Poll::Ready(Ok(()));
            }
            if gate.inspector.place() != Place::Head && gate.held.len() >= gate.settings.limits.head {
                // Requests that wait for their turn; the answer to the one before wakes this task.
                return Poll::Pending;
            }
            let before = out.filled().len();
            match Pin::new(&mut gate.io).poll_read(cx, out) {
                Poll::Pending => match gate.silence(cx) {
                    None => return Poll::Pending,
                    Some(End::Refused) => continue,
                    Some(End::Silent) => return Poll::Ready(Ok(())),
                },
                Poll::Ready(result) => result?,
            }
            if out.filled().len() == before {
                gate.left = true;
                return Poll::Ready(Ok(()));
            }
            let passed = if gate.held.is_empty() { gate.judge(&out.filled()[before..], cx) } else { 0 };
            // A refusal has left its own request.
            if gate.cleared == 0 {
                gate.held.extend_from_slice(&out.filled()[before + passed..]);
            }
            out.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        if gate.watch != Watch::Nothing {
            if gate.watch == Watch::Continue && bytes.starts_with(CONTINUE) {
                gate.watch = Watch::Final { sent: 0 };
                return Poll::Ready(Ok(CONTINUE.len()));
            }
            ready!(gate.poll_watched(cx, bytes))?;
        }
        match Pin::new(&mut gate.io).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                gate.write_by = None;
                Poll::Ready(written)
            }
            Poll::Pending => gate.poll_stalled(cx),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if matches!(gate.watch, Watch::Final { .. }) && gate.connection.wants_body() && gate.inspector.in_body() {
            ready!(gate.poll_continue(cx))?;
        }
        if gate.connection.take_answer() {
            gate.answered(cx);
        } else if gate.left && !matches!(gate.inspector.place(), Place::Head | Place::Tunnel) {
            // The client has left while its request was under way: nobody waits for the answer.
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match Pin::new(&mut gate.io).poll_flush(cx) {
            Poll::Pending => gate.poll_stalled(cx),
            flushed @ Poll::Ready(_) => {
                gate.write_by = None;
                flushed
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if gate.linger.is_none() {
            match Pin::new(&mut gate.io).poll_shutdown(cx) {
                Poll::Pending => return gate.poll_stalled(cx),
                Poll::Ready(closed) => closed?,
            }
            if gate.left || (!gate.unread && gate.held.is_empty()) {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = gate.linger.get_or_insert_with(|| Linger::new(monotonic_now()));
        linger.poll(&mut gate.io, &mut gate.timer, cx).map(Ok)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Gate<IO> {
    /// The first bytes of an answer that is looked at.
    fn poll_watched(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<()>> {
        match self.watch {
            Watch::Switch => {
                self.inspector.handshake_answered(bytes.starts_with(SWITCHING));
                if !self.held.is_empty() {
                    cx.waker().wake_by_ref();
                }
            }
            // Half an interim answer must not stand before the final one.
            Watch::Final { sent: 1.. } => ready!(self.poll_continue(cx))?,
            _ => {}
        }
        self.watch = Watch::Nothing;
        Poll::Ready(Ok(()))
    }

    /// Asks the client for the body.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Watch::Final { sent } = self.watch {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &CONTINUE[sent..]))?;
            self.watch = if sent + written < CONTINUE.len() { Watch::Final { sent: sent + written } } else { Watch::Nothing };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        // The silence of the body begins now.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }

    /// The client takes nothing of the answer.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let moment = *self.write_by.get_or_insert_with(|| monotonic_now() + self.settings.write_timeout);
        if self.timer.has_come(moment, cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}
