//! A request's head, read strictly: where it ends, what follows it, and nothing that two servers
//! could read in two ways.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};

use crate::edge::h1::fields::{Fields, Follows};
use crate::edge::h1::refusal::RequestRefusal;
use crate::edge::h1::target::{self, RequestTarget};
use crate::edge::settings::HeadLimits;
use crate::http::head::{RequestParts, Span};
use crate::http::method::goes_on;

/// Most header lines. Servers behind the gateway take about a hundred, and it adds some of its own.
pub const MAX_HEADERS: usize = 96;

const NO_REQUEST_LINE: RequestRefusal = RequestRefusal::malformed(
    "The request does not begin with a method, a target and a version of HTTP.",
);

/// A head that may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, the empty line included.
    pub len: usize,
    /// What comes after it.
    pub follows: Follows,
    /// Whether the client waits for "100 Continue" before it sends the body.
    pub expects: bool,
    /// Whether it is the last of its connection.
    pub last: bool,
    /// Where its parts stand in it.
    pub parts: RequestParts,
}

/// Reads the head at the beginning of `bytes`; `None`: it is not complete, as far as can be told
/// without reading it to its end.
pub fn read(bytes: &[u8], limits: HeadLimits) -> Result<Option<Head>, RequestRefusal> {
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut space) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        // Only the whole line tells another version from none.
        Err(Error::Version) if !bytes.trim_ascii_start().contains(&b'\n') => return Ok(None),
        Err(Error::Version) => return read_as_11(bytes, limits),
        Err(error) => return Err(refusal(error, bytes, limits)),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Ok(None);
    };
    if !goes_on(method) {
        return Err(RequestRefusal::METHOD);
    }
    if target.len() > limits.target {
        return Err(RequestRefusal::URI_TOO_LONG);
    }
    if len > limits.head {
        return Err(RequestRefusal::HEAD_TOO_LARGE);
    }
    check_line_ends(&bytes[..len], request.headers)?;
    let http_11 = version == 1;
    let fields = Fields::read(request.headers, http_11)?;
    let RequestTarget {
        path,
        query,
        escaped,
    } = target::read(method, target, fields.host)?;
    if target.len() + 2 * escaped > limits.target {
        return Err(RequestRefusal::URI_TOO_LONG);
    }
    let follows = fields.follows(method, http_11)?;
    let span = |part: &str| Span::of(part.as_bytes(), bytes);
    let lines = request
        .headers
        .iter()
        .map(|line| (span(line.name), Span::of(line.value, bytes)))
        .collect();
    let parts = RequestParts {
        method: span(method),
        path: span(path),
        query: query.map(span),
        escaped_query: (escaped > 0).then_some(query).flatten().map(target::escape),
        http_11,
        lines,
    };
    Ok(Some(Head {
        len,
        follows,
        expects: fields.expects,
        last: fields.is_last(http_11) || follows == Follows::End,
        parts,
    }))
}

/// A client of a later minor version is answered as one of HTTP/1.1 (RFC 9110, section 2.5).
fn read_as_11(bytes: &[u8], limits: HeadLimits) -> Result<Option<Head>, RequestRefusal> {
    let minor = later_minor(bytes).ok_or_else(|| refusal(Error::Version, bytes, limits))?;
    let mut as_11 = bytes.to_vec();
    as_11[minor] = b'1';
    read(&as_11, limits)
}

/// The parser takes a bare LF for the end of a line. It lets neither CR nor LF into a value, so the
/// byte before each LF tells.
fn check_line_ends(head: &[u8], headers: &[Header<'_>]) -> Result<(), RequestRefusal> {
    let start = head.as_ptr() as usize;
    let ends_well = |next_line: usize| next_line >= 2 && head[next_line - 2] == b'\r';
    let lines = headers
        .iter()
        .all(|header| ends_well(header.name.as_ptr() as usize - start));
    let leading = head
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    if lines && head.ends_with(b"\r\n\r\n") && head[..leading].chunks(2).all(|end| end == b"\r\n") {
        Ok(())
    } else {
        Err(RequestRefusal::LINE_END)
    }
}

fn refusal(error: Error, bytes: &[u8], limits: HeadLimits) -> RequestRefusal {
    match error {
        Error::TooManyHeaders => RequestRefusal::HEAD_TOO_LARGE,
        Error::Version => of_version(bytes),
        Error::HeaderName => RequestRefusal::malformed(
            "A header's name is not a word, is followed by a space, or the line continues another.",
        ),
        Error::HeaderValue => RequestRefusal::CONTROL,
        Error::NewLine => RequestRefusal::LINE_END,
        Error::Token | Error::Status
            if bytes.len() > limits.target && !bytes[..limits.target].contains(&b'\n') =>
        {
            RequestRefusal::URI_TOO_LONG
        }
        Error::Token | Error::Status => NO_REQUEST_LINE,
    }
}

/// `HTTP/2.0` is a version that this listener does not speak; anything else is none.
fn of_version(bytes: &[u8]) -> RequestRefusal {
    match version(bytes) {
        Some([major, minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            RequestRefusal::VERSION
        }
        _ => NO_REQUEST_LINE,
    }
}

/// Where the minor version stands that is higher than 1.
fn later_minor(bytes: &[u8]) -> Option<usize> {
    let line = first_line(bytes);
    let start = bytes.len() - bytes.trim_ascii_start().len();
    matches!(version(bytes), Some([b'1', b'2'..=b'9'])).then(|| start + line.len() - 1)
}

/// The major and the minor version behind a method and a target.
fn version(bytes: &[u8]) -> Option<[u8; 2]> {
    let mut words = first_line(bytes).split(|b| *b == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => Some([*major, *minor]),
        _ => None,
    }
}

/// The first line that is not empty, without its end.
pub(super) fn first_line(bytes: &[u8]) -> &[u8] {
    bytes
        .trim_ascii_start()
        .split(|b| matches!(b, b'\r' | b'\n'))
        .next()
        .unwrap_or_default()
}
