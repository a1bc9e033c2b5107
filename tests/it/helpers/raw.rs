//! A TCP server that answers HTTP requests with exactly the bytes that a test wants.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What happens to a connection once its request head has arrived.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes, then the end.
    Say(Vec<u8>),
    /// Nothing, until the client leaves.
    Silence,
    /// This head, then a body without end.
    Flood(&'static str),
    /// The end at once.
    Cut,
}

/// The server; it lives as long as the test's runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) url: String,
    /// Request heads in the order in which they came.
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    /// Their bodies.
    pub(crate) bodies: Arc<Mutex<Vec<String>>>,
    /// Bytes of a flood that the system took before the client closed.
    pub(crate) flooded: Arc<AtomicUsize>,
    /// Whether a client has closed a connection that was silent or flooding.
    pub(crate) left: Arc<AtomicBool>,
}

/// An answer with a head as WeChat sends it.
pub(crate) fn text(status: &str, body: &[u8]) -> Act {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Act::Say([head.as_bytes(), body].concat())
}

impl Raw {
    /// Answers the n-th connection with the n-th act, and all later ones with the last.
    pub(crate) fn start(acts: impl Into<Vec<Act>>) -> Self {
        let acts = acts.into();
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that a flood shows soon that nobody reads it.
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let raw = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            ..Self::default()
        };
        let shared = raw.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let act = acts[n.min(acts.len() - 1)].clone();
                tokio::spawn(shared.clone().serve(stream, act));
            }
        });
        raw
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    async fn serve(self, mut stream: TcpStream, act: Act) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .to_ascii_lowercase()
            .split("\r\ncontent-length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        self.heads.lock().unwrap().push(head);
        self.bodies
            .lock()
            .unwrap()
            .push(String::from_utf8(body).unwrap());
        match act {
            Act::Cut => {}
            Act::Say(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Act::Silence => {
                let _ = stream.read(&mut [0]).await;
                self.left.store(true, Ordering::SeqCst);
            }
            Act::Flood(head) => {
                let _ = stream.write_all(head.as_bytes()).await;
                while let Ok(n) = stream.write(&[b' '; 4096]).await {
                    self.flooded.fetch_add(n, Ordering::SeqCst);
                }
                self.left.store(true, Ordering::SeqCst);
            }
        }
    }
}

/// An address where every connection is refused: the port is taken, and nobody listens.
pub(crate) fn refusing() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}
