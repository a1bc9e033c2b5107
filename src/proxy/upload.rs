//! A request on its way to the upstream: its head, then its body as the client sends it. A body that the client breaks off is
//! never ended properly, so that the upstream cannot take it for a whole one.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use futures_util::Stream as _;
use tokio::io::AsyncWrite;

/// How the request's body is framed towards the upstream: as the client framed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body.
    None,
    /// This many bytes.
    Sized(u64),
    /// Chunks.
    Chunked,
}

/// Why a request did not get through in full.
#[derive(Debug)]
pub enum UploadError {
    /// The client broke off or left.
    Client,
    /// The client sent more than the limit.
    TooLarge,
    /// The upstream takes no more; it may still answer.
    Upstream(std::io::Error),
}

/// A request on its way.
pub struct Upload {
    /// Head and chunk frames.
    frame: BytesMut,
    data: Bytes,
    body: Body,
    limit: u64,
    taken: u64,
    wrote: bool,
    progressed: bool,
}

enum Body {
    Done,
    Sized { payload: Payload, left: u64 },
    Chunked { payload: Payload },
}

impl Upload {
    /// A request with this head; at most `limit` bytes of body.
    #[must_use]
    pub fn new(head: BytesMut, payload: Payload, framing: BodyFraming, limit: u64) -> Self {
        let body = match framing {
            BodyFraming::None | BodyFraming::Sized(0) => Body::Done,
            BodyFraming::Sized(left) => Body::Sized { payload, left },
            BodyFraming::Chunked => Body::Chunked { payload },
        };
        Self { frame: head, data: Bytes::new(), body, limit, taken: 0, wrote: false, progressed: false }
    }

    /// Whether everything has been written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.frame.is_empty() && self.data.is_empty() && matches!(self.body, Body::Done)
    }

    /// Whether nothing of the body was taken from the client, so that the request can be sent again from its head.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.taken == 0
    }

    /// Whether not a single byte has been written.
    #[must_use]
    pub const fn wrote_nothing(&self) -> bool {
        !self.wrote
    }

    /// The payload, for another attempt with a fresh head.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        match self.body {
            Body::Done => Payload::None,
            Body::Sized { payload, .. } | Body::Chunked { payload } => payload,
        }
    }

    /// Whether bytes were written since the last call.
    pub const fn take_progress(&mut self) -> bool {
        std::mem::replace(&mut self.progressed, false)
    }

    /// Writes what can be written now; `Ready(Ok)`: the request is out in full.
    pub fn poll(&mut self, cx: &mut Context<'_>, io: &mut (impl AsyncWrite + Unpin)) -> Poll<Result<(), UploadError>> {
        loop {
            if self.data.is_empty() {
                // Before the first write, so that head and a small body leave in one packet.
                match self.poll_fill(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if self.frame.is_empty() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            if self.is_done() {
                return Poll::Ready(Ok(()));
            }
            if !self.frame.is_empty() || !self.data.is_empty() {
                ready!(self.poll_write(cx, io))?;
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, io: &mut (impl AsyncWrite + Unpin)) -> Poll<Result<(), UploadError>> {
        let io = Pin::new(io);
        let written = if self.data.is_empty() {
            ready!(io.poll_write(cx, &self.frame))
        } else {
            ready!(io.poll_write_vectored(cx, &[IoSlice::new(&self.frame), IoSlice::new(&self.data)]))
        };
        let written = written.map_err(UploadError::Upstream)?;
        if written == 0 {
            return Poll::Ready(Err(UploadError::Upstream(std::io::ErrorKind::WriteZero.into())));
        }
        (self.wrote, self.progressed) = (true, true);
        let of_frame = written.min(self.frame.len());
        let _ = self.frame.split_to(of_frame);
        let _ = self.data.split_to(written - of_frame);
        if self.data.is_empty() && written > of_frame && matches!(self.body, Body::Chunked { .. }) {
            self.frame.extend_from_slice(b"\r\n");
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body from the client.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let payload = match &mut self.body {
            Body::Done => return Poll::Ready(Ok(())),
            Body::Sized { payload, .. } | Body::Chunked { payload } => payload,
        };
        let piece = ready!(Pin::new(payload).poll_next(cx)).transpose().map_err(|_| UploadError::Client)?;
        Poll::Ready(match piece {
            Some(piece) if piece.is_empty() => Ok(()),
            Some(piece) => self.take(piece),
            None => self.end(),
        })
    }

    fn take(&mut self, piece: Bytes) -> Result<(), UploadError> {
        self.taken += piece.len() as u64;
        if self.taken > self.limit {
            return Err(UploadError::TooLarge);
        }
        match &mut self.body {
            // More than announced cannot come from the server's decoder; if it did, it must not go on.
            Body::Sized { left, .. } => *left = left.checked_sub(piece.len() as u64).ok_or(UploadError::Client)?,
            Body::Chunked { .. } => self.frame.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes()),
            Body::Done => return Err(UploadError::Client),
        }
        if matches!(self.body, Body::Sized { left: 0, .. }) {
            self.body = Body::Done;
        }
        self.data = piece;
        Ok(())
    }

    fn end(&mut self) -> Result<(), UploadError> {
        match &self.body {
            Body::Sized { .. } => return Err(UploadError::Client),
            Body::Chunked { .. } => self.frame.extend_from_slice(b"0\r\n\r\n"),
            Body::Done => {}
        }
        self.body = Body::Done;
        Ok(())
    }
}
