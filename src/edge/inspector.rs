//! Follows the bytes of a connection from request to request, and says which of them may go on. It does no I/O and knows no time.

use crate::edge::chunks::{Chunks, Followed};
use crate::edge::head::{self, Follows, Head, HeadLimits};
use crate::edge::refusal::Refusal;
use crate::edge::scan::Scan;

/// Where in a connection the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A head, or nothing yet.
    Head,
    /// A body with so many bytes to come.
    Sized(u64),
    /// A chunked body.
    Chunked(Chunks),
    /// Behind a request whose answer is not out in full.
    Answer,
    /// Behind a WebSocket handshake that is not answered.
    Handshake,
    /// A WebSocket.
    Tunnel,
    /// Behind a chunked body that is broken.
    Broken,
    /// Behind the last request.
    Over,
}

/// What may happen with some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// So many of them may go on.
    Pass(usize),
    /// They are the beginning of a head; look again, at all of them, when there are more.
    More,
    /// No request begins like that.
    Refuse(Refusal),
}

/// The state of one connection.
#[derive(Debug)]
pub struct Inspector {
    limits: HeadLimits,
    place: Place,
    scan: Scan,
    /// The request under way is the last one.
    last: bool,
    /// The answer came before the request's body had ended.
    early: bool,
    /// The client waits for "100 Continue".
    expects: bool,
}

impl Inspector {
    /// A connection at its beginning.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, place: Place::Head, scan: Scan::default(), last: false, early: false, expects: false }
    }

    /// Where the next byte belongs.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Whether a body is under way.
    #[must_use]
    pub const fn in_body(&self) -> bool {
        matches!(self.place, Place::Sized(_) | Place::Chunked(_))
    }

    /// Whether its answer has come already.
    #[must_use]
    pub const fn is_answered_early(&self) -> bool {
        self.early
    }

    /// Whether the client of the request under way waits for "100 Continue".
    #[must_use]
    pub const fn expects(&self) -> bool {
        self.expects
    }

    /// Whether the beginning of a head has been looked at.
    #[must_use]
    pub const fn is_within_head(&self) -> bool {
        self.scan.has_begun()
    }

    /// Looks at the next bytes: those that have not gone on.
    pub fn inspect(&mut self, bytes: &[u8]) -> Verdict {
        match self.place {
            Place::Head => self.head(bytes),
            Place::Sized(_) | Place::Chunked(_) => Verdict::Pass(self.body(bytes)),
            Place::Tunnel => Verdict::Pass(bytes.len()),
            Place::Answer | Place::Handshake | Place::Broken | Place::Over => Verdict::Pass(0),
        }
    }

    /// The answer to the request under way is out in full; with `closing` nothing may come after it.
    pub fn answered(&mut self, closing: bool) {
        self.last |= closing;
        self.expects = false;
        match self.place {
            Place::Sized(_) | Place::Chunked(_) if !self.last => self.early = true,
            Place::Answer if !self.last => self.place = Place::Head,
            _ => self.place = Place::Over,
        }
    }

    /// The handshake under way was answered: with 101, or otherwise.
    pub const fn handshake_answered(&mut self, switched: bool) {
        self.last = true;
        self.place = if switched { Place::Tunnel } else { Place::Answer };
    }

    /// Another request takes the place of what comes, and is the last one.
    pub const fn end(&mut self) {
        self.place = Place::Answer;
        self.last = true;
    }

    fn head(&mut self, bytes: &[u8]) -> Verdict {
        if !self.scan.has_begun() {
            match head::read(bytes, self.limits) {
                Ok(Some(head)) => return self.begin(head, bytes),
                Ok(None) => {}
                Err(refusal) => return Verdict::Refuse(refusal),
            }
        }
        match self.scan.advance(bytes, self.limits) {
            Ok(false) => return Verdict::More,
            Ok(true) => self.scan = Scan::default(),
            Err(refusal) => return Verdict::Refuse(refusal),
        }
        match head::read(bytes, self.limits) {
            Ok(Some(head)) => self.begin(head, bytes),
            Ok(None) => Verdict::Refuse(Refusal::malformed("The request's head cannot be read.")),
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }

    fn begin(&mut self, head: Head, bytes: &[u8]) -> Verdict {
        (self.last, self.early, self.expects) = (head.last, false, head.expects);
        self.place = match head.follows {
            Follows::Nothing | Follows::End => Place::Answer,
            Follows::Sized(length) => Place::Sized(length),
            Follows::Chunked => Place::Chunked(Chunks::default()),
            Follows::Handshake => Place::Handshake,
        };
        Verdict::Pass(head.len + self.body(&bytes[head.len..]))
    }

    /// How many bytes belong to the body.
    fn body(&mut self, bytes: &[u8]) -> usize {
        match &mut self.place {
            Place::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.complete();
                }
                taken
            }
            Place::Chunked(chunks) => match chunks.follow(bytes) {
                Followed::All => bytes.len(),
                Followed::Done(taken) => {
                    self.complete();
                    taken
                }
                Followed::Bad(taken) => {
                    self.place = Place::Broken;
                    taken
                }
            },
            _ => 0,
        }
    }

    const fn complete(&mut self) {
        self.place = if self.early { Place::Head } else { Place::Answer };
    }
}

