//! An upstream that does what a script says, and keeps every byte that reaches it.

use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::builder::route;
use super::chunks::Chunks;
use super::script::{Script, Step};
use super::wait::{STEP, until};

/// What one connection brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    /// Every byte.
    pub(crate) bytes: Vec<u8>,
    /// Whether the other side closed it.
    pub(crate) closed: bool,
    /// Whether the upstream has closed it too.
    pub(crate) ended: bool,
    /// Bytes of a flood that the system took.
    flooded: usize,
    /// Each request that came in full: its head and its body.
    requests: Vec<(String, Vec<u8>)>,
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
        end_of_head(&self.bytes).map_or(&[], |end| &self.bytes[end..])
    }

    /// The values of a header in the first head.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        values(&self.head(), name)
    }
}

/// The upstream; it ends with the test's runtime or when it is dropped.
pub(crate) struct Upstream {
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    pub(crate) port: u16,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

struct Shared {
    connections: Mutex<Vec<Arc<Mutex<Recorded>>>>,
    /// Counts the changes.
    scripts: Mutex<(usize, Vec<Script>)>,
}

impl Upstream {
    /// A route of the configuration to it.
    pub(crate) fn route(&self, path: &str, auth: &str) -> String {
        route(path, &self.url, auth)
    }

    /// Acts in the same way on every connection.
    pub(crate) fn start(script: Script) -> Self {
        Self::in_turn([script])
    }

    /// Answers every request with 200 and `ok`, once it is there to its end: what the client has an
    /// answer to is recorded.
    pub(crate) fn ok() -> Self {
        Self::start(Script::at_end(super::script::ok()))
    }

    /// Answers every request with its name.
    pub(crate) fn named(name: &str) -> Self {
        Self::start(Script::named(name))
    }

    /// Acts on the n-th connection as the n-th script says, and on all later ones as the last.
    pub(crate) fn in_turn(scripts: impl Into<Vec<Script>>) -> Self {
        Self::listen(None, |_| scripts.into())
    }

    /// The same with TLS.
    pub(crate) fn with_tls(script: Script, tls: TlsAcceptor) -> Self {
        Self::listen(Some(tls), |_| vec![script])
    }

    /// With a script that names the upstream's own address.
    pub(crate) fn at_its_address(script: impl FnOnce(&str) -> Script) -> Self {
        Self::listen(None, |own| vec![script(own)])
    }

    fn listen(tls: Option<TlsAcceptor>, scripts: impl FnOnce(&str) -> Vec<Script>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        let scripts = scripts(&own.to_string());
        if scripts.iter().any(Script::floods) {
            // Small, so that a flood shows soon that nobody reads it.
            socket.set_send_buffer_size(16 * 1024).unwrap();
        }
        let shared = Arc::new(Shared {
            connections: Mutex::default(),
            scripts: Mutex::new((0, scripts)),
        });
        let serving = shared.clone();
        Self {
            url: format!("http://{own}"),
            port: own.port(),
            shared,
            _task: accept(socket, move |stream, number| {
                let (shared, tls) = (serving.clone(), tls.clone());
                async move { shared.serve(stream, tls, number).await }
            }),
        }
    }

    /// What it does from now on, also on connections that are open.
    pub(crate) fn set(&self, script: Script) {
        let mut scripts = self.shared.scripts.lock().unwrap();
        *scripts = (scripts.0 + 1, vec![script]);
    }

    /// What has come so far, a record a connection.
    pub(crate) fn connections(&self) -> Vec<Recorded> {
        self.each(Recorded::clone)
    }

    /// All that has come, a connection after the other.
    pub(crate) fn text(&self) -> String {
        self.each(|one| String::from_utf8_lossy(&one.bytes).into_owned())
            .concat()
    }

    /// Waits until all connections that have come are closed.
    pub(crate) async fn all_closed(&self) {
        until("the upstream's connections to be closed", async || {
            self.connections().iter().all(|one| one.closed)
        })
        .await;
    }

    /// Head and body of each request that has come in full, a connection after the other.
    pub(crate) fn requests(&self) -> Vec<(String, Vec<u8>)> {
        self.each(|one| one.requests.clone()).concat()
    }

    /// How many requests have come in full whose head begins like this.
    pub(crate) fn count(&self, start: &str) -> usize {
        let begins = |one: &Recorded| {
            let heads = one.requests.iter();
            heads.filter(|(head, _)| head.starts_with(start)).count()
        };
        self.each(begins).iter().sum()
    }

    /// Whether a client has closed a connection.
    pub(crate) fn was_left(&self) -> bool {
        self.each(|one| one.closed).contains(&true)
    }

    /// Bytes of floods that the system took before the clients closed.
    pub(crate) fn flooded(&self) -> usize {
        self.each(|one| one.flooded).iter().sum()
    }

    fn each<T>(&self, look: impl Fn(&Recorded) -> T) -> Vec<T> {
        let connections = self.shared.connections.lock().unwrap();
        connections
            .iter()
            .map(|one| look(&one.lock().unwrap()))
            .collect()
    }
}

/// Serves each connection that comes, until it is dropped.
pub(super) fn accept<F: Future<Output = ()> + Send + 'static>(
    socket: TcpSocket,
    serve: impl Fn(TcpStream, usize) -> F + Send + 'static,
) -> JoinSet<()> {
    let listener = socket.listen(1024).unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            connections.spawn(serve(stream, number));
        }
    });
    task
}

