//! Reads requests out of the bytes of a connection, strictly and one after the other. It does no
//! I/O and knows no time.

use actix_web::web::BytesMut;

use crate::edge::h1::fields::Follows;
use crate::edge::h1::head::{self, Head};
use crate::edge::h1::refusal::RequestRefusal;
use crate::edge::h1::scan::Scan;
use crate::edge::settings::HeadLimits;
use crate::http::body_decoder::{BodyDecoder, BodyPart};
use crate::http::chunks::Chunks;

/// What stands behind a head is copied up to this length; of more the buffer is shared.
const COPIED: usize = 1024;

/// The state of one connection.
#[derive(Debug)]
pub struct RequestParser {
    limits: HeadLimits,
    scan: Scan,
    /// Of the request under way; a WebSocket's has no end.
    body: BodyDecoder,
    /// A WebSocket's bytes wait until its handshake is answered.
    is_handshake: bool,
}

impl RequestParser {
    /// A connection at its beginning.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            scan: Scan::default(),
            body: BodyDecoder::Complete,
            is_handshake: false,
        }
    }

    /// Whether something of a body, or of a WebSocket, may still come.
    pub fn is_in_body(&self) -> bool {
        self.body != BodyDecoder::Complete
    }

    /// Whether the body under way may end within so many bytes.
    pub const fn may_end_within(&self, bytes: u64) -> bool {
        match self.body {
            BodyDecoder::Complete | BodyDecoder::Chunked(_) => true,
            BodyDecoder::Sized(left) => left <= bytes,
            BodyDecoder::Broken | BodyDecoder::UntilClose => false,
        }
    }

    /// Whether a body of which these bytes have not been read is longer than them by more than
    /// `bytes`, as far as can be told.
    pub fn owes_more_than(&self, bytes: u64, held: &[u8]) -> bool {
        match self.body {
            BodyDecoder::Sized(left) => left.saturating_sub(held.len() as u64) > bytes,
            BodyDecoder::Chunked(chunks) => !chunks.ends_within(held),
            BodyDecoder::Complete | BodyDecoder::Broken | BodyDecoder::UntilClose => false,
        }
    }

    /// Whether all that may still come of the request is among these bytes, which have not been
    /// read.
    pub fn is_whole_with(&self, held: &[u8]) -> bool {
        match self.body {
            BodyDecoder::Complete => true,
            BodyDecoder::Sized(left) => left <= held.len() as u64,
            BodyDecoder::Chunked(chunks) => chunks.ends_within(held),
            BodyDecoder::Broken => false,
            BodyDecoder::UntilClose => self.is_handshake,
        }
    }

    /// Whether it is to become a WebSocket.
    pub const fn is_handshake(&self) -> bool {
        self.is_handshake
    }

    /// Whether it is a WebSocket, or is to become one.
    pub const fn is_websocket(&self) -> bool {
        matches!(self.body, BodyDecoder::UntilClose)
    }

    /// Whether the beginning of a head has been looked at.
    pub const fn is_within_head(&self) -> bool {
        self.scan.has_begun()
    }

    /// The handshake was answered with 101.
    pub const fn switch(&mut self) {
        self.is_handshake = false;
    }

    /// Takes the next head off the front of `held`, with its bytes; `None`: it is not complete.
    /// After a refusal nothing more is read.
    pub fn take_head(
        &mut self,
        held: &mut BytesMut,
    ) -> Result<Option<(Head, BytesMut)>, RequestRefusal> {
        let Some(head) = self.head(held)? else {
            return Ok(None);
        };
        self.body = match head.follows {
            Follows::Nothing | Follows::End => BodyDecoder::Complete,
            Follows::Sized(length) => BodyDecoder::Sized(length),
            Follows::Chunked => BodyDecoder::Chunked(Chunks::default()),
            Follows::Handshake => BodyDecoder::UntilClose,
        };
        self.is_handshake = head.follows == Follows::Handshake;
        let rest = held.len() - head.len;
        let bytes = if rest > COPIED {
            held.split_to(head.len)
        } else {
            // Mostly it comes alone: then the buffer itself goes on.
            let rest = if rest == 0 {
                BytesMut::new()
            } else {
                BytesMut::from(&held[head.len..])
            };
            let mut bytes = std::mem::replace(held, rest);
            bytes.truncate(head.len);
            bytes
        };
        Ok(Some((head, bytes)))
    }

    /// Takes what there is of the body off the front of `held`.
    pub fn take_body(&mut self, held: &mut BytesMut) -> BodyPart {
        if self.is_handshake {
            BodyPart::More
        } else {
            self.body.take(held)
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<Head>, RequestRefusal> {
        if !self.scan.has_begun()
            && let Some(head) = head::read(bytes, self.limits)?
        {
            return Ok(Some(head));
        }
        if !self.scan.advance(bytes, self.limits)? {
            return Ok(None);
        }
        self.scan = Scan::default();
        head::read(bytes, self.limits)?
            .map(Some)
            .ok_or(RequestRefusal::malformed(
                "The request's head cannot be read.",
            ))
    }
}

#[cfg(test)]
mod tests {
    use actix_http::h1::{Codec, Message, MessageType};
    use actix_web::web::Bytes;
    use proptest::prelude::*;
    use tokio_util::codec::Decoder as _;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        head: 2048,
        target: 512,
    };

    /// What was read out of a connection whose every request is answered at once.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct ReadStream {
        /// Head and body of each whole request.
        requests: Vec<(Vec<u8>, Vec<u8>)>,
        /// The body of the one under way.
        begun: Option<Vec<u8>>,
        refused: bool,
        broken: bool,
        /// Bytes that nobody has looked at.
        left: Vec<u8>,
    }

    fn outcome(pieces: &[&[u8]]) -> ReadStream {
        let mut parser = RequestParser::new(LIMITS);
        let mut held = BytesMut::new();
        let mut out = ReadStream::default();
        let mut current = None;
        let mut over = false;
        for piece in pieces {
            held.extend_from_slice(piece);
            while !over {
                if let Some((head, mut body, last)) = current.take() {
                    match parser.take_body(&mut held) {
                        BodyPart::Data(bytes) => {
                            Vec::extend_from_slice(&mut body, &bytes);
                            current = Some((head, body, last));
                        }
                        BodyPart::End => {
                            out.requests.push((head, body));
                            over = last;
                        }
                        step => {
                            out.broken = step == BodyPart::Broken;
                            over = step == BodyPart::Broken;
                            current = Some((head, body, last));
                            break;
                        }
                    }
                    continue;
                }
                if held.is_empty() {
                    break;
                }
                match parser.take_head(&mut held) {
                    Ok(Some((head, bytes))) => {
                        current = Some((bytes.to_vec(), Vec::new(), head.last));
                    }
                    Ok(None) => break,
                    Err(_) => (out.refused, over) = (true, true),
                }
            }
        }
        out.begun = current.map(|(_, body, _)| body);
        // How much of what nobody wants has come is chance.
        out.left = if over { Vec::new() } else { held.to_vec() };
        out
    }

    fn byte_by_byte(stream: &[u8]) -> ReadStream {
        outcome(&stream.chunks(1).collect::<Vec<_>>())
    }

    /// What goes on in another form: a later minor version, and what is escaped in a query. Other
    /// servers need not take it as it came.
    fn as_it_goes_on(bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes)
            .replace(" HTTP/1.2\r\n", " HTTP/1.1\r\n")
            .replace(['"', '<', '>'], "_")
            .replace('\u{e9}', "__");
        text.into_bytes()
    }

    /// Another server must find exactly these requests in the stream.
    fn others_read_the_same(stream: &[u8], requests: &[(Vec<u8>, Vec<u8>)]) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        tokio::task::LocalSet::new()
            .block_on(&runtime, async { read_by_another(stream, requests) });
    }

    fn read_by_another(stream: &[u8], requests: &[(Vec<u8>, Vec<u8>)]) {
        let mut bytes = BytesMut::from(as_it_goes_on(stream).as_slice());
        for (head, body) in requests {
            // A fresh one each time: what it does between two requests is its own business.
            let mut codec = Codec::default();
            let Some(Message::Item(request)) = codec.decode(&mut bytes).unwrap() else {
                panic!("no request in {:?}", String::from_utf8_lossy(stream))
            };
            let head = String::from_utf8_lossy(head);
            let method = head.trim_start().split(' ').next();
            assert_eq!(Some(request.method().as_str()), method);
            // Behind an upgrade that is no handshake it would read on; here nothing may come.
            if codec.message_type() == MessageType::Stream {
                return;
            }
            let mut read = Vec::new();
            let mut whole = codec.message_type() == MessageType::None;
            while !whole {
                match codec.decode(&mut bytes).unwrap() {
                    Some(Message::Chunk(Some(piece))) => read.extend_from_slice(&piece),
                    Some(Message::Chunk(None)) => whole = true,
                    Some(Message::Item(_)) | None => break,
                }
            }
            assert_eq!(
                (read.as_slice(), whole),
                (as_it_goes_on(body).as_slice(), true),
                "{:?}",
                String::from_utf8_lossy(stream)
            );
        }
    }

    #[test]
    fn requests_end_where_they_end() {
        let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let all = [
            (get, ""),
            (
                "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\n",
                "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            ),
            ("GET /d HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ""),
            ("\r\nGET /e HTTP/1.1\r\nhost:x\r\nA:\r\nB: \t \r\n\r\n", ""),
            (get, ""),
        ];
        let chunked = "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
        let stream = format!(
            "{chunked}5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n{}",
            all.map(|(head, body)| format!("{head}{body}")).concat()
        );
        let expected: Vec<_> = [(chunked, "hello")]
            .iter()
            .chain(&all)
            .map(|(head, body)| (head.as_bytes().to_vec(), body.as_bytes().to_vec()))
            .collect();
        let whole = outcome(&[stream.as_bytes()]);
        assert_eq!(
            whole,
            ReadStream {
                requests: expected,
                ..ReadStream::default()
            }
        );
        assert_eq!(byte_by_byte(stream.as_bytes()), whole);
        others_read_the_same(stream.as_bytes(), &whole.requests);
    }

    #[test]
    fn a_body_is_known_to_be_whole_before_it_is_read() {
        let sized = "Content-Length: 5\r\n\r\n";
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        for (request, whole) in [
            ("\r\n".to_owned(), true),
            (format!("{sized}hell"), false),
            (format!("{sized}hello"), true),
            (format!("{sized}helloGET /"), true),
            (format!("{chunked}5\r\nhello\r\n0\r\n"), false),
            (format!("{chunked}5\r\nhello\r\n0\r\n\r\n"), true),
            (
                format!("{chunked}5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nT: u\r\n\r\nGET /"),
                true,
            ),
            (format!("{chunked}5\r\nhello!\r\n0\r\n\r\n"), false),
        ] {
            let mut parser = RequestParser::new(LIMITS);
            let mut held =
                BytesMut::from(format!("POST / HTTP/1.1\r\nHost: x\r\n{request}").as_str());
            parser.take_head(&mut held).unwrap().unwrap();
            assert_eq!(parser.is_whole_with(&held), whole, "{request:?}");
            // Looking changes nothing, and part of it may have been read.
            let read = parser.take_body(&mut held);
            assert_eq!(
                parser.is_whole_with(&held),
                whole && read != BodyPart::Broken,
                "{request:?} after {read:?}"
            );
        }
    }

    #[test]
    fn nothing_is_read_behind_the_last_request() {
        let get = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        for last in [
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        ] {
            let outcome = outcome(&[format!("{last}{get}").as_bytes()]);
            assert_eq!(outcome.requests, [(last.as_bytes().to_vec(), Vec::new())]);
        }
        let bad_chunk =
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n";
        let outcome = outcome(&[format!("{bad_chunk}{get}").as_bytes()]);
        assert!(
            outcome.requests.is_empty() && outcome.broken && outcome.begun == Some(b"a".to_vec()),
            "{outcome:?}"
        );
    }

    #[test]
    fn a_websocket_waits_for_its_answer() {
        let handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut parser = RequestParser::new(LIMITS);
        let mut held = BytesMut::from(format!("{handshake}frame").as_str());
        let (head, _) = parser.take_head(&mut held).unwrap().unwrap();
        assert_eq!(
            (head.len, parser.take_body(&mut held), parser.is_websocket()),
            (handshake.len(), BodyPart::More, true)
        );
        parser.switch();
        assert_eq!(
            (parser.take_body(&mut held), parser.take_body(&mut held)),
            (BodyPart::Data(Bytes::from_static(b"frame")), BodyPart::More)
        );
    }

    /// Pieces that heads and bodies are made of, sound ones and others.
    const PIECES: &str = "GET ~POST ~OPTIONS ~G@T ~/~/a?b=c~/a?\"<\u{e9}~/a#b~*~http://x/~http://x?b~http://y/~x:1~ ~  ~\t~ HTTP/1.1\r\n~ HTTP/1.2\r\n~ HTTP/1.0\r\n~ HTTP/2.0\r\n~ HTTP/1.1\n~\
        Host: x\r\n~Host: x\r\n~Host: y\r\n~Host: a b\r\n~host:x\n~Content-Length: 3\r\n~Content-Length: 0\r\n~Content-Length: +3\r\n~Content-Length: 3,3\r\n~\
        Content-Length:\r\n~Content-Length: 0\r\n~Transfer-Encoding: chunked\r\n~Transfer-Encoding: identity\r\n~\
        Transfer-Encoding: gzip, chunked\r\n~Transfer-Encoding:\x0bchunked\r\n~Connection: close\r\n~Connection: Upgrade\r\n~\
        Upgrade: websocket\r\n~Upgrade: h2c\r\n~Upgrade: websocket, h2c\r\n~Expect: 100-continue\r\n~Expect: x\r\n~X: y\r\n~X : y\r\n~ folded\r\n~\
        : y\r\n~X: \0\r\n~X: \u{e9}\r\n~X: y\r~X: y\n~\r\n~\r\n~\r\n\r\n~\n~\r~3\r\nabc\r\n~0\r\n\r\n~0\r\nT: u\r\n\r\n~3;x=y\r\nabc\r\n~\
        abc~0\n\n~fffffffffffffffff\r\n~Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let sound = Just("GET / HTTP/1.1\r\nHost: x\r\n".to_owned());
        let piece = prop_oneof![
            proptest::sample::select(PIECES.split('~').collect::<Vec<_>>()).prop_map(str::to_owned),
            "[ -~]{0,4}"
        ];
        let request = (
            prop_oneof![sound.clone(), sound, Just(String::new())],
            proptest::collection::vec(piece, 0..8),
        );
        proptest::collection::vec(request, 1..3).prop_map(|requests| {
            let text: String = requests
                .into_iter()
                .map(|(start, pieces)| format!("{start}{}", pieces.concat()))
                .collect();
            format!("{text}\r\n\r\n").into_bytes()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn it_does_not_matter_how_a_stream_is_cut(stream in streams(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6)) {
            let whole = outcome(&[&stream]);
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).chain([0, stream.len()]).collect();
            at.sort_unstable();
            let pieces: Vec<_> = at.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(&outcome(&pieces), &whole);
            prop_assert_eq!(&byte_by_byte(&stream), &whole);
        }

        #[test]
        fn whatever_is_read_other_servers_read_in_the_same_way(stream in streams()) {
            others_read_the_same(&stream, &outcome(&[&stream]).requests);
        }
    }
}
