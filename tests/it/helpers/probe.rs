//! One end of a connection, driven by hand and read strictly: a client's towards the gateway, or a
//! backend's towards it. Nothing here depends on which packet a thing comes in, nor on the order or
//! the case of headers.

use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::builder::route;
use super::chunks::Chunks;
use super::message::{Answer, Head, Message};

/// Far longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end of a connection.
pub(crate) struct Probe {
    stream: TcpStream,
    /// Read, and not yet looked at.
    buf: Vec<u8>,
}

/// A backend whose connections a test answers itself.
pub(crate) struct ByHand {
    pub(crate) url: String,
    listener: TcpListener,
}

impl ByHand {
    /// A route of the configuration to it.
    pub(crate) fn route(&self, path: &str, auth: &str) -> String {
        route(path, &self.url, auth)
    }

    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            listener,
        }
    }

    /// The gateway's next connection.
    pub(crate) async fn accept(&self) -> Probe {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        Probe {
            stream: accepted.expect("the gateway does not come").unwrap().0,
            buf: Vec::new(),
        }
    }

    /// The gateway's next connection, and the head of the request on it.
    pub(crate) async fn request(&self) -> (Probe, Head) {
        let mut peer = self.accept().await;
        let head = peer.head().await;
        (peer, head)
    }

    /// The head of the gateway's next request, and whether it came on this connection. If not, its
    /// own takes the place of this one: what must not be sent twice goes on none that has rested for
    /// a second, as one does on a machine that stalls.
    pub(crate) async fn next(&self, peer: &mut Probe) -> (Head, bool) {
        tokio::select! {
            Some(head) = peer.next_head() => (head, true),
            (other, head) = self.request() => {
                *peer = other;
                (head, false)
            }
        }
    }

    /// Whether no connection has come that was not accepted.
    pub(crate) async fn is_left_alone(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), self.listener.accept())
            .await
            .is_err()
    }
}

impl Probe {
    /// A client.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buf: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// The same to somebody who may have closed.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes.as_ref()))
            .await
            .expect("the other side takes nothing")
    }

    /// The same connection once more, so that one task can send while another reads.
    pub(crate) fn sender(&self) -> Self {
        let socket = SockRef::from(&self.stream).try_clone().unwrap();
        Self {
            stream: TcpStream::from_std(socket.into()).unwrap(),
            buf: Vec::new(),
        }
    }

    /// Closes the sending side.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Closes the receiving side: nothing more is read.
    pub(crate) fn stop_listening(&self) {
        SockRef::from(&self.stream)
            .shutdown(Shutdown::Read)
            .unwrap();
    }

    /// Reads more; 0: the other side has closed.
    async fn more(&mut self) -> std::io::Result<usize> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buf)).await;
        read.unwrap_or_else(|_| panic!("silence after {:?}", String::from_utf8_lossy(&self.buf)))
    }

    async fn must_read(&mut self) {
        let read = self.more().await;
        assert!(
            matches!(read, Ok(1..)),
            "{read:?} after {:?}",
            String::from_utf8_lossy(&self.buf)
        );
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Head {
        loop {
            if let Some(head) = self.take_head() {
                return head;
            }
            self.must_read().await;
        }
    }

    /// The next head; `None`: the other side has closed in its place.
    async fn next_head(&mut self) -> Option<Head> {
        loop {
            if let Some(head) = self.take_head() {
                return Some(head);
            }
            if !matches!(self.more().await, Ok(1..)) {
                return None;
            }
        }
    }

    /// The head that has come.
    fn take_head(&mut self) -> Option<Head> {
        let end = self.buf.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = String::from_utf8(self.buf.drain(..end + 4).collect()).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap().to_owned();
        Some(Head {
            first,
            lines: lines
                .map(|line| {
                    line.split_once(':')
                        .map(|(n, v)| (n.to_owned(), v.trim().to_owned()))
                        .unwrap()
                })
                .collect(),
        })
    }

    /// So many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buf.len() < count {
            self.must_read().await;
        }
        self.buf.drain(..count).collect()
    }

    /// A chunked body, and the lines of its trailer section.
    pub(crate) async fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut chunks = Chunks::default();
        while !chunks.take(&mut self.buf) {
            self.must_read().await;
        }
        (chunks.body, chunks.trailers)
    }

    /// The next answer, as RFC 9112 section 6.3 reads it.
    pub(crate) async fn answer(&mut self, method: &str) -> Message {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head().await;
            match head.status() {
                100..=199 => interim.push(head.status()),
                _ => break head,
            }
        };
        let (chunked, length) = (
            head.value("transfer-encoding"),
            head.value("content-length")
                .map(|length| length.parse().unwrap()),
        );
        assert!(
            chunked.is_none_or(|coding| coding.eq_ignore_ascii_case("chunked") && length.is_none()),
            "{head:?}"
        );
        let body = if method == "HEAD" || matches!(head.status(), 204 | 304) {
            Vec::new()
        } else if chunked.is_some() {
            let (body, trailers) = self.chunks().await;
            assert_eq!(trailers, Vec::<String>::new(), "trailers are dropped");
            body
        } else if let Some(length) = length {
            self.take(length).await
        } else {
            let (body, whole) = self.until_closed().await;
            assert!(
                whole,
                "a reset is no end: {head:?} {:?}",
                String::from_utf8_lossy(&body)
            );
            body
        };
        Message {
            head,
            body,
            interim,
        }
    }

    /// Sends a request without a body and reads its answer.
    pub(crate) async fn ask(&mut self, method: &str, target: &str, lines: &str) -> Message {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
        ))
        .await;
        self.answer(method).await
    }

    /// Everything until the other side closes or resets.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        self.until_closed().await.0
    }

    /// The same, and whether it was closed rather than reset.
    pub(crate) async fn until_closed(&mut self) -> (Vec<u8>, bool) {
        let end = loop {
            match self.more().await {
                Ok(1..) => {}
                end => break end,
            }
        };
        (std::mem::take(&mut self.buf), end.is_ok())
    }

    /// The other side closes without another word.
    pub(crate) async fn ended(&mut self) {
        let rest = self.rest().await;
        assert!(
            rest.is_empty(),
            "{:?} and no end",
            String::from_utf8_lossy(&rest)
        );
    }
}

