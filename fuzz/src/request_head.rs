//! A request head that is taken has the same end, framing and host for whoever reads it in the
//! plainest way.

use std::rc::Rc;

use actix_web::web::BytesMut;
use hufu::edge::HeadLimits;
use hufu::edge::h1::fields::Follows;
use hufu::edge::h1::head::read;
use hufu::http::RequestHead;

const LIMITS: HeadLimits = HeadLimits {
    head: 4096,
    target: 1024,
};

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(Some(head)) = read(data, LIMITS) else {
        return;
    };
    assert!(head.len <= data.len() && head.len <= LIMITS.head);
    let bytes = &data[..head.len];
    assert_eq!(
        read(bytes, LIMITS),
        Ok(Some(head.clone())),
        "what follows a head has no say in it"
    );
    let cut = usize::from(data[data.len() - 1]) % head.len;
    assert!(
        !matches!(read(&data[..cut], LIMITS), Ok(Some(_))),
        "a beginning of {cut} bytes is no head"
    );
    let plain = Plain::read(bytes);
    assert!(
        !["CONNECT", "TRACE"].contains(&plain.method),
        "{}",
        plain.method
    );
    assert!(
        plain
            .method
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
        "{}",
        plain.method
    );
    let (in_path, in_query) = plain
        .target
        .split_once('?')
        .map_or((plain.target, ""), |(path, query)| (path, query));
    assert!(
        in_path
            .bytes()
            .chain(in_query.bytes().filter(u8::is_ascii))
            .all(|b| b.is_ascii_graphic() && b != b'#'),
        "{}",
        plain.target
    );
    let behind = |scheme: &str| {
        plain
            .target
            .split_at_checked(scheme.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(scheme))
    };
    let scheme = behind("http://")
        .map(|(_, rest)| (80, rest))
        .or_else(|| behind("https://").map(|(_, rest)| (443, rest)));
    let path = scheme.map(|(_, rest)| rest);
    match scheme {
        Some((usual, rest)) => {
            let (named, host) = (rest.split(['/', '?']).next(), plain.values("host").next());
            assert_eq!(
                named.map(|host| place(host, usual)),
                host.map(|host| place(host, usual)),
                "two hosts: {named:?} and {host:?}"
            );
        }
        None => assert!(
            plain.target.starts_with('/') || (plain.method == "OPTIONS" && plain.target == "*"),
            "{}",
            plain.target
        ),
    }
    let found = RequestHead::new(BytesMut::from(bytes), head.parts.clone(), Rc::default());
    let target = path.map_or(plain.target, |rest| {
        &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
    });
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    assert_eq!(
        (found.method(), found.is_http_11),
        (plain.method, plain.version != "HTTP/1.0")
    );
    is_escaped(query, found.query());
    assert_eq!(found.path(), if path.is_empty() { "/" } else { path });
    assert!(
        found
            .headers()
            .iter()
            .map(|(name, value)| (name, value.bytes()))
            .eq(plain
                .fields
                .iter()
                .map(|(name, value)| (name.as_bytes(), *value)))
    );
    follows(&plain, head.follows);
    assert!(
        !plain.lists("connection", "close") || head.last,
        "it asked for the end of the connection"
    );
}

/// The name without its case, and the port, which may be left out or empty.
fn place(host: &str, usual: u32) -> (String, u32) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    (
        name.to_ascii_lowercase(),
        if port.is_empty() {
            usual
        } else {
            port.parse().expect("a port is a number")
        },
    )
}

/// A query goes on as it came, but for what no server's parser must take; that is escaped, and
/// nothing else.
fn is_escaped(came: Option<&str>, goes_on: Option<&str>) {
    let (Some(came), Some(goes_on)) = (came, goes_on) else {
        return assert_eq!(came, goes_on);
    };
    let needs = |b: u8| !b.is_ascii() || matches!(b, b'"' | b'<' | b'>');
    let expected: String = came
        .bytes()
        .map(|b| {
            if needs(b) {
                format!("%{b:02X}")
            } else {
                char::from(b).to_string()
            }
        })
        .collect();
    assert_eq!(goes_on, expected);
    assert!(
        goes_on
            .bytes()
            .all(|b| b.is_ascii_graphic() && !needs(b) && b != b'#'),
        "{goes_on}"
    );
}

