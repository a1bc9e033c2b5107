//! An answer on its way out: head and small body in one write, larger ones piece by piece as the
//! client takes them.

use std::cell::RefCell;
use std::io;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::HttpDate;
use actix_web::web::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;

use crate::clock::{Clock as _, SystemClock};
use crate::edge::h1::client::ClientConnection;
use crate::http::response::write_line;
use crate::http::{Answer, RequestHead, buffers};

/// Pieces of a body up to this length are copied behind what is to be written; larger ones are
/// written from where they are.
const COPIED: usize = 8 * 1024;
/// The most bytes that wait to be written.
const WAITING: usize = 16 * 1024;

/// An answer on its way out.
pub struct Writing<'a, B> {
    client: &'a RefCell<ClientConnection>,
    /// Gone when nothing more is to come of it and the client still sends.
    body: Option<B>,
    framing: AnswerFraming,
    /// What is to be written.
    out: BytesMut,
    /// What is to be written behind it.
    data: Bytes,
    /// Why nothing more comes of the body, though it has not ended.
    broken: Option<io::Error>,
    /// Ready when the answer is to break off.
    until: Option<LocalBoxFuture<'static, ()>>,
    /// Its last byte waits until the client has sent its body.
    keeps_end: bool,
    /// It is out in full.
    over: bool,
}

/// How the client knows where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerFraming {
    /// This many bytes are still to come.
    Sized(u64),
    /// In chunks; with `end_due`, the end of one must be written behind its data.
    Chunked { end_due: bool },
    /// With the connection, or by another protocol.
    Raw,
    /// It has ended.
    Ended,
}

/// What an answer says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Another request may come.
    Next,
    /// The connection ends.
    Close,
}

