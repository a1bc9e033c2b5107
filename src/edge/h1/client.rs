//! A client's socket. It reads requests, one at a time and each within its time; `body` reads their
//! bodies, and `output` writes answers.

mod body;
mod output;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use actix_web::web::BytesMut;
use tokio_util::io::poll_read_buf;

use crate::clock::monotonic_now;
use crate::edge::crowd::Crowd;
use crate::edge::h1::head::Head;
use crate::edge::h1::linger::Linger;
use crate::edge::h1::parser::RequestParser;
use crate::edge::h1::refusal::RequestRefusal;
use crate::edge::settings::ConnectionSettings;
use crate::edge::stream::Stream;
use crate::http::{ConnectionInfo, buffers};
use crate::metrics::OpenConnection;
use crate::timer::Timer;

/// How long the rest of an answered request's body is read.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How many bytes of it are read.
const DRAIN_BYTES: usize = 1 << 20;
/// How much is read at once while a head is expected; most heads are shorter.
const HEAD_READ: usize = buffers::ROOM;
/// How much is read at once of a body.
const BODY_READ: usize = 32 * 1024;

#[derive(Debug)]
pub struct ClientConnection {
    stream: Stream,
    /// Counts it for as long as it is there.
    _counted: Option<OpenConnection>,
    /// What the handlers find behind their requests.
    pub connection: Rc<ConnectionInfo>,
    settings: ConnectionSettings,
    parser: RequestParser,
    /// What has come and was not yet read. It has no room while the connection rests.
    held: BytesMut,
    timer: Timer,
    read_by: Option<Instant>,
    /// Until when the client must take something, and how much it had taken.
    write_by: Option<(Instant, Option<u64>)>,
    /// Bytes of the body since its last sign of life.
    body_bytes: usize,
    /// For how long it may still be waited until the next one.
    body_time_left: Duration,
    /// Bytes of "100 Continue" that have gone out, for a client that waits for it.
    promised: Option<usize>,
    /// It waits in vain: the answer came before anybody read the body.
    body_refused: bool,
    /// The request under way is the last one.
    last: bool,
    left: bool,
    unflushed: bool,
    /// The task that waits for the answer to a handshake.
    tunnel: Option<Waker>,
    /// Those that linger.
    crowd: Arc<Crowd>,
    /// What is read of a body only so that the answer is seen. Boxed: few have it.
    linger: Option<Box<Linger>>,
    /// The sending half is closed.
    closed: bool,
}

/// What came of waiting for a request.
#[derive(Debug)]
pub enum Arrived {
    /// A request, with the bytes of its head.
    Request(Head, BytesMut),
    /// What no request begins with.
    Refused(RequestRefusal, BytesMut),
    /// Nothing any more.
    Over,
}

impl ClientConnection {
    /// A connection that was just accepted.
    pub fn new(
        stream: Stream,
        connection: ConnectionInfo,
        settings: ConnectionSettings,
        crowd: Arc<Crowd>,
        counted: Option<OpenConnection>,
    ) -> Self {
        Self {
            stream,
            _counted: counted,
            connection: Rc::new(connection),
            settings,
            parser: RequestParser::new(settings.limits),
            held: BytesMut::new(),
            timer: Timer::default(),
            read_by: Some(monotonic_now() + settings.head_timeout),
            write_by: None,
            body_bytes: 0,
            body_time_left: settings.body_timeout,
            promised: None,
            body_refused: false,
            last: settings.keep_alive.is_zero(),
            left: false,
            unflushed: false,
            tunnel: None,
            crowd,
            linger: None,
            closed: false,
        }
    }

    /// Whether nothing of a request has come.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Waits for the next request.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Arrived> {
        loop {
            if self.parser.is_in_body() && !ready!(self.poll_drain(cx)) {
                return Poll::Ready(Arrived::Over);
            }
            if !self.held.is_empty() {
                let begun = self.parser.is_within_head();
                match self.parser.take_head(&mut self.held) {
                    Ok(Some((head, bytes))) => return Poll::Ready(self.begin(head, bytes)),
                    Ok(None) if !begun => {
                        self.read_by = Some(monotonic_now() + self.settings.head_timeout);
                    }
                    Ok(None) => {}
                    Err(refusal) => {
                        return Poll::Ready(Arrived::Refused(
                            refusal,
                            std::mem::take(&mut self.held),
                        ));
                    }
                }
            }
            match self.poll_fill(cx, HEAD_READ) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Arrived::Over),
                Poll::Pending if self.is_late(cx) => {
                    let late = std::mem::take(&mut self.held);
                    return Poll::Ready(if late.is_empty() {
                        Arrived::Over
                    } else {
                        Arrived::Refused(RequestRefusal::LATE, late)
                    });
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn begin(&mut self, head: Head, bytes: BytesMut) -> Arrived {
        self.read_by = None;
        self.body_bytes = 0;
        self.body_time_left = self.settings.body_timeout;
        self.linger = None;
        self.last |= head.last || self.parser.is_websocket();
        self.promised = (head.expects && self.parser.is_in_body()).then_some(0);
        self.body_refused = false;
        Arrived::Request(head, bytes)
    }

    /// Ready when the client has left while its request is under way. What it sends behind the
    /// request waits for its turn.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // The reader of an incomplete body notices it.
            if self.held.len() >= self.settings.limits.head
                || !self.parser.is_whole_with(&self.held)
            {
                return Poll::Pending;
            }
            // Mostly nothing has come, which is known without a buffer.
            if !self.left && self.stream.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            if !matches!(ready!(self.poll_fill(cx, HEAD_READ)), Ok(1..)) {
                return Poll::Ready(());
            }
        }
    }

    /// Reads more; none: the client has closed its side.
    fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        if self.left {
            return Poll::Ready(Ok(0));
        }
        if self.held.capacity() == 0 && size <= buffers::ROOM {
            self.held = buffers::spare();
        }
        if self.held.capacity() - self.held.len() < size / 4 {
            self.held.reserve(size);
        }
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.held);
        match read {
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(Ok(0) | Err(_)) => {
                self.left = true;
                self.connection.client_left.set(true);
            }
            // A connection that rests needs no buffer.
            Poll::Pending if self.held.is_empty() => buffers::keep(std::mem::take(&mut self.held)),
            Poll::Pending => {}
        }
        read
    }

    /// Whether the time is over in which something must come.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.read_by
            .is_some_and(|moment| self.timer.poll(moment, cx).is_ready())
    }

    /// The answer is out: the connection waits for another request, first for the rest of this one.
    pub fn rest(&mut self) {
        let time = if self.parser.is_in_body() {
            DRAIN_TIME
        } else {
            self.settings.keep_alive
        };
        self.read_by = Some(monotonic_now() + time);
        self.body_bytes = 0;
    }
}

#[cfg(test)]
pub(super) mod tests;
