//! One connection to an upstream: its socket, what was read and not yet used, and the silence that
//! is still allowed.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use actix_web::web::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::clock::monotonic_now;
use crate::http::Socket;
use crate::timer::Timer;

/// What is read at once.
const READ_SIZE: usize = 16 * 1024;

/// A connection to an upstream.
pub struct Connection {
    /// The socket.
    pub io: Io,
    /// What was read and not yet used.
    pub buf: BytesMut,
    /// The silence that is still allowed.
    pub idle_timer: IdleTimer,
    /// It has carried an answer before.
    pub served: bool,
}

/// What has come on an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsolicited {
    Nothing,
    Bytes,
    /// The connection's end.
    End,
}

/// An upstream's socket.
pub type Io = Socket<TlsStream<TcpStream>>;

impl Connection {
    /// A fresh connection. It is boxed, since it moves with each request and its answer.
    pub fn new(io: Io) -> Box<Self> {
        Box::new(Self {
            io,
            buf: BytesMut::with_capacity(READ_SIZE),
            idle_timer: IdleTimer::new(),
            served: false,
        })
    }

    /// Reads more into the buffer.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // An empty one begins again at its front, which the processor's cache still has.
        if self.buf.is_empty() || self.buf.capacity() - self.buf.len() < READ_SIZE / 4 {
            self.buf.reserve(READ_SIZE);
        }
        tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buf)
    }

    /// What has come in since the last exchange, as far as the runtime has heard. Costs no system
    /// call while that is nothing.
    pub fn unsolicited(&mut self) -> Unsolicited {
        let mut byte = [0];
        match &mut self.io {
            // It asks the system only when something is said to have come.
            Io::Tcp(io) => Unsolicited::of(io.try_read(&mut byte)),
            Io::Unix(io) => Unsolicited::of(io.try_read(&mut byte)),
            Io::Tls(io) => {
                let mut byte = ReadBuf::new(&mut byte);
                // A session ticket may have come, which is for the TLS layer and no answer.
                match Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut byte) {
                    Poll::Pending => Unsolicited::Nothing,
                    Poll::Ready(read) => Unsolicited::of(read.map(|()| byte.filled().len())),
                }
            }
        }
    }

    /// The same of the system itself, where it matters: the runtime may not have heard yet.
    pub fn unsolicited_in_system(&self) -> Unsolicited {
        let socket = match &self.io {
            Io::Tcp(io) => SockRef::from(io),
            Io::Unix(io) => SockRef::from(io),
            Io::Tls(io) => SockRef::from(io.get_ref().0),
        };
        Unsolicited::of(socket.peek(&mut [MaybeUninit::uninit()]))
    }
}

impl Unsolicited {
    fn of(read: io::Result<usize>) -> Self {
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Nothing,
            Ok(1..) => Self::Bytes,
            Ok(0) | Err(_) => Self::End,
        }
    }
}

/// Fires when an upstream is silent for too long, or when its answer takes too long in all. It reads
/// the clock only while it waits: a busy connection costs no timer operation per request.
pub struct IdleTimer {
    timer: Timer,
    /// When the connection was last known to be in use.
    since: Instant,
    /// Something has happened since.
    moved_on: bool,
    deadline: Instant,
    /// Something has happened since the deadline was set: so much silence is allowed from now on.
    renewed: Option<Duration>,
    /// The end of everything, whatever happens.
    limit: Option<Instant>,
}

impl IdleTimer {
    fn new() -> Self {
        let since = monotonic_now();
        Self {
            timer: Timer::default(),
            since,
            moved_on: false,
            deadline: since,
            renewed: None,
            limit: None,
        }
    }

    /// An exchange begins, which must be over at `limit`.
    pub fn begin(&mut self, now: Instant, timeout: Duration, limit: Option<Instant>) {
        self.limit = limit;
        self.wait(now, timeout);
    }

    /// Allows this much silence from now on.
    fn wait(&mut self, now: Instant, timeout: Duration) {
        self.answer_received(now);
        self.renewed = None;
        let deadline = now + timeout;
        self.deadline = self.limit.map_or(deadline, |limit| limit.min(deadline));
    }

    /// Something happened.
    pub const fn renew(&mut self, timeout: Duration) {
        self.renewed = Some(timeout);
        self.moved_on = true;
    }

    /// When the connection was in use last, within the time that one piece of an answer takes.
    pub fn last_used(&self) -> Instant {
        if self.moved_on {
            monotonic_now()
        } else {
            self.since
        }
    }

    /// An answer has come.
    pub const fn answer_received(&mut self, now: Instant) {
        self.since = now;
        self.moved_on = false;
    }

    /// Waits: ready when the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timeout) = self.renewed {
            self.wait(monotonic_now(), timeout);
        }
        self.timer.poll(self.deadline, cx)
    }
}