impl Shared {
    async fn serve(&self, stream: TcpStream, tls: Option<TlsAcceptor>, number: usize) {
        let record = Arc::new(Mutex::new(Recorded::default()));
        self.connections.lock().unwrap().push(record.clone());
        match tls {
            None => {
                let mut connection = Connection::new(stream, record.clone());
                if self.act(&mut connection, number).await == Some(Step::Reset) {
                    connection.stream.set_zero_linger().unwrap();
                }
            }
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    let mut connection = Connection::new(stream, record.clone());
                    self.act(&mut connection, number).await;
                }
            }
        }
        record.lock().unwrap().ended = true;
    }

    /// The script of a connection as it is now, and how often it has been changed.
    fn script(&self, number: usize) -> (usize, Script) {
        let (changes, scripts) = &*self.scripts.lock().unwrap();
        (*changes, scripts[number.min(scripts.len() - 1)].clone())
    }

    /// Follows the script again and again, and says how it ended; `None`: the other side left.
    async fn act<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        number: usize,
    ) -> Option<Step> {
        let ((mut changes, mut script), mut at) = (self.script(number), 0);
        loop {
            let step = script.step(at);
            at += 1;
            match &step {
                Step::Head => connection.head().await?,
                Step::Body(length) => connection.body(*length).await?,
                Step::Whole => connection.whole().await?,
                Step::Say(bytes) => connection.say(bytes).await,
                Step::Pause(span) => tokio::time::sleep(*span).await,
                Step::Hold => {
                    while self.script(number).0 == changes {
                        tokio::time::sleep(STEP).await;
                    }
                }
                Step::Repeat(bytes, pause) => {
                    while let Ok(sent) = connection.stream.write(bytes).await {
                        connection.stream.flush().await.ok()?;
                        connection.record.lock().unwrap().flooded += sent;
                        tokio::time::sleep(*pause).await;
                    }
                    connection.record.lock().unwrap().closed = true;
                    return None;
                }
                Step::Shutdown => drop(connection.stream.shutdown().await),
                Step::Close | Step::Reset => return Some(step),
            }
            let now = self.script(number);
            if step.waits() && now.0 != changes {
                // What has just come is the first thing that the new script is about.
                (changes, script) = now;
                at = script.after_first_wait();
            }
        }
    }
}

struct Connection<S> {
    stream: S,
    record: Arc<Mutex<Recorded>>,
    /// Read, and not yet looked at.
    buf: Vec<u8>,
    request: Option<Request>,
}

/// A request whose head is there.
struct Request {
    head: String,
    body: Chunks,
    /// The length of a body that is not chunked.
    length: Option<usize>,
    /// Whether it stands among the requests.
    recorded: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    const fn new(stream: S, record: Arc<Mutex<Recorded>>) -> Self {
        Self {
            stream,
            record,
            buf: Vec::new(),
            request: None,
        }
    }

    /// Reads; `None`: the other side has closed.
    async fn more(&mut self) -> Option<()> {
        let mut piece = vec![0; 64 * 1024];
        let read = self.stream.read(&mut piece).await;
        let mut record = self.record.lock().unwrap();
        let Ok(length @ 1..) = read else {
            record.closed = true;
            return None;
        };
        record.bytes.extend_from_slice(&piece[..length]);
        self.buf.extend_from_slice(&piece[..length]);
        Some(())
    }

    /// Errors show when it reads the next time.
    async fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The head of the next request, behind the rest of the one before.
    async fn head(&mut self) -> Option<()> {
        self.rest().await?;
        let mut looked = 0;
        let end = loop {
            // Bodies may be long: what has been looked through is not looked through again.
            if let Some(end) = end_of_head(&self.buf[looked..]) {
                break looked + end;
            }
            looked = self.buf.len().saturating_sub(3);
            self.more().await?;
        };
        let head: Vec<u8> = self.buf.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let is_chunked = !values(&head, "transfer-encoding").is_empty();
        let length = values(&head, "content-length");
        let length = (!is_chunked).then(|| length.first().map_or(0, |n| n.parse().unwrap()));
        // It stands there before it is answered: a test looks as soon as it has the answer.
        let recorded = length == Some(0);
        if recorded {
            let whole = (head.clone(), Vec::new());
            self.record.lock().unwrap().requests.push(whole);
        }
        self.request = Some(Request {
            length,
            head,
            body: Chunks::default(),
            recorded,
        });
        Some(())
    }

    /// So many bytes behind the head, however they are framed.
    async fn body(&mut self, length: usize) -> Option<()> {
        self.head().await?;
        while self.buf.len() < length {
            self.more().await?;
        }
        Some(())
    }

    /// The next request to its end.
    async fn whole(&mut self) -> Option<()> {
        if self.request.is_none() {
            self.head().await?;
        }
        self.rest().await
    }

    /// What is still to come of the request whose head is there.
    async fn rest(&mut self) -> Option<()> {
        while let Some(request) = &mut self.request {
            if request.take(&mut self.buf) {
                if !request.recorded {
                    let whole = (request.head.clone(), std::mem::take(&mut request.body.body));
                    self.record.lock().unwrap().requests.push(whole);
                }
                self.request = None;
            } else {
                self.more().await?;
            }
        }
        Some(())
    }
}

impl Request {
    /// Takes what is its own from the front, and says whether it is there to its end.
    fn take(&mut self, bytes: &mut Vec<u8>) -> bool {
        let Some(length) = self.length else {
            return self.body.take(bytes);
        };
        let body = &mut self.body.body;
        body.extend(bytes.drain(..bytes.len().min(length - body.len())));
        body.len() == length
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

fn values(head: &str, name: &str) -> Vec<String> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}