/// Sends bytes and reads until the server closes, or until it has been silent for a while after a
/// whole answer.
pub(crate) async fn send(to: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes.as_ref()).await;
    let asked_for_head = bytes.as_ref().starts_with(b"HEAD ");
    read_with(&mut stream, asked_for_head, Until::Silence).await
}

/// Reads an answer from a connection.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    read_with(stream, false, Until::Silence).await
}

/// The same of the answer to a HEAD.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    read_with(stream, true, Until::Silence).await
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn send_to_the_end(to: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let _ = stream.write_all(bytes.as_ref()).await;
    read_to_the_end(&mut stream).await
}

/// Reads until the server closes.
pub(crate) async fn read_to_the_end(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    read_with(stream, false, Until::Closed).await
}

/// How far a connection is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Whole answers, and nothing behind them for a while.
    Silence,
    Closed,
}

/// How long nothing may come behind a whole answer: time itself is the matter, since nothing shows
/// that a server has no more to say.
const SILENCE: Duration = Duration::from_millis(300);

async fn read_with(
    stream: &mut (impl AsyncRead + Unpin),
    asked_for_head: bool,
    until: Until,
) -> Answer {
    let (mut all, mut buf, mut closed) = (Vec::new(), [0; 16 * 1024], false);
    loop {
        // In the middle of an answer a server that stalls is not one that has ended.
        let patience = if until == Until::Silence && rests(&all, asked_for_head) {
            SILENCE
        } else {
            PATIENCE
        };
        match tokio::time::timeout(patience, stream.read(&mut buf)).await {
            Ok(Ok(0) | Err(_)) => {
                closed = true;
                break;
            }
            Ok(Ok(n)) => all.extend_from_slice(&buf[..n]),
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&all).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Answer {
        status,
        text,
        closed,
    }
}

/// Whether these are whole answers, behind which the server may keep the connection and say nothing
/// more.
fn rests(bytes: &[u8], asked_for_head: bool) -> bool {
    let mut rest = bytes;
    let mut closes = false;
    while !rest.is_empty() {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        rest = &rest[end + 4..];
        let value = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(found, _)| *found == name);
            found.map(|(_, value)| value.trim().to_owned())
        };
        let status = head.split(' ').nth(1).unwrap_or_default();
        closes = value("connection").as_deref() == Some("close");
        if status == "101" {
            // What follows is no HTTP.
            return true;
        }
        if asked_for_head || status.starts_with('1') || matches!(status, "204" | "304") {
            continue;
        }
        let body = if value("transfer-encoding").is_some() {
            let mut left = rest.to_vec();
            let is_whole = Chunks::default().take(&mut left);
            is_whole.then(|| rest.len() - left.len())
        } else {
            value("content-length").and_then(|length| length.parse().ok())
        };
        match body {
            Some(length) if length <= rest.len() => rest = &rest[length..],
            _ => return false,
        }
    }
    !bytes.is_empty() && !closes
}
