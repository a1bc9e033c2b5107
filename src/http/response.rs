//! An answer on its way to the client: its head as it will be written, and its body.

use actix_web::HttpResponse;
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::web::BytesMut;
use futures_util::future::LocalBoxFuture;

use crate::http::buffers;

/// An answer. Who writes it out adds what says where its body ends.
pub struct Answer<B> {
    pub head: AnswerHead,
    pub body: B,
    /// Ready when it is to break off, whatever is still to come of it. It is asked only while the
    /// answer waits: for the body or for the client.
    pub until: Option<LocalBoxFuture<'static, ()>>,
}

/// The head of an answer: the status line and the header lines so far, without those of the framing
/// and of the connection.
#[derive(Debug)]
pub struct AnswerHead {
    pub status: StatusCode,
    /// Those so far, with the status line.
    pub lines: BytesMut,
    /// Whether there is a `Date`.
    pub is_dated: bool,
    /// The connection ends with this answer.
    pub close: bool,
}

impl AnswerHead {
    /// A head without header lines.
    pub fn new(status: StatusCode) -> Self {
        let mut lines = buffers::spare();
        if status == StatusCode::OK {
            lines.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        } else {
            lines.extend_from_slice(b"HTTP/1.1 ");
            lines.extend_from_slice(status.as_str().as_bytes());
            lines.extend_from_slice(b" ");
            lines.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        Self {
            status,
            lines,
            is_dated: false,
            close: false,
        }
    }

    /// Whether there is a line of this name, given in lower case. It looks through all of them.
    pub fn contains(&self, name: &str) -> bool {
        self.lines[..].split(|b| *b == b'\n').any(|line| {
            line.strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&b':'))
        })
    }

    /// Adds a line. Its name is in lower case, and neither holds a line end.
    #[inline]
    pub fn push(&mut self, name: &str, value: &[u8]) {
        write_line(&mut self.lines, name, value);
    }

    /// Adds lines that are written already.
    pub fn push_lines(&mut self, lines: &str) {
        self.lines.extend_from_slice(lines.as_bytes());
    }

    /// Adds a line of an upstream's; `whole`: as it looks with its line end.
    pub fn pass(&mut self, name: &[u8], value: &[u8], whole: Option<&[u8]>) {
        self.is_dated |= name == b"date";
        pass_line(&mut self.lines, name, value, whole);
    }
}

/// Writes a header line.
#[inline]
pub fn write_line(out: &mut BytesMut, name: impl AsRef<[u8]>, value: &[u8]) {
    let name = name.as_ref();
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a header line that has come in; `whole`: as it looks with its line end.
pub fn pass_line(out: &mut BytesMut, name: &[u8], value: &[u8], whole: Option<&[u8]>) {
    match whole {
        Some(whole) => out.extend_from_slice(whole),
        None => write_line(out, name, value),
    }
}

impl<B> From<HttpResponse<B>> for Answer<B> {
    fn from(response: HttpResponse<B>) -> Self {
        let mut head = AnswerHead::new(response.status());
        for (name, value) in response
            .headers()
            .iter()
            .filter(|(name, _)| ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name))
        {
            head.pass(name.as_str().as_bytes(), value.as_bytes(), None);
        }
        head.close = response.head().connection_type() == ConnectionType::Close;
        Self::new(head, response.into_body())
    }
}

impl<B> Answer<B> {
    /// An answer that ends with its body.
    pub const fn new(head: AnswerHead, body: B) -> Self {
        Self {
            head,
            body,
            until: None,
        }
    }

    /// The answer with another body.
    pub fn map_body<C>(self, map: impl FnOnce(B) -> C) -> Answer<C> {
        Answer {
            head: self.head,
            body: map(self.body),
            until: self.until,
        }
    }
}
