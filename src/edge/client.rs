//! A client's socket and what has come through it: requests one at a time, each within its time; a
//! body as its handler asks for it; and answers out.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use tokio::io::AsyncWrite as _;
use tokio_util::io::poll_read_buf;

use crate::clock::monotonic_now;
use crate::edge::crowd::Crowd;
use crate::edge::head::Head;
use crate::edge::linger::Linger;
use crate::edge::parser::{RequestParser, Step};
use crate::edge::refusal::RequestRefusal;
use crate::edge::settings::ConnectionSettings;
use crate::edge::stream::Stream;
use crate::edge::timer::Timer;
use crate::http::{Connection, buffers};
use crate::metrics::OpenConnection;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bytes of a body that are a sign of life: fewer within the timeout are silence.
const SIGN_OF_LIFE: usize = 256;
/// How long the rest of a body is read whose request has been answered, and how many bytes of it.
const DRAIN: (Duration, usize) = (Duration::from_secs(5), 1 << 20);
/// Of a body, so much may be under way when the client sees its answer. A longer one it is still
/// sending.
const UNDER_WAY: u64 = 64 * 1024;
/// What is read at once: of heads, most of which have less, and of bodies.
const READ_SIZES: (usize, usize) = (buffers::ROOM, 32 * 1024);

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    _counted: Option<OpenConnection>,
    connection: Connection,
    peer: Option<IpAddr>,
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
    body_patience: Duration,
    /// Bytes of "100 Continue" that have gone out, for a client that waits for it.
    promised: Option<usize>,
    /// It waits in vain: the answer has come before its body was asked for.
    unasked: bool,
    /// The request under way is the last one.
    last: bool,
    left: bool,
    unflushed: bool,
    /// Who waits for a handshake to be answered.
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

impl Client {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(
        stream: Stream,
        peer: Option<IpAddr>,
        connection: Connection,
        settings: ConnectionSettings,
        crowd: Arc<Crowd>,
    ) -> Self {
        Self {
            stream,
            _counted: None,
            connection,
            peer,
            settings,
            parser: RequestParser::new(settings.limits),
            held: BytesMut::new(),
            timer: Timer::default(),
            read_by: Some(monotonic_now() + settings.head_timeout),
            write_by: None,
            body_bytes: 0,
            body_patience: settings.body_timeout,
            promised: None,
            unasked: false,
            last: settings.keep_alive.is_zero(),
            left: false,
            unflushed: false,
            tunnel: None,
            crowd,
            linger: None,
            closed: false,
        }
    }

    /// Counts it for as long as it is there.
    #[must_use]
    pub fn counted(self, counted: Option<OpenConnection>) -> Self {
        Self {
            _counted: counted,
            ..self
        }
    }

