//! Backends that answer with their name, and can be told to misbehave. And one that is a process,
//! to be killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::wait::until_blocking;

/// What a backend does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answers with its name, and keeps the connection.
    Answer,
    /// The same, after a while.
    Slow(Duration),
    /// Answers, and then closes without having said so.
    AnswerAndClose,
    /// Answers the first request of a connection, and closes in the place of a second answer.
    CloseAtTheSecond,
    /// Reads, and never answers.
    Hang,
    /// Closes in the place of an answer.
    Cut,
    /// Closes its side of the connection as soon as there is one, and goes on reading.
    HalfClosed,
    /// Answers 503 to everything.
    Sick,
    /// Sends a body of chunks without end, slowly.
    Drip,
}

/// A backend; it ends with the test's runtime or when it is dropped.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    name: &'static str,
    mode: Mutex<Mode>,
    /// Method and target of each request that came in full.
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

impl Backend {
    /// On a port of its own.
    pub(crate) async fn start(name: &'static str, mode: Mode) -> Self {
        Self::listen(name, mode, None).await
    }

    /// The same with TLS.
    pub(crate) async fn with_tls(name: &'static str, tls: TlsAcceptor) -> Self {
        Self::listen(name, Mode::Answer, Some(tls)).await
    }

    async fn listen(name: &'static str, mode: Mode, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            name,
            mode: Mutex::new(mode),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let (serving, mut tasks) = (shared.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let (serving, tls) = (serving.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serving.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serving.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            name,
            port,
            shared,
            _tasks: tasks,
        }
    }

    /// From now on, also on connections that are open.
    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests have come whose method and target begin like this.
    pub(crate) fn requests(&self, start: &str) -> usize {
        self.shared
            .requests
            .lock()
            .unwrap()
            .iter()
            .filter(|request| request.starts_with(start))
            .count()
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        if *self.mode.lock().unwrap() == Mode::HalfClosed {
            let _ = stream.shutdown().await;
        }
        let mut count = 0;
        while let Some(request) = read_request(&mut stream).await {
            self.requests.lock().unwrap().push(request);
            count += 1;
            let mode = *self.mode.lock().unwrap();
            let (status, body) = if mode == Mode::Sick {
                ("503 Service Unavailable", "sick")
            } else {
                ("200 OK", self.name)
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            match mode {
                Mode::Hang | Mode::HalfClosed => continue,
                Mode::Cut => return,
                Mode::CloseAtTheSecond if count > 1 => return,
                Mode::Slow(span) => tokio::time::sleep(span).await,
                Mode::Drip => return drip(&mut stream).await,
                Mode::Answer | Mode::AnswerAndClose | Mode::CloseAtTheSecond | Mode::Sick => {}
            }
            if stream.write_all(answer.as_bytes()).await.is_err()
                || stream.flush().await.is_err()
                || mode == Mode::AnswerAndClose
            {
                return;
            }
        }
    }
}

async fn drip(stream: &mut (impl AsyncWrite + Unpin)) {
    let _ = stream
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    while stream.write_all(b"1\r\nx\r\n").await.is_ok() && stream.flush().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Method and target of the next request, whose body has been read too.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// An upstream of several backends, with a route to it. `settings` are further lines of its table.
pub(crate) fn upstream(backends: &[&Backend], auth: &str, settings: &str) -> String {
    let urls: Vec<_> = backends.iter().map(|backend| backend.url()).collect();
    upstream_of(
        &urls.iter().map(String::as_str).collect::<Vec<_>>(),
        auth,
        settings,
    )
}

/// The same of URLs.
pub(crate) fn upstream_of(urls: &[&str], auth: &str, settings: &str) -> String {
    let timeout = if settings.contains("timeout = ") {
        ""
    } else {
        "timeout = \"10s\"\n"
    };
    format!(
        "\n[[routes]]\npath = \"/\"\nupstream = \"many\"\nauth = \"{auth}\"\n[upstreams.many]\nendpoints = {urls:?}\n{timeout}{settings}\n"
    )
}

/// `hufu echo` as a process; killed when dropped.
pub(crate) struct EchoProcess {
    child: Child,
    pub(crate) address: String,
}

impl EchoProcess {
    /// At an address; port 0 for a free one.
    pub(crate) fn start(address: &str) -> Self {
        // For a moment some client may have the port.
        until_blocking("an echo to listen", || Self::try_start(address))
    }

    fn try_start(address: &str) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hufu"))
            .args(["echo", "--listen", address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(address) = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split(". ").next())
        else {
            let _ = child.wait();
            return None;
        };
        Some(Self {
            child,
            address: address.to_owned(),
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for EchoProcess {
    /// SIGKILL: nobody is told.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
