//! The end of a connection whose client may still be sending: the answer goes out and the sending half is closed; what comes is read and
//! dropped for a while. A socket closed with unread bytes resets the connection, and the client never sees the answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};

use crate::edge::timer::Timer;

/// How long.
const TIME: Duration = Duration::from_secs(5);
/// How many bytes.
const BYTES: usize = 1 << 20;

/// What is left of time and bytes.
#[derive(Debug)]
pub struct Linger {
    until: Instant,
    bytes: usize,
}

impl Linger {
    /// From now on.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { until: now + TIME, bytes: BYTES }
    }

    /// Reads and drops. Ready: the client has left, or has had its time.
    pub fn poll(&mut self, io: &mut (impl AsyncRead + Unpin), timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8 * 1024];
        loop {
            let mut dropped = ReadBuf::new(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut dropped) {
                Poll::Pending if timer.has_come(self.until, cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let came = dropped.filled().len();
            self.bytes = self.bytes.saturating_sub(came);
            if came == 0 || self.bytes == 0 {
                return Poll::Ready(());
            }
        }
    }
}
