//! An upstream that keeps every byte that reaches it, and answers what a test wants.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// When and what to answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// As soon as the head is there; then goes on reading.
    AtHead(Vec<u8>),
    /// The same, and then closes.
    AtHeadThenClose(Vec<u8>),
    /// Once the body is there to its end, trailers with it; and then closes.
    AtEndThenClose(Vec<u8>),
    /// As soon as the head is there, and then resets the connection.
    AtHeadThenReset(Vec<u8>),
    /// Once this many bytes of body are there.
    AfterBody(usize, Vec<u8>),
    /// Never.
    Never,
}

/// What one connection brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    /// Every byte.
    pub(crate) bytes: Vec<u8>,
    /// Whether the gateway closed it.
    pub(crate) closed: bool,
    /// Whether the upstream has closed it too.
    pub(crate) ended: bool,
}

impl Recorded {
    /// The first request's head.
    pub(crate) fn head(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.split_once("\r\n\r\n")
            .map_or_else(String::new, |(head, _)| head.to_owned())
    }

    /// What follows the first request's head.
    pub(crate) fn body(&self) -> &[u8] {
        let at = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        at.map_or(&[], |at| &self.bytes[at + 4..])
    }

    /// Whether the first request is there to its end.
    fn is_whole(&self) -> bool {
        let length = self
            .values("content-length")
            .first()
            .map_or(0, |length| length.parse().unwrap());
        if self.values("transfer-encoding").is_empty() {
            self.body().len() >= length
        } else {
            self.body().ends_with(b"\r\n\r\n")
        }
    }

    /// The values of a header in the first head.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let head = self.head();
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim().to_owned())
            .collect()
    }
}

/// The upstream; it lives as long as the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) url: String,
    connections: Arc<Mutex<Vec<Arc<Mutex<Recorded>>>>>,
}

/// A small answer that keeps the connection.
pub(crate) fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
}

impl Recorder {
    /// Answers every request in the same way.
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::start_with(|_| reply).await
    }

    /// The same, with an answer that names the upstream's own address.
    pub(crate) async fn start_with(reply: impl FnOnce(&str) -> Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let (made, reply) = (
            Self {
                url: format!("http://{own}"),
                connections: Arc::default(),
            },
            reply(&own),
        );
        let connections = made.connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let record = Arc::new(Mutex::new(Recorded::default()));
                connections.lock().unwrap().push(record.clone());
                let reply = reply.clone();
                tokio::spawn(async move {
                    record_one(stream, record.clone(), reply).await;
                    record.lock().unwrap().ended = true;
                });
            }
        });
        made
    }

    /// What has come so far, a record a connection.
    pub(crate) fn connections(&self) -> Vec<Recorded> {
        self.connections
            .lock()
            .unwrap()
            .iter()
            .map(|record| record.lock().unwrap().clone())
            .collect()
    }
}

async fn record_one(mut stream: TcpStream, record: Arc<Mutex<Recorded>>, reply: Reply) {
    let (mut buf, mut answered_to, mut head_at) = (vec![0; 64 * 1024], 0, None);
    loop {
        let n = match stream.read(&mut buf).await {
            Ok(0) | Err(_) => {
                record.lock().unwrap().closed = true;
                return;
            }
            Ok(n) => n,
        };
        let (total, head) = {
            let mut record = record.lock().unwrap();
            record.bytes.extend_from_slice(&buf[..n]);
            // A head that has been found does not move, and bodies are long: only what is new is
            // looked through.
            let from = record.bytes.len().saturating_sub(n + 3).max(answered_to);
            let head = head_at.or_else(|| {
                Some(
                    from - answered_to
                        + record.bytes[from..]
                            .windows(4)
                            .position(|four| four == b"\r\n\r\n")?,
                )
            });
            (record.bytes.len(), head)
        };
        head_at = head;
        let Some(head) = head else { continue };
        let body = total - answered_to - head - 4;
        let answer = match &reply {
            Reply::AtHead(answer)
            | Reply::AtHeadThenClose(answer)
            | Reply::AtHeadThenReset(answer)
                if answered_to == 0 || body == 0 =>
            {
                answer
            }
            Reply::AfterBody(wanted, answer) if body >= *wanted => answer,
            Reply::AtEndThenClose(answer) if record.lock().unwrap().is_whole() => answer,
            _ => continue,
        };
        (answered_to, head_at) = (total, None);
        let _ = stream.write_all(answer).await;
        if matches!(reply, Reply::AtHeadThenReset(_)) {
            // The answer is to be read before the reset comes.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            stream.set_zero_linger().unwrap();
            return;
        }
        if matches!(reply, Reply::AtHeadThenClose(_) | Reply::AtEndThenClose(_)) {
            return;
        }
    }
}