impl<'a, B: MessageBody + Unpin> Writing<'a, B> {
    /// Begins to write the answer to a request; `None`: to something that is none.
    pub fn new(
        client: &'a RefCell<ClientConnection>,
        request: Option<&RequestHead>,
        answer: Answer<B>,
    ) -> (Self, After) {
        let Answer { head, body, until } = answer;
        let status = head.status;
        let http_11 = request.is_some_and(|request| request.is_http_11);
        let switched = status == StatusCode::SWITCHING_PROTOCOLS;
        let framing = framing(status, body.size(), request, http_11);
        if switched {
            client.borrow_mut().switch();
        }
        // HTTP/1.0 clients rarely mean it when they ask for another one.
        let close = head.close
            || !http_11
            || !client.borrow().may_go_on()
            || (framing == AnswerFraming::Raw && !switched);
        client.borrow_mut().withdraw_continue();
        // Clients of HTTP/1.0 take the end of the connection for that of the answer.
        let keeps_end = http_11 && client.borrow().is_sending();
        let mut out = head.lines;
        if !head.is_dated {
            write_date(&mut out);
        }
        write_framing(&mut out, status, framing, body.size(), request);
        if switched {
            out.extend_from_slice(b"connection: Upgrade\r\n");
        } else if close {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        let after = if close { After::Close } else { After::Next };
        (
            Self {
                client,
                body: Some(body),
                framing,
                out,
                data: Bytes::new(),
                broken: None,
                until,
                keeps_end,
                over: false,
            },
            after,
        )
    }

    /// Writes on. Ready: it is out. An error: it broke off, or the client has left.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = self.poll_out(cx);
        if written.is_pending()
            && self
                .until
                .as_mut()
                .is_some_and(|until| until.as_mut().poll(cx).is_ready())
        {
            written = Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.over = matches!(written, Poll::Ready(Ok(())));
        written
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let filled = self.poll_fill(cx);
            if self.out.len() + self.data.len() > self.kept() {
                ready!(self.poll_write(cx))?;
                continue;
            }
            ready!(self.client.borrow_mut().poll_flush(cx))?;
            if self.kept() > 0 {
                // The account of the request ends here: what the client still sends is nobody's.
                self.body = None;
                ready!(self.client.borrow_mut().poll_sent(cx));
                self.keeps_end = false;
                continue;
            }
            // Only now: a client that saw nothing at all on a kept connection would send its
            // request again.
            if let Some(broken) = self.broken.take() {
                return Poll::Ready(Err(broken));
            }
            if self.framing == AnswerFraming::Ended {
                return Poll::Ready(Ok(()));
            }
            if filled.is_pending() {
                // Nobody waits for the rest of an answer whose client has left.
                return self
                    .client
                    .borrow_mut()
                    .poll_left(cx)
                    .map(|()| Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
    }

    /// How many bytes at the end are kept back.
    fn kept(&self) -> usize {
        usize::from(
            self.keeps_end
                && self.framing == AnswerFraming::Ended
                && !(self.out.is_empty() && self.data.is_empty()),
        )
    }

    /// Does not keep the end back any longer; whether it was.
    pub fn let_go(&mut self) -> bool {
        let kept = self.kept() > 0;
        self.keeps_end = false;
        kept
    }

    /// Takes pieces of the body while there is room for them.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.framing != AnswerFraming::Ended
            && self.broken.is_none()
            && self.data.is_empty()
            && self.out.len() < WAITING
        {
            let next = self
                .body
                .as_mut()
                .map_or(Poll::Ready(None), |body| Pin::new(body).poll_next(cx));
            let taken = match ready!(next) {
                Some(Ok(piece)) => self.take(piece),
                Some(Err(_)) => Err(io::ErrorKind::ConnectionAborted.into()),
                None => self.end(),
            };
            self.broken = taken.err();
        }
        Poll::Ready(())
    }

    fn take(&mut self, piece: Bytes) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let chunked = matches!(self.framing, AnswerFraming::Chunked { .. });
        if let AnswerFraming::Sized(left) = &mut self.framing {
            *left = left
                .checked_sub(piece.len() as u64)
                .ok_or(io::ErrorKind::InvalidData)?;
        }
        if chunked {
            let _ = write!((&mut self.out).writer(), "{:x}\r\n", piece.len());
        }
        if piece.len() > COPIED {
            if chunked {
                self.framing = AnswerFraming::Chunked { end_due: true };
            }
            self.data = piece;
            return Ok(());
        }
        self.out.extend_from_slice(&piece);
        if chunked {
            self.out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        match self.framing {
            // The client must not take it for whole.
            AnswerFraming::Sized(1..) => return Err(io::ErrorKind::UnexpectedEof.into()),
            AnswerFraming::Chunked { .. } => self.out.extend_from_slice(b"0\r\n\r\n"),
            AnswerFraming::Sized(0) | AnswerFraming::Raw | AnswerFraming::Ended => {}
        }
        self.framing = AnswerFraming::Ended;
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (of_out, of_data) = match self.kept() {
            kept if self.data.is_empty() => (self.out.len() - kept, 0),
            kept => (self.out.len(), self.data.len() - kept),
        };
        let written = ready!(
            self.client
                .borrow_mut()
                .poll_write(cx, [&self.out[..of_out], &self.data[..of_data]])
        )?;
        let of_out = written.min(self.out.len());
        self.out.advance(of_out);
        let _ = self.data.split_to(written - of_out);
        if self.out.is_empty()
            && self.data.is_empty()
            && self.framing == (AnswerFraming::Chunked { end_due: true })
        {
            self.framing = AnswerFraming::Chunked { end_due: false };
            self.out.extend_from_slice(b"\r\n");
        }
        Poll::Ready(Ok(()))
    }
}

impl<B> Drop for Writing<'_, B> {
    fn drop(&mut self) {
        buffers::keep(std::mem::take(&mut self.out));
        // Before its body goes, and with it the account of the request.
        if !self.over
            && let Ok(client) = self.client.try_borrow()
        {
            client.cut(self.framing == AnswerFraming::Raw);
        }
    }
}

/// RFC 9112 section 6.3.
fn framing(
    status: StatusCode,
    size: BodySize,
    request: Option<&RequestHead>,
    http_11: bool,
) -> AnswerFraming {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return AnswerFraming::Raw;
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || request.is_some_and(|request| request.method() == "HEAD");
    match size {
        _ if bodiless => AnswerFraming::Ended,
        BodySize::None | BodySize::Sized(0) => AnswerFraming::Ended,
        BodySize::Sized(length) => AnswerFraming::Sized(length),
        BodySize::Stream if http_11 => AnswerFraming::Chunked { end_due: false },
        BodySize::Stream => AnswerFraming::Raw,
    }
}

fn write_framing(
    out: &mut BytesMut,
    status: StatusCode,
    framing: AnswerFraming,
    size: BodySize,
    request: Option<&RequestHead>,
) {
    match (framing, size) {
        (AnswerFraming::Chunked { .. }, _) => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        (_, BodySize::Sized(length)) if has_length(status) => write_line(
            out,
            "content-length",
            itoa::Buffer::new().format(length).as_bytes(),
        ),
        // A client would wait for a body.
        (_, BodySize::None)
            if has_length(status) && request.is_none_or(|request| request.method() != "HEAD") =>
        {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        _ => {}
    }
}

/// Whether an answer of this status may say how long its body is.
fn has_length(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Upstreams date their own answers (RFC 9110 section 6.6.1).
fn write_date(out: &mut BytesMut) {
    thread_local! {
        /// The last second that was written, and how.
        static WRITTEN: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let second = SystemClock.unix_now().0 / 1000;
    WRITTEN.with_borrow_mut(|(last, text)| {
        if *last != second {
            let time: SystemTime = UNIX_EPOCH + Duration::from_secs(second);
            *last = second;
            *text = HttpDate::from(time).to_string();
        }
        write_line(out, "date", text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;

    use actix_web::body::BodyStream;
    use socket2::SockRef;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::*;
    use crate::edge::h1::client::tests::patient;
    use crate::http::AnswerHead;

    /// A client that never takes all that waits for it. What it has taken must not be kept for
    /// that.
    #[tokio::test]
    async fn what_a_slow_client_has_taken_is_not_kept() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        // The smallest that there is, so that each write takes only a part.
        SockRef::from(&socket).set_send_buffer_size(1).unwrap();
        let client = RefCell::new(patient(socket));
        let piece = Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1000]));
        let endless = BodyStream::new(futures_util::stream::repeat(piece));
        let answer = Answer::new(AnswerHead::new(StatusCode::OK), endless);
        let (mut writing, _) = Writing::new(&client, None, answer);
        let mut most = 0;
        let write = poll_fn(|cx| {
            let written = writing.poll(cx);
            most = most.max(writing.out.capacity());
            written
        });
        let read = async {
            let mut buf = [0; 512];
            let mut taken = 0;
            while taken < 64 * WAITING {
                taken += peer.read(&mut buf).await.unwrap();
            }
        };
        tokio::select! { ended = write => panic!("{ended:?}"), () = read => {} }
        assert!(
            (WAITING..=4 * WAITING).contains(&most),
            "{most} bytes for what waits"
        );
    }
}
