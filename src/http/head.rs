//! The head of a request as it came: one buffer, and in it the places of its parts. Nothing is
//! copied out of it, and nothing changed.

use std::rc::Rc;

use actix_web::web::BytesMut;
use actix_web::{HttpMessage as _, HttpRequest};

use crate::http::buffers;
use crate::http::connection::ConnectionInfo;

/// Where a part of a message's head stands in its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

/// The header lines of a message: names in lower case.
#[derive(Debug, Default)]
pub struct HeaderLines {
    bytes: BytesMut,
    lines: Vec<(Span, Span)>,
}

/// The header lines of a message, to look at.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    lines: &'a [(Span, Span)],
}

/// The value of a header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

/// The places of the parts of a request's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestParts {
    pub method: Span,
    /// The path, as it came.
    pub path: Span,
    /// The query, without its question mark.
    pub query: Option<Span>,
    /// The query with its escapes, where it came with characters that need them.
    pub escaped_query: Option<String>,
    /// HTTP/1.1, not HTTP/1.0.
    pub http_11: bool,
    /// Names and values of the header lines.
    pub lines: Vec<(Span, Span)>,
}

/// The head of a request, and where it came from.
#[derive(Debug, Default)]
pub struct RequestHead {
    headers: HeaderLines,
    /// What stands before the header lines: the method and the target, as text.
    start: String,
    method: Span,
    path: Span,
    query: Option<Span>,
    /// Whether it is HTTP/1.1, and not HTTP/1.0.
    pub is_http_11: bool,
    /// The connection that it came on.
    pub connection: Rc<ConnectionInfo>,
}

impl Span {
    /// Where `part` stands in `whole`, of which it is a piece of less than 4 GiB. An empty one may
    /// stand anywhere.
    pub fn of(part: &[u8], whole: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let at = |place: usize| u32::try_from(place).unwrap_or_default();
        Self {
            start: at(start),
            end: at(start + part.len()),
        }
    }

    fn within(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    fn text(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

impl HeaderLines {
    /// The lines at these places of a head, whose names are put into lower case.
    pub fn new(mut bytes: BytesMut, lines: Vec<(Span, Span)>) -> Self {
        for (name, _) in &lines {
            if let Some(name) = bytes.get_mut(name.start as usize..name.end as usize) {
                name.make_ascii_lowercase();
            }
        }
        Self { bytes, lines }
    }

    /// To look at.
    pub fn view(&self) -> Headers<'_> {
        Headers {
            bytes: &self.bytes,
            lines: &self.lines,
        }
    }
}

impl<'a> Headers<'a> {
    /// All lines in their order; names in lower case.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        self.lines
            .iter()
            .map(move |(name, value)| (name.within(self.bytes), Value(value.within(self.bytes))))
    }

    /// All lines in their order, with what each looks like where it is written as everybody writes
    /// it: `name: value` and a line end.
    pub fn whole_lines(self) -> impl Iterator<Item = (&'a [u8], Value<'a>, Option<&'a [u8]>)> {
        self.lines.iter().map(move |(name, value)| {
            let whole = Span {
                start: name.start,
                end: value.end + 2,
            }
            .within(self.bytes);
            let as_usual = name.end + 2 == value.start
                && whole.ends_with(b"\r\n")
                && self.bytes[name.end as usize..value.start as usize] == *b": ";
            (
                name.within(self.bytes),
                Value(value.within(self.bytes)),
                as_usual.then_some(whole),
            )
        })
    }

    /// The values under a name, which is given in lower case.
    pub fn get_all(self, name: &str) -> impl DoubleEndedIterator<Item = Value<'a>> {
        // The length tells most names apart.
        let lines = self.lines.iter().filter(move |(own, _)| {
            own.len() == name.len() && own.within(self.bytes) == name.as_bytes()
        });
        lines.map(move |(_, value)| Value(value.within(self.bytes)))
    }

    /// The first value under a name.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.get_all(name).next()
    }

    /// Whether there is a line of this name.
    pub fn contains(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a comma-separated list under this name has a word, in any case.
    pub fn lists(self, name: &str, word: &[u8]) -> bool {
        self.get_all(name)
            .any(|value| list_items(value.bytes()).any(|item| item.eq_ignore_ascii_case(word)))
    }

    /// The value of a header that occurs once, if it is text.
    pub fn single(self, name: &str) -> Option<&'a str> {
        let mut values = self.get_all(name);
        let value = values.next()?;
        if values.next().is_some() {
            None
        } else {
            value.text()
        }
    }
}

/// The items of a comma-separated list.
pub fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

