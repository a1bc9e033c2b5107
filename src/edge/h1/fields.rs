//! The header fields that decide where a request ends and what may come after it.

use httparse::Header;

use crate::edge::h1::refusal::RequestRefusal;
use crate::edge::h1::target::is_host;
use crate::http::head::list_items;

/// Longest header name, in bytes. Servers behind the gateway may not take longer ones, and some
/// panic on one over 65 535.
const MAX_NAME: usize = 256;
const WEBSOCKET: &[u8] = b"websocket";

/// What the fields of one head say.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    /// The one `Host`.
    pub host: Option<&'a [u8]>,
    /// Whether the client waits for "100 Continue".
    pub expects: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    websocket: bool,
    options: Options,
    key: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
}

/// What comes after a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The next head.
    Nothing,
    /// A body of so many bytes.
    Sized(u64),
    /// A body in chunks.
    Chunked,
    /// A WebSocket's bytes, once the answer is 101.
    Handshake,
    /// Nothing that counts: the connection ends with the answer.
    End,
}

/// What `Connection` names.
#[derive(Debug, Default)]
struct Options {
    upgrade: bool,
    close: bool,
    keep_alive: bool,
}

impl<'a> Fields<'a> {
    /// Reads the fields; what has two readings is refused.
    pub fn read(headers: &[Header<'a>], http_11: bool) -> Result<Self, RequestRefusal> {
        let mut fields = Self::default();
        for header in headers {
            // The length tells most names apart, so that few are compared.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => fields.host(header.value)?,
                6 if http_11 && header.name.eq_ignore_ascii_case("expect") => {
                    fields.expect(header.value)?;
                }
                7 if header.name.eq_ignore_ascii_case("upgrade") => fields.upgrade(header.value)?,
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    fields.options.read(header.value);
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    fields.length(header.value)?;
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.transfer_encoding(header.value, http_11)?;
                }
                17 if header.name.eq_ignore_ascii_case("sec-websocket-key") => {
                    once(&mut fields.key, header.value)?;
                }
                21 if header.name.eq_ignore_ascii_case("sec-websocket-version") => {
                    once(&mut fields.version, header.value)?;
                }
                0..=MAX_NAME => {}
                _ => return Err(RequestRefusal::HEAD_TOO_LARGE),
            }
        }
        if fields.chunked && fields.length.is_some() {
            return Err(RequestRefusal::malformed(
                "A request has either a Content-Length or a Transfer-Encoding.",
            ));
        }
        if http_11 && fields.host.is_none() {
            return Err(RequestRefusal::malformed("The Host header is missing."));
        }
        Ok(fields)
    }

    /// What follows the head.
    pub fn follows(&self, method: &str, http_11: bool) -> Result<Follows, RequestRefusal> {
        if self.websocket {
            return self.handshake(method, http_11);
        }
        match self.length {
            Some(0) => Ok(Follows::Nothing),
            Some(length) => Ok(Follows::Sized(length)),
            None if self.chunked => Ok(Follows::Chunked),
            // Where such a body ended, nobody could tell.
            None if !http_11 && method == "POST" => Err(RequestRefusal::malformed(
                "A POST in HTTP/1.0 has a Content-Length.",
            )),
            None => Ok(Follows::Nothing),
        }
    }

    /// Whether the client wants this to be the last request of the connection.
    pub const fn is_last(&self, http_11: bool) -> bool {
        self.options.close || (!http_11 && !self.options.keep_alive)
    }

    /// Servers take all that comes after a head with `Upgrade: websocket` for its body, whatever
    /// else the head says. So it is a proper handshake, or nothing may come after it.
    fn handshake(&self, method: &str, http_11: bool) -> Result<Follows, RequestRefusal> {
        // Some clients say of a GET that its body is empty.
        if method != "GET" || self.length.is_some_and(|length| length > 0) || self.chunked {
            return Err(RequestRefusal::handshake(
                "A WebSocket handshake is a GET without a body.",
            ));
        }
        if self.expects {
            return Err(RequestRefusal::EXPECTATION);
        }
        // A proxy that asks at /auth/verify may pass the client's `Upgrade` on, without the
        // `Connection` that would give it a meaning.
        if !self.options.upgrade || !http_11 {
            return Ok(Follows::End);
        }
        if self.version != Some(b"13") {
            return Err(RequestRefusal::WEBSOCKET_VERSION);
        }
        if !self.key.is_some_and(is_websocket_key) {
            return Err(RequestRefusal::handshake(
                "A WebSocket handshake has one Sec-WebSocket-Key of 16 bytes in base64.",
            ));
        }
        Ok(Follows::Handshake)
    }

    fn host(&mut self, value: &'a [u8]) -> Result<(), RequestRefusal> {
        if !is_host(value) {
            return Err(RequestRefusal::malformed(
                "The Host header is not a host name or address.",
            ));
        }
        once(&mut self.host, value)
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), RequestRefusal> {
        if self.expects || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(RequestRefusal::EXPECTATION);
        }
        self.expects = true;
        Ok(())
    }

    /// Other upgrades mean nothing here and are not passed on.
    fn upgrade(&mut self, value: &[u8]) -> Result<(), RequestRefusal> {
        let names_it = list_items(value).any(|token| {
            token
                .get(..WEBSOCKET.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(WEBSOCKET))
        });
        let again = std::mem::replace(&mut self.upgrade, true);
        // Several lines say what one list would.
        if self.websocket || (names_it && (again || !value.eq_ignore_ascii_case(WEBSOCKET))) {
            return Err(RequestRefusal::handshake(
                "A WebSocket handshake has one Upgrade header, and in it \"websocket\" alone.",
            ));
        }
        self.websocket = names_it;
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), RequestRefusal> {
        // No sign, no list, no space, nothing that could be octal, nothing that overflows where
        // lengths are signed.
        let plain = (1..=18).contains(&value.len())
            && value.iter().all(u8::is_ascii_digit)
            && (value.len() == 1 || value[0] != b'0');
        if self.length.is_some() || !plain {
            return Err(RequestRefusal::malformed("A Content-Length is one number."));
        }
        self.length = Some(
            value
                .iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        );
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8], http_11: bool) -> Result<(), RequestRefusal> {
        if self.chunked || !http_11 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(RequestRefusal::malformed(
                "A Transfer-Encoding is \"chunked\", once, in HTTP/1.1.",
            ));
        }
        self.chunked = true;
        Ok(())
    }
}

impl Options {
    fn read(&mut self, value: &[u8]) {
        for token in list_items(value) {
            match token.len() {
                5 if token.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if token.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if token.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => {}
            }
        }
    }
}

fn once<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), RequestRefusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(RequestRefusal::malformed(
            "A header that has one value came twice.",
        )),
    }
}

/// 16 bytes in base64: 22 characters and two that fill up.
fn is_websocket_key(key: &[u8]) -> bool {
    let in_alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(in_alphabet)
}
