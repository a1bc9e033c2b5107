//! Reading an upstream's answer, strictly: what could be read in two ways is an error, since the
//! next answer on the same connection would be somebody else's. Oddities with one meaning are read
//! over.

use std::mem::MaybeUninit;

use actix_web::http::StatusCode;
use actix_web::web::{Buf as _, BytesMut};

use crate::http::body_decoder::BodyDecoder;
use crate::http::chunks::Chunks;
use crate::http::head::{HeaderLines, Headers, Span, Value, list_items};
use crate::upstream_client::upgrade::Upgrade;

/// Longest head of an answer, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
/// Interim answers that are read over. Some servers send one every few seconds (`102`) while they
/// work.
const MAX_INTERIM: u8 = 64;

/// The head of an answer.
#[derive(Debug)]
pub struct ResponseHead {
    /// Its status, never an interim one but 101.
    pub status: StatusCode,
    /// Its headers as they came, those of the framing and of the connection included.
    pub headers: HeaderLines,
    /// Its body. Behind a 101 it is no HTTP any more, but the protocol that was agreed on.
    pub body: BodyDecoder,
    /// Whether it has no body whatever its headers say: it answers HEAD, or is a 204 or 304.
    pub bodiless: bool,
    /// The announced length, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the connection can carry another request.
    pub keep_alive: bool,
}

/// Why an answer is no answer. For the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not an HTTP/1 head.
    #[error("it is not HTTP/1.1")]
    NotHttp,
    /// A head over [`MAX_HEAD`] bytes or with too many headers.
    #[error("its head is too long")]
    HeadTooLong,
    /// A status out of range, or a switch of protocols that nobody asked for.
    #[error("its status is invalid")]
    Status,
    /// A switch of protocols that does not answer the handshake.
    #[error("its 101 does not answer the WebSocket handshake")]
    Handshake,
    /// Differing or malformed lengths, or a length beside a transfer encoding.
    #[error("its length is ambiguous")]
    Length,
    /// A transfer encoding that is not plainly `chunked`.
    #[error("its transfer encoding is not \"chunked\"")]
    TransferEncoding,
    /// Too many interim answers.
    #[error("it sent too many interim answers")]
    Interim,
    /// Not an HTTP/1 head, on a connection that has carried an answer before.
    #[error("it is not HTTP/1.1, or the backend sent bytes after the end of its last answer")]
    Leftover,
    /// A malformed chunk.
    #[error("a chunk of its body is malformed")]
    Chunk,
    /// The connection ended within the answer.
    #[error("it broke off")]
    Cut,
}

/// Takes a head off the front of `buf`; `None`: more bytes are needed. Interim answers are taken
/// off and counted in `interim`.
pub fn take(
    buf: &mut BytesMut,
    method: &str,
    upgrade: Option<&Upgrade>,
    interim: &mut u8,
) -> Result<Option<ResponseHead>, BadAnswer> {
    loop {
        read_as_1_1(buf);
        let Some(Front {
            len,
            status,
            version,
            lines,
        }) = parse_front(buf)?
        else {
            return Ok(None);
        };
        // Copied: a part of the buffer that lived on would keep the buffer from being used again.
        let head = BytesMut::from(&buf[..len]);
        buf.advance(len);
        if (100..200).contains(&status) {
            *interim += 1;
            if status == 101 {
                let upgrade = upgrade.ok_or(BadAnswer::Status)?;
                return ResponseHead::switched(version, HeaderLines::new(head, lines), upgrade)
                    .map(Some);
            }
            if *interim > MAX_INTERIM {
                return Err(BadAnswer::Interim);
            }
            continue;
        }
        return ResponseHead::new(method, status, version, HeaderLines::new(head, lines)).map(Some);
    }
}

/// A head as it stands at the front of what was read.
struct Front {
    len: usize,
    status: u16,
    version: u8,
    lines: Vec<(Span, Span)>,
}

/// A later minor version is read as the highest that is known (RFC 9110 section 2.5).
fn read_as_1_1(buf: &mut [u8]) {
    // Empty lines before a head are read over.
    let start = buf
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    if let Some(
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'2'..=b'9',
        ],
    ) = buf.get_mut(start..start + 8)
    {
        *minor = b'1';
    }
}

/// The head at the front; `None`: it is not complete yet.
fn parse_front(buf: &[u8]) -> Result<Option<Front>, BadAnswer> {
    // Not written before it is used: 4 KiB of empty headers would cost more than parsing the real
    // ones.
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        buf,
        &mut lines,
    ) {
        Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => {
            let lines = response
                .headers
                .iter()
                .map(|line| {
                    (
                        Span::of(line.name.as_bytes(), buf),
                        Span::of(line.value, buf),
                    )
                })
                .collect();
            Ok(Some(Front {
                len,
                status: response.code.unwrap_or(0),
                version: response.version.unwrap_or(0),
                lines,
            }))
        }
        Ok(httparse::Status::Partial) if buf.len() < MAX_HEAD => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(BadAnswer::HeadTooLong),
        Err(_) => Err(BadAnswer::NotHttp),
    }
}