impl<'a> Value<'a> {
    /// As it came.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// If it is nothing but visible ASCII, spaces and tabs.
    pub fn text(self) -> Option<&'a str> {
        // To its end in any case, so that many bytes are looked at at once.
        let visible = self.0.iter().fold(true, |visible, b| {
            visible & matches!(b, b'\t' | b' '..=b'~')
        });
        if visible {
            std::str::from_utf8(self.0).ok()
        } else {
            None
        }
    }
}

impl Drop for RequestHead {
    fn drop(&mut self) {
        buffers::keep(std::mem::take(&mut self.headers.bytes));
    }
}

impl RequestHead {
    /// The head in these bytes, whose method and path were found to be ASCII, and the query too
    /// where it is not given in an escaped form.
    pub fn new(bytes: BytesMut, parts: RequestParts, connection: Rc<ConnectionInfo>) -> Self {
        let RequestParts {
            method,
            path,
            mut query,
            escaped_query,
            http_11,
            lines,
        } = parts;
        let end = query.unwrap_or_default().end.max(path.end).max(method.end);
        let mut start = std::str::from_utf8(bytes.get(..end as usize).unwrap_or_default())
            .unwrap_or_default()
            .to_owned();
        if let Some((query, escaped)) = query.as_mut().zip(escaped_query) {
            // Last in the text, and this is what everybody reads and passes on.
            start.truncate(query.start as usize);
            start.push_str(&escaped);
            query.end = query.start + u32::try_from(escaped.len()).unwrap_or_default();
        }
        Self {
            headers: HeaderLines::new(bytes, lines),
            start,
            method,
            path,
            query,
            is_http_11: http_11,
            connection,
        }
    }

    /// The head of a request to one of the gateway's own endpoints. A request that came from
    /// nowhere has an empty one.
    pub fn of(request: &HttpRequest) -> Rc<Self> {
        request
            .extensions()
            .get::<Rc<Self>>()
            .cloned()
            .unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.method.text(&self.start)
    }

    /// The path, as it came.
    pub fn path(&self) -> &str {
        // "http://host" names the root without a word.
        if self.path == Span::default() {
            "/"
        } else {
            self.path.text(&self.start)
        }
    }

    /// The scheme and the host that stand before the path in the target, where they do.
    pub fn origin(&self) -> Option<&str> {
        let (start, end) = (self.method.end as usize, self.path.start as usize);
        let origin = self.start.get(start..end)?.trim();
        (!origin.is_empty()).then_some(origin)
    }

    /// The query, without its question mark: as it came, but for characters that need an escape and
    /// came without.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|query| query.text(&self.start))
    }

    /// Its header lines.
    pub fn headers(&self) -> Headers<'_> {
        self.headers.view()
    }
}

#[cfg(test)]
impl RequestHead {
    /// A head as a client would write it, for tests.
    pub(crate) fn sample(method: &str, target: &str, lines: &[(&str, &str)]) -> Self {
        let mut bytes = BytesMut::new();
        let mut put = |part: &str| {
            let start = u32::try_from(bytes.len()).unwrap();
            bytes.extend_from_slice(part.as_bytes());
            Span {
                start,
                end: u32::try_from(bytes.len()).unwrap(),
            }
        };
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        let method = put(method);
        let path = put(path);
        let query = query.map(&mut put);
        let lines = lines
            .iter()
            .map(|(name, value)| (put(name), put(value)))
            .collect();
        let parts = RequestParts {
            method,
            path,
            query,
            escaped_query: None,
            http_11: true,
            lines,
        };
        Self::new(bytes, parts, Rc::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_values_are_as_they_came() {
        let head = RequestHead::sample(
            "GET",
            "/a?b=c",
            &[
                ("X-Wx-Skey", "T u"),
                ("Cookie", "a=1"),
                ("COOKIE", "b=\u{e9}"),
            ],
        );
        assert_eq!(
            (head.method(), head.path(), head.query()),
            ("GET", "/a", Some("b=c"))
        );
        let headers = head.headers();
        assert_eq!(headers.single("x-wx-skey"), Some("T u"));
        assert_eq!(headers.single("cookie"), None);
        assert_eq!(
            headers
                .get_all("cookie")
                .map(Value::text)
                .collect::<Vec<_>>(),
            [Some("a=1"), None]
        );
        assert!(!headers.contains("x-other"));
        assert_eq!(
            headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            [&b"x-wx-skey"[..], b"cookie", b"cookie"]
        );
    }

    #[test]
    fn a_request_from_nowhere_has_an_empty_head() {
        let head = RequestHead::default();
        assert_eq!(
            (
                head.method(),
                head.path(),
                head.query(),
                head.headers().iter().count()
            ),
            ("", "/", None, 0)
        );
    }
}
