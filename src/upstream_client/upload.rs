//! A request on its way to the upstream: its head, then its body as the client sends it. A body
//! that the client breaks off is never ended properly, so that the upstream cannot take it for a
//! whole one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use futures_util::Stream as _;
use tokio::io::AsyncWrite;

use crate::http::buffers;

/// Only `set_host` writes it directly behind the request line.
const HOST: &[u8] = b"host: ";

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

/// Why a request cannot get through in full: its client's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The client broke off, left, or does not go on.
    #[error("the client broke off its body")]
    Left,
    #[error("the client's body is over the limit")]
    TooLarge,
}

/// A request on its way.
pub struct Upload {
    /// The head, which is kept until something of the body was taken, so that it can go out again;
    /// then chunk frames.
    frame: BytesMut,
    /// How much of the frame has been written.
    at: usize,
    data: Bytes,
    body: UploadBody,
    limit: u64,
    taken: u64,
    wrote: bool,
    progressed: bool,
    /// Whether something was written that the encryption may still hold.
    unflushed: bool,
    /// Whether the upstream takes no more of it.
    pub is_refused: bool,
}

enum UploadBody {
    Done,
    Sized { payload: Payload, left: u64 },
    Chunked { payload: Payload },
}

impl Drop for Upload {
    fn drop(&mut self) {
        buffers::keep(std::mem::take(&mut self.frame));
    }
}

impl Upload {
    /// A request with this head; at most `limit` bytes of body. Boxed, since it moves through
    /// everything that is tried to get it out.
    pub fn new(head: BytesMut, payload: Payload, framing: BodyFraming, limit: u64) -> Box<Self> {
        let body = match framing {
            BodyFraming::None | BodyFraming::Sized(0) => UploadBody::Done,
            BodyFraming::Sized(left) => UploadBody::Sized { payload, left },
            BodyFraming::Chunked => UploadBody::Chunked { payload },
        };
        Box::new(Self {
            frame: head,
            at: 0,
            data: Bytes::new(),
            body,
            limit,
            taken: 0,
            wrote: false,
            progressed: false,
            unflushed: false,
            is_refused: false,
        })
    }

    /// Puts a `Host` behind the request line, in the place of the one of an earlier attempt. For a
    /// head that has none, before any of it is written.
    pub fn set_host(&mut self, host: &str) {
        let end = |bytes: &[u8]| {
            bytes
                .windows(2)
                .position(|pair| pair == b"\r\n")
                .map_or(bytes.len(), |at| at + 2)
        };
        let start = end(&self.frame);
        let rest = &self.frame[start..];
        let rest = if rest.starts_with(HOST) {
            &rest[end(rest)..]
        } else {
            rest
        };
        let mut head = buffers::spare();
        for part in [&self.frame[..start], HOST, host.as_bytes(), b"\r\n", rest] {
            head.extend_from_slice(part);
        }
        buffers::keep(std::mem::replace(&mut self.frame, head));
    }

    /// Another head in the place of the one that it began with, before any of it is written.
    pub fn replace_head(&mut self, head: BytesMut) {
        buffers::keep(std::mem::replace(&mut self.frame, head));
    }

    /// Whether everything has been written.
    pub fn is_done(&self) -> bool {
        !self.has_unwritten() && !self.unflushed && matches!(self.body, UploadBody::Done)
    }

    /// Whether nothing more of it will be written.
    pub fn is_over(&self) -> bool {
        self.is_refused || self.is_done()
    }

    /// Whether everything that the client has sent so far has gone on, and the rest is still to
    /// come from it.
    pub fn waits_for_client(&self) -> bool {
        !self.is_refused && !self.has_unwritten() && !matches!(self.body, UploadBody::Done)
    }

    /// Whether something of a body has been taken from the client.
    pub const fn has_body(&self) -> bool {
        self.taken > 0
    }

    /// Whether not a single byte has been written, so that the request can go to somebody else
    /// whatever it asks for.
    pub const fn wrote_nothing(&self) -> bool {
        !self.wrote
    }

    /// Back to the start, if nothing of the body was taken from the client or nothing was written;
    /// then it can be sent again.
    #[must_use]
    pub fn rewound(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.taken > 0 && self.wrote {
            return None;
        }
        self.at = 0;
        self.wrote = false;
        self.progressed = false;
        self.unflushed = false;
        self.is_refused = false;
        Some(self)
    }

    /// Whether bytes were written since the last call.
    pub const fn take_progress(&mut self) -> bool {
        std::mem::replace(&mut self.progressed, false)
    }

    fn has_unwritten(&self) -> bool {
        self.at < self.frame.len() || !self.data.is_empty()
    }

    /// Writes what can be written now. An upstream that takes no more of it may still answer.
    pub fn advance(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), UploadError> {
        if !self.is_over() {
            let _ = self.poll(cx, io)?;
        }
        Ok(())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), UploadError>> {
        while !self.is_over() {
            let filled = if self.data.is_empty() {
                // Before the first write, so that head and a small body leave in one packet.
                self.poll_fill(cx)?
            } else {
                Poll::Ready(())
            };
            let has_unwritten = self.has_unwritten();
            let out = if has_unwritten {
                self.poll_write(cx, io)
            } else {
                self.poll_flush(cx, io)
            };
            self.is_refused = ready!(out).is_err();
            if !has_unwritten && !self.is_refused {
                ready!(filled);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        let io = Pin::new(io);
        let frame = &self.frame[self.at..];
        let written = if self.data.is_empty() {
            ready!(io.poll_write(cx, frame))
        } else {
            ready!(io.poll_write_vectored(cx, &[IoSlice::new(frame), IoSlice::new(&self.data)]))
        }?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.wrote = true;
        self.progressed = true;
        self.unflushed = true;
        let of_frame = written.min(frame.len());
        self.at += of_frame;
        let _ = self.data.split_to(written - of_frame);
        if self.taken > 0 && self.at == self.frame.len() {
            // The head is not needed any more.
            self.frame.clear();
            self.at = 0;
            if self.data.is_empty()
                && written > of_frame
                && matches!(self.body, UploadBody::Chunked { .. })
            {
                self.frame.extend_from_slice(b"\r\n");
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body from the client.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let payload = match &mut self.body {
            UploadBody::Done => return Poll::Ready(Ok(())),
            UploadBody::Sized { payload, .. } | UploadBody::Chunked { payload } => payload,
        };
        let piece = ready!(Pin::new(payload).poll_next(cx))
            .transpose()
            .map_err(|_| UploadError::Left)?;
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
            // More than announced cannot come; if it did, it must not go on.
            UploadBody::Sized { left, .. } => {
                *left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or(UploadError::Left)?;
            }
            UploadBody::Chunked { .. } => self
                .frame
                .extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes()),
            UploadBody::Done => return Err(UploadError::Left),
        }
        if matches!(self.body, UploadBody::Sized { left: 0, .. }) {
            self.body = UploadBody::Done;
        }
        self.data = piece;
        Ok(())
    }

    fn end(&mut self) -> Result<(), UploadError> {
        match &self.body {
            UploadBody::Sized { .. } => return Err(UploadError::Left),
            UploadBody::Chunked { .. } => self.frame.extend_from_slice(b"0\r\n\r\n"),
            UploadBody::Done => {}
        }
        self.body = UploadBody::Done;
        Ok(())
    }
}