#[cfg(test)]
mod tests {
    use actix_http::h1::{Codec, Message, MessageType};
    use actix_web::web::BytesMut;
    use proptest::prelude::*;
    use tokio_util::codec::Decoder as _;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head: 2048, target: 512 };

    /// What became of a connection whose every request is answered at once: the requests that went on, what began another, the refusal.
    #[derive(Debug, PartialEq, Eq)]
    struct Outcome {
        requests: Vec<Vec<u8>>,
        begun: Vec<u8>,
        refused: Option<Refusal>,
        place: Place,
    }

    fn outcome(pieces: &[&[u8]]) -> Outcome {
        let mut inspector = Inspector::new(LIMITS);
        let mut outcome = Outcome { requests: Vec::new(), begun: Vec::new(), refused: None, place: Place::Head };
        let mut held = Vec::new();
        for piece in pieces {
            held.extend_from_slice(piece);
            while !held.is_empty() {
                let verdict = inspector.inspect(&held);
                outcome.place = inspector.place();
                match verdict {
                    Verdict::Pass(0) | Verdict::More => break,
                    Verdict::Pass(passed) => outcome.begun.extend(held.drain(..passed)),
                    Verdict::Refuse(refusal) => {
                        outcome.refused = Some(refusal);
                        return outcome;
                    }
                }
                if inspector.place() == Place::Answer {
                    outcome.requests.push(std::mem::take(&mut outcome.begun));
                    inspector.answered(false);
                }
            }
        }
        outcome
    }

    fn byte_by_byte(stream: &[u8]) -> Outcome {
        outcome(&stream.chunks(1).collect::<Vec<_>>())
    }

    /// The server behind the gate must find exactly one request in it, and need every byte.
    fn server_reads_the_same(request: &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async { read_by_server(request) });
    }

    fn read_by_server(request: &[u8]) {
        let (mut codec, mut bytes) = (Codec::default(), BytesMut::from(request));
        let Some(Message::Item(_)) = codec.decode(&mut bytes).unwrap() else { panic!("no request in {:?}", String::from_utf8_lossy(request)) };
        let (mut whole, mut messages) = (codec.message_type() == MessageType::None, 0);
        while let Some(message) = if whole { None } else { codec.decode(&mut bytes).unwrap() } {
            assert!(!matches!(message, Message::Item(_)));
            whole = matches!(message, Message::Chunk(None));
            messages += 1;
            assert!(messages < 10_000);
        }
        assert!(bytes.is_empty(), "left over: {:?} of {:?}", String::from_utf8_lossy(&bytes), String::from_utf8_lossy(request));
        assert!(whole || codec.message_type() == MessageType::Stream, "not at its end: {:?}", String::from_utf8_lossy(request));
    }

    #[test]
    fn requests_end_where_they_end() {
        let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let sized = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let chunked = "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n";
        let old = "GET /d HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
        let lines = "\r\nGET /e HTTP/1.1\r\nhost:x\r\nA:\r\nB: \t \r\n\r\n";
        let all = [get, sized, chunked, old, lines, get];
        let stream = all.concat();
        let outcome = outcome(&[stream.as_bytes()]);
        assert_eq!(outcome.requests, all.map(|request| request.as_bytes().to_vec()));
        assert_eq!(byte_by_byte(stream.as_bytes()), outcome);
        outcome.requests.iter().for_each(|request| server_reads_the_same(request));
    }

    #[test]
    fn nothing_goes_on_behind_the_last_request() {
        let get = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        for last in [
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        ] {
            let outcome = outcome(&[format!("{last}{get}").as_bytes()]);
            assert_eq!((outcome.requests, outcome.begun), (vec![last.as_bytes().to_vec()], Vec::new()));
        }
        let bad_chunk = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n";
        let outcome = outcome(&[format!("{bad_chunk}{get}").as_bytes()]);
        assert!(outcome.requests.is_empty() && outcome.begun.ends_with(b"1\r\na") && outcome.place == Place::Broken);
    }

    #[test]
    fn a_websocket_waits_for_its_answer() {
        let handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        for (switched, passes) in [(true, 5), (false, 0)] {
            let mut inspector = Inspector::new(LIMITS);
            assert_eq!(inspector.inspect(format!("{handshake}frame").as_bytes()), Verdict::Pass(handshake.len()));
            assert_eq!(inspector.inspect(b"frame"), Verdict::Pass(0));
            inspector.handshake_answered(switched);
            assert_eq!(inspector.inspect(b"frame"), Verdict::Pass(passes));
            inspector.answered(false);
            assert_eq!((inspector.place(), inspector.inspect(b"GET /")), (Place::Over, Verdict::Pass(0)));
        }
    }

    /// Pieces that heads and bodies are made of, sound ones and others.
    const PIECES: [&str; 60] = [
        "GET ",
        "POST ",
        "OPTIONS ",
        "G@T ",
        "/",
        "/a?b=c",
        "/a#b",
        "*",
        "http://x/",
        "http://y/",
        "x:1",
        " ",
        "  ",
        "\t",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        " HTTP/2.0\r\n",
        " HTTP/1.1\n",
        "Host: x\r\n",
        "Host: x\r\n",
        "Host: y\r\n",
        "Host: a b\r\n",
        "host:x\n",
        "Content-Length: 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 3,3\r\n",
        "Content-Length:\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Connection: close\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Expect: 100-continue\r\n",
        "Expect: x\r\n",
        "X: y\r\n",
        "X : y\r\n",
        " folded\r\n",
        ": y\r\n",
        "X: \0\r\n",
        "X: \u{e9}\r\n",
        "X: y\r",
        "X: y\n",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nT: u\r\n\r\n",
        "3;x=y\r\nabc\r\n",
        "abc",
        "0\n\n",
        "fffffffffffffffff\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ];

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let sound = Just("GET / HTTP/1.1\r\nHost: x\r\n".to_owned());
        let piece = prop_oneof![proptest::sample::select(PIECES.to_vec()).prop_map(str::to_owned), "[ -~]{0,4}"];
        let request = (prop_oneof![sound.clone(), sound, Just(String::new())], proptest::collection::vec(piece, 0..8));
        proptest::collection::vec(request, 1..3).prop_map(|requests| {
            let text: String = requests.into_iter().map(|(start, pieces)| format!("{start}{}", pieces.concat())).collect();
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
            for cut in [outcome(&pieces), byte_by_byte(&stream)] {
                prop_assert_eq!((&cut.requests, &cut.begun, cut.refused.is_some(), cut.place), (&whole.requests, &whole.begun, whole.refused.is_some(), whole.place));
            }
            // What goes on is what came, in its order.
            prop_assert!(stream.starts_with(&[whole.requests.concat(), whole.begun].concat()));
        }

        #[test]
        fn whatever_goes_on_the_server_reads_in_the_same_way(stream in streams()) {
            for request in outcome(&[&stream]).requests {
                server_reads_the_same(&request);
            }
        }
    }
}