fn follows(plain: &Plain<'_>, follows: Follows) {
    let one = |name: &str| {
        let values: Vec<&str> = plain.values(name).collect();
        assert!(values.len() <= 1, "{name} came {} times", values.len());
        values.first().copied()
    };
    let http_11 = plain.version != "HTTP/1.0";
    assert!(one("host").is_some() || !http_11, "no host");
    match (one("content-length"), one("transfer-encoding")) {
        (Some(_), Some(_)) => panic!("two framings"),
        (Some(length), None) => {
            let length: u64 = length.parse().expect("a length is a number");
            match follows {
                Follows::Sized(announced) => assert_eq!(announced, length),
                Follows::Nothing | Follows::Handshake | Follows::End => assert_eq!(length, 0),
                Follows::Chunked => panic!("another framing"),
            }
        }
        (None, Some(coding)) => assert!(
            coding.eq_ignore_ascii_case("chunked") && http_11 && follows == Follows::Chunked
        ),
        (None, None) => assert!(matches!(
            follows,
            Follows::Nothing | Follows::Handshake | Follows::End
        )),
    }
    if follows == Follows::Handshake {
        assert!(
            plain.method == "GET"
                && http_11
                && plain.lists("connection", "upgrade")
                && plain.lists("upgrade", "websocket")
        );
    }
}

/// A head split at its line ends, spaces and colons, and nothing more.
struct Plain<'a> {
    method: &'a str,
    target: &'a str,
    version: &'a str,
    fields: Vec<(String, &'a [u8])>,
}

impl<'a> Plain<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut start = bytes;
        while let Some(rest) = start.strip_prefix(b"\r\n") {
            start = rest;
        }
        let text = start
            .strip_suffix(b"\r\n\r\n")
            .expect("it ends with an empty line");
        let mut lines = split(text, b"\r\n").into_iter();
        let first =
            std::str::from_utf8(lines.next().unwrap_or_default()).expect("a request line is text");
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, version] = words[..] else {
            panic!("{first:?} has other than three words")
        };
        let minor = version
            .strip_prefix("HTTP/1.")
            .and_then(|minor| minor.parse::<u8>().ok());
        assert!(
            minor.is_some_and(|minor| minor < 10) && version.len() == 8,
            "{version}"
        );
        Self {
            method,
            target,
            version,
            fields: lines.map(field).collect(),
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let found: Vec<&[u8]> = self
            .fields
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| *value)
            .collect();
        found
            .into_iter()
            .map(|value| std::str::from_utf8(value).expect("a field that frames is ASCII"))
    }

    fn lists(&self, name: &str, word: &str) -> bool {
        let has = |value: &[u8]| {
            value
                .split(|b| *b == b',')
                .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        self.fields
            .iter()
            .any(|(own, value)| own == name && has(value))
    }
}

fn field(line: &[u8]) -> (String, &[u8]) {
    assert!(
        !line
            .iter()
            .any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f),
        "a control character in {line:?}"
    );
    let colon = line
        .iter()
        .position(|b| *b == b':')
        .expect("a field has a colon");
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    assert!(
        colon > 0 && line[..colon].iter().all(is_word),
        "{line:?} has a name that is no word"
    );
    (
        String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase(),
        line[colon + 1..].trim_ascii(),
    )
}

fn split<'a>(mut text: &'a [u8], end: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = text.windows(end.len()).position(|window| window == end) {
        parts.push(&text[..at]);
        text = &text[at + end.len()..];
    }
    parts.push(text);
    parts
}