    /// The socket's peer; none on a Unix socket.
    #[must_use]
    pub const fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// What the handlers find behind their requests.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether nothing of a request has come.
    #[must_use]
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
            match self.poll_fill(cx, READ_SIZES.0) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Arrived::Over),
                Poll::Pending
                    if self
                        .read_by
                        .is_some_and(|moment| self.timer.has_come(moment, cx)) =>
                {
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

    /// Passes over the rest of a body whose request has been answered. False: it goes on for too
    /// long.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.parser.take_body(&mut self.held) {
                Step::Data(bytes) => self.body_bytes += bytes.len(),
                Step::End => {
                    self.rest();
                    return Poll::Ready(true);
                }
                Step::Broken => return Poll::Ready(false),
                Step::More => match self.poll_fill(cx, READ_SIZES.1) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                    Poll::Pending
                        if self
                            .read_by
                            .is_some_and(|moment| self.timer.has_come(moment, cx)) =>
                    {
                        return Poll::Ready(false);
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
            if self.body_bytes > DRAIN.1 {
                return Poll::Ready(false);
            }
        }
    }

    fn begin(&mut self, head: Head, bytes: BytesMut) -> Arrived {
        (
            self.read_by,
            self.body_bytes,
            self.body_patience,
            self.linger,
        ) = (None, 0, self.settings.body_timeout, None);
        self.last |= head.last || self.parser.is_websocket();
        (self.promised, self.unasked) = (
            (head.expects && self.parser.is_in_body()).then_some(0),
            false,
        );
        Arrived::Request(head, bytes)
    }

    /// Whether the request under way has a body, or becomes a WebSocket.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.parser.is_in_body()
    }

    /// The next piece of the body, or of what comes through a WebSocket.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        ready!(self.poll_continue(cx))?;
        if self.unasked {
            return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
        }
        loop {
            match self.parser.take_body(&mut self.held) {
                Step::Data(bytes) => {
                    self.body_has_come(bytes.len());
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Step::End => return Poll::Ready(None),
                Step::Broken => return Poll::Ready(Some(Err(PayloadError::EncodingCorrupted))),
                Step::More if self.parser.is_handshake() => {
                    self.tunnel = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Step::More if self.left => {
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
                Step::More => {}
            }
            match self.poll_fill(cx, READ_SIZES.1) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) if self.parser.is_websocket() => return Poll::Ready(None),
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(PayloadError::Io(error)))),
                Poll::Pending if self.parser.is_websocket() => return Poll::Pending,
                Poll::Pending => {
                    let moment = *self
                        .read_by
                        .get_or_insert_with(|| monotonic_now() + self.body_patience);
                    if !self.timer.has_come(moment, cx) {
                        return Poll::Pending;
                    }
                    self.connection.body_stalled();
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
            }
        }
    }

    /// Time runs only while the client is waited for: what keeps whoever takes the body is no
    /// silence of the client's.
    fn body_has_come(&mut self, bytes: usize) {
        self.body_bytes += bytes;
        let deadline = self.read_by.take();
        if self.body_bytes >= SIGN_OF_LIFE {
            (self.body_bytes, self.body_patience) = (0, self.settings.body_timeout);
        } else if let Some(deadline) = deadline {
            self.body_patience = deadline.saturating_duration_since(monotonic_now());
        }
    }

    /// Whether the client is in the midst of a body when its answer is there. One that waits to be
    /// asked for it sends nothing.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        !self.left && !self.unasked && self.parser.owes_more_than(UNDER_WAY, &self.held)
    }

    /// Passes over what comes of a body whose answer is there but for its end. Ready: the client
    /// has sent all of it, waits for that end, or has had its time.
    ///
    /// To a proxy a whole answer is the end of the request: it stops passing the body on, and most
    /// then reset their own client's connection, which still sends it.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut linger = self
            .linger
            .take()
            .unwrap_or_else(|| Box::new(Linger::new(&self.crowd)));
        let sent = self.poll_pass(&mut linger, cx);
        self.linger = Some(linger);
        sent
    }

    fn poll_pass(&mut self, linger: &mut Linger, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.parser.take_body(&mut self.held) {
                Step::Data(_) => {}
                Step::End | Step::Broken => return Poll::Ready(()),
                Step::More => match self.poll_fill(cx, READ_SIZES.1) {
                    Poll::Ready(Ok(came @ 1..)) if linger.take(came) => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return linger.poll_paused(&mut self.timer, cx),
                },
            }
        }
    }

    /// Asks a client for its body that waits to be asked. Without one it touches nothing: another
    /// task may be writing.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(sent) = self.promised {
            if sent == CONTINUE.len() {
                ready!(self.poll_flush(cx))?;
                self.promised = None;
                break;
            }
            let written = match Pin::new(&mut self.stream).poll_write(cx, &CONTINUE[sent..]) {
                Poll::Ready(written) => written?,
                Poll::Pending => return self.poll_stalled(cx),
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.unflushed, self.promised) = (true, Some(sent + written));
        }
        Poll::Ready(Ok(()))
    }

    /// The answer begins: a body that was not asked for by now is not asked for any more.
    pub fn withdraw_continue(&mut self) {
        self.unasked |= self.promised.take_if(|sent| *sent == 0).is_some();
    }

    /// Ready when the client has left while its request is under way. What it sends behind the
    /// request waits for its turn.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Of a body that is not whole, whoever reads it hears.
            if self.held.len() >= self.settings.limits.head
                || !self.parser.is_whole_with(&self.held)
            {
                return Poll::Pending;
            }
            // Mostly nothing has come, which is known without a buffer.
            if !self.left && self.stream.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            if !matches!(ready!(self.poll_fill(cx, READ_SIZES.0)), Ok(1..)) {
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
                self.connection.client_left();
            }
            // A connection that rests needs no buffer.
            Poll::Pending if self.held.is_empty() => buffers::keep(std::mem::take(&mut self.held)),
            Poll::Pending => {}
        }
        read
    }

    /// Whether another request may come when the one under way has been answered: nothing that is
    /// still to come of it is in the way.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        !self.last && self.promised.is_none() && self.parser.may_end_within(DRAIN.1 as u64)
    }

    /// The handshake under way is answered with 101: what comes from now on is the WebSocket's.
    pub fn switch(&mut self) {
        self.parser.switch();
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.wake();
        }
    }

    /// Writes some of these bytes; an error: the client has left, or takes nothing for too long.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: [&[u8]; 2],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.promised, Some(1..)) {
            // Half an interim answer must not stand before the final one.
            ready!(self.poll_continue(cx))?;
        }
        let stream = Pin::new(&mut self.stream);
        let written = match parts {
            [one, []] | [[], one] => stream.poll_write(cx, one),
            [one, other] => {
                stream.poll_write_vectored(cx, &[IoSlice::new(one), IoSlice::new(other)])
            }
        };
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(written) => {
                self.unflushed = true;
                if self.stream.taken().is_none() {
                    self.write_by = None;
                }
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_stalled(cx),
        }
    }

    /// Sees to it that what was written has left, which only encryption may hold back.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.poll_stalled(cx),
            Poll::Ready(flushed) => {
                (self.write_by, self.unflushed) = (None, false);
                Poll::Ready(flushed)
            }
        }
    }

    /// The answer is out: the connection waits for another request, first for the rest of this one.
    pub fn rest(&mut self) {
        let patience = if self.parser.is_in_body() {
            DRAIN.0
        } else {
            self.settings.keep_alive
        };
        (self.read_by, self.body_bytes) = (Some(monotonic_now() + patience), 0);
    }

    /// Closes, so that the client sees the answer: were it still sending what nobody reads, the
    /// answer would be taken away from it.
    pub fn poll_close(&mut self, cx: &mut Context<'_>, unread: bool) -> Poll<()> {
        if !self.closed {
            match Pin::new(&mut self.stream).poll_shutdown(cx) {
                Poll::Pending => return self.poll_stalled::<()>(cx).map(drop),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            // What has come meanwhile would have the system reset the connection, and the client
            // lose the answer.
            let more = self.held.is_empty()
                && matches!(self.poll_fill(cx, READ_SIZES.0), Poll::Ready(Ok(1..)));
            if self.left || !(unread || more || !self.held.is_empty()) {
                return Poll::Ready(());
            }
            self.closed = true;
        }
        self.linger
            .get_or_insert_with(|| Box::new(Linger::new(&self.crowd)))
            .poll(&mut self.stream, &mut self.timer, cx)
    }

    /// The client takes nothing.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let taken = self.stream.taken();
        let (moment, _) = match self.write_by {
            Some(since) if since.1 == taken => since,
            _ => *self
                .write_by
                .insert((monotonic_now() + self.settings.write_timeout, taken)),
        };
        if !self.timer.has_come(moment, cx) {
            return Poll::Pending;
        }
        self.connection.write_stalled();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The answer has broken off; `unmarked`: nothing but the end of the connection says where it
    /// ends.
    pub fn cut(&self, unmarked: bool) {
        self.connection.answer_cut();
        if unmarked {
            self.stream.reset_when_dropped();
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
