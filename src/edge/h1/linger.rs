//! A client that may still be sending while its answer is out, or goes out: what comes is read and
//! dropped for a while. A socket closed with unread bytes resets the connection, and the client
//! never sees the answer. nginx calls it `lingering_close`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};

use crate::clock::monotonic_now;
use crate::edge::crowd::{Crowd, CrowdMember};
use crate::timer::Timer;

/// How long, at most.
const TIME: Duration = Duration::from_secs(30);
/// How many bytes, at most.
const BYTES: usize = 16 << 20;
/// A client that has sent next to nothing for so long is not sending. The time is nginx's own.
const SILENCE: Duration = Duration::from_secs(5);
/// A client that sends next to nothing for so long while the end of its answer is kept back waits
/// for that end.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Fewer bytes are next to nothing: who trickles gets the answer, and no place for half a minute.
const LITTLE: usize = 1024;
/// How many may linger at once in all workers. Fewer may if the process can open few files.
const MANY: usize = 1024;

/// What is left of time and bytes.
#[derive(Debug)]
pub struct Linger {
    until: Instant,
    bytes: usize,
    /// When the client was last heard, and how many bytes have come since: too few to count.
    heard: Instant,
    unheard: usize,
    place: CrowdMember,
}

/// Those that linger: a quarter of all clients at most, of whom there is room for so many. No
/// undisturbed time: who refuses uploads in masses has better uses for his descriptors.
pub fn lingering(room: Option<usize>) -> Arc<Crowd> {
    Crowd::new(
        room.map_or(MANY, |room| MANY.min(room / 4).max(1)),
        Duration::ZERO,
    )
}

impl Linger {
    /// From now on, as one of the crowd.
    pub fn new(crowd: &Arc<Crowd>) -> Self {
        let now = monotonic_now();
        Self {
            until: now + TIME,
            bytes: BYTES,
            heard: now,
            unheard: 0,
            place: crowd.enter(now),
        }
    }

    /// So many bytes have come. False: there were too many.
    pub fn take(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.unheard += bytes;
        if self.unheard >= LITTLE {
            self.unheard = 0;
            self.heard = monotonic_now();
        }
        self.bytes > 0
    }

    /// Reads and drops. Ready: the client has left, is silent, has had its time, or gives way to
    /// others.
    pub fn poll(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut space = [0; 8 * 1024];
        loop {
            let mut dropped = ReadBuf::new(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut dropped) {
                Poll::Pending => return self.poll_over(SILENCE, timer, cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let came = dropped.filled().len();
            if came == 0 || !self.take(came) || monotonic_now() >= self.until {
                return Poll::Ready(());
            }
        }
    }

    /// Nothing comes. Ready: the client has been silent for so long, has had its time, or gives way
    /// to others.
    pub fn poll_over(
        &mut self,
        silence: Duration,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if timer
            .poll(self.until.min(self.heard + silence), cx)
            .is_ready()
        {
            return Poll::Ready(());
        }
        self.place.poll_displaced(cx)
    }
}