impl ResponseHead {
    fn new(
        method: &str,
        status: u16,
        version: u8,
        headers: HeaderLines,
    ) -> Result<Self, BadAnswer> {
        // From 600 on they have no meaning, and go on as they came.
        if !(200..1000).contains(&status) {
            return Err(BadAnswer::Status);
        }
        let status = StatusCode::from_u16(status).map_err(|_| BadAnswer::Status)?;
        let lines = headers.view();
        let content_length = content_length(lines)?;
        let chunked = is_chunked(lines, version)?;
        if chunked && content_length.is_some() {
            return Err(BadAnswer::Length);
        }
        let bodiless = method == "HEAD"
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        let body = match (bodiless, chunked, content_length) {
            (true, ..) | (false, false, Some(0)) => BodyDecoder::Complete,
            (false, true, _) => BodyDecoder::Chunked(Chunks::of_upstream()),
            (false, false, Some(length)) => BodyDecoder::Sized(length),
            (false, false, None) => BodyDecoder::UntilClose,
        };
        let keep_alive =
            version == 1 && body != BodyDecoder::UntilClose && !lines.lists("connection", b"close");
        Ok(Self {
            status,
            headers,
            body,
            bodiless,
            content_length,
            keep_alive,
        })
    }

    /// The answer to a handshake.
    fn switched(version: u8, headers: HeaderLines, upgrade: &Upgrade) -> Result<Self, BadAnswer> {
        if version != 1 || !upgrade.is_answered_by(headers.view()) {
            return Err(BadAnswer::Handshake);
        }
        Ok(Self {
            status: StatusCode::SWITCHING_PROTOCOLS,
            headers,
            body: BodyDecoder::UntilClose,
            bodiless: false,
            content_length: None,
            keep_alive: false,
        })
    }
}

/// Plain digits, or none. The same length twice, in two lines or as a list, is one (RFC 9112
/// section 6.3): something on the way has joined what two have set.
fn content_length(headers: Headers<'_>) -> Result<Option<u64>, BadAnswer> {
    let mut length = None;
    for digits in headers
        .get_all("content-length")
        .flat_map(|line| list_items(line.bytes()))
    {
        let parsed = std::str::from_utf8(digits)
            .ok()
            .filter(|_| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
        let parsed: u64 = parsed
            .and_then(|digits| digits.parse().ok())
            .ok_or(BadAnswer::Length)?;
        if length.replace(parsed).is_some_and(|other| other != parsed) {
            return Err(BadAnswer::Length);
        }
    }
    Ok(length)
}

fn is_chunked(headers: Headers<'_>, version: u8) -> Result<bool, BadAnswer> {
    let mut lines = headers.get_all("transfer-encoding").map(Value::bytes);
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(line), None) if version == 1 && line.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(BadAnswer::TransferEncoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, method: &str) -> Result<Option<ResponseHead>, BadAnswer> {
        take(&mut BytesMut::from(text), method, None, &mut 0)
    }

    #[test]
    fn framing_follows_rfc_9112() {
        for (head, method, body, keep_alive) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                "GET",
                BodyDecoder::Sized(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                "HEAD",
                BodyDecoder::Complete,
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                "GET",
                BodyDecoder::Chunked(Chunks::of_upstream()),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n",
                "GET",
                BodyDecoder::UntilClose,
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                "GET",
                BodyDecoder::Sized(5),
                false,
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                "GET",
                BodyDecoder::Complete,
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                "GET",
                BodyDecoder::Complete,
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n",
                "GET",
                BodyDecoder::Sized(5),
                false,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "GET",
                BodyDecoder::Complete,
                true,
            ),
        ] {
            let head = read(head, method).unwrap().unwrap();
            assert_eq!((head.body, head.keep_alive), (body, keep_alive));
        }
        assert!(
            read("HTTP/1.1 200 OK\r\nContent-", "GET")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn oddities_with_one_meaning_are_read_over() {
        let working = "HTTP/1.1 102 Processing\r\n\r\n".repeat(64)
            + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        for (head, status) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                200,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5 ,5\r\ncontent-length: 05\r\n\r\n",
                200,
            ),
            ("HTTP/1.1 600 Odd\r\nContent-Length: 5\r\n\r\n", 600),
            ("HTTP/1.1 999\r\nContent-Length: 5\r\n\r\n", 999),
            ("HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
            ("\r\nHTTP/1.9 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
            (
                "HTTP/1.3 102 Processing\r\n\r\nHTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n",
                200,
            ),
            (&working, 200),
        ] {
            let read = read(head, "GET").unwrap().unwrap();
            assert_eq!(
                (read.status.as_u16(), read.body, read.keep_alive),
                (status, BodyDecoder::Sized(5), true),
                "{head}"
            );
        }
    }

    #[test]
    fn ambiguous_answers_are_refused() {
        let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(65);
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(MAX_HEAD));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
        for (why, heads) in [
            (
                BadAnswer::Length,
                &[
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length:\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                ][..],
            ),
            (
                BadAnswer::TransferEncoding,
                &[
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                ],
            ),
            (
                BadAnswer::Status,
                &[
                    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
                    "HTTP/1.1 099 Odd\r\n\r\n",
                    "HTTP/1.1 000 Odd\r\n\r\n",
                ],
            ),
            (
                BadAnswer::NotHttp,
                &[
                    "HTTP/1.1 1000 Odd\r\n\r\n",
                    "HTTP/1.10 200 OK\r\n\r\n",
                    "HTTP/1.x 200 OK\r\n\r\n",
                    "HTTP/2.1 200 OK\r\n\r\n",
                    "HTTP/1.1 99 Odd\r\n\r\n",
                    "SSH-2.0-OpenSSH_9\r\n",
                    "HTTP/2 200 OK\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
                ],
            ),
            (BadAnswer::Interim, &[&*flood]),
            (BadAnswer::HeadTooLong, &[&*long, &*many]),
        ] {
            for head in heads {
                assert_eq!(read(head, "GET").unwrap_err(), why, "{head}");
            }
        }
    }
}
