//! One connection to an upstream: its socket, what was read and not yet used, and the silence that is still allowed.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use actix_web::web::BytesMut;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::clock::monotonic_now;

/// What is read at once.
const READ_SIZE: usize = 16 * 1024;

/// A connection to an upstream.
pub struct Connection {
    /// The socket.
    pub io: TcpStream,
    /// What was read and not yet used.
    pub buf: BytesMut,
    patience: Patience,
}

impl Connection {
    /// A fresh connection.
    #[must_use]
    pub fn new(io: TcpStream, timeout: Duration) -> Self {
        Self { io, buf: BytesMut::with_capacity(READ_SIZE), patience: Patience::new(timeout) }
    }

    /// Reads more into the buffer.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.buf.capacity() - self.buf.len() < READ_SIZE / 4 {
            self.buf.reserve(READ_SIZE);
        }
        tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buf)
    }

    /// Whether nothing has come in since the last exchange: neither an end nor bytes that nobody asked for.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self.io.poll_read_ready(&mut cx) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            Poll::Ready(Ok(())) => matches!(self.io.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        }
    }

    /// The silence that is still allowed.
    pub const fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }
}

/// Runs out when an upstream is silent for too long. One timer per connection, moved only when it fires: a busy
/// connection costs no timer operation per request.
pub struct Patience {
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Patience {
    fn new(timeout: Duration) -> Self {
        Self { timer: Box::pin(tokio::time::sleep(timeout)), deadline: monotonic_now() + timeout }
    }

    /// Something happened. The timer itself moves only where it would come too late: this exchange's timeout may be shorter than the last's.
    pub fn renew(&mut self, timeout: Duration) {
        self.deadline = monotonic_now() + timeout;
        if self.timer.deadline() > self.deadline.into() {
            self.timer.as_mut().reset(self.deadline.into());
        }
    }

    /// Ready when the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if monotonic_now() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline.into());
        }
    }
}
