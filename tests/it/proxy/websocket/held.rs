//! What an open socket or stream holds, and that it is given back: by a client that takes nothing,
//! and by a thousand of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use hufu::clock::monotonic_now;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::{EVENTS, HANDSHAKE};
use crate::helpers::{
    Certificates, Gateway, Script, Upstream, WsUpstream, echo_upstream, echoed, farewell, tls,
    until, upstream_of,
    ws_client::{connect, open},
};

trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Has it reset when it is dropped.
    fn reset(&self);
}

impl Stream for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Stream for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// A client that asks for a stream without end, sees its beginning and takes nothing more.
async fn takes_nothing(
    gateway: &Gateway,
    certificates: Option<&Certificates>,
    request: &str,
) -> Box<dyn Stream> {
    let mut client: Box<dyn Stream> = match certificates {
        None => Box::new(gateway.connect().await),
        Some(certificates) => Box::new(
            tls::connect(
                gateway,
                &tls::client(certificates, rustls::ALL_VERSIONS, &[]),
                "a.test",
            )
            .await
            .unwrap(),
        ),
    };
    client.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        assert!(
            client.read_buf(&mut seen).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&seen)
        );
    }
    client
}

/// What came before it was cut, which must not look whole.
async fn is_broken(mut client: Box<dyn Stream>) {
    let (mut last, mut buf) = (Vec::new(), vec![0; 64 * 1024]);
    let read = async {
        while let Ok(n @ 1..) = client.read(&mut buf).await {
            last = buf[..n].to_vec();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("the connection stays open");
    assert!(
        !last.ends_with(b"0\r\n\r\n"),
        "a part must not look like the whole"
    );
}

fn listening(certificates: Option<&Certificates>) -> String {
    let pair = |certificates: &Certificates| {
        certificates.sign("a", "DNS:a.test");
        format!(
            "server.tls = [{{ cert = {:?}, key = {:?} }}]\n",
            certificates.path("a.pem"),
            certificates.path("a.key")
        )
    };
    certificates.map(pair).unwrap_or_default()
}

/// How many it has open while it has nothing to do.
async fn resting(gateway: &Gateway) -> usize {
    // The answer comes when it has started in full.
    let _ = gateway.counted("hufu_connections_open").await;
    gateway.sockets()
}

async fn descriptors_are_back(gateway: &Gateway, before: usize) {
    gateway.counts("hufu_connections_open", 0).await;
    until("the descriptors to be given back", async || {
        gateway.sockets() <= before
    })
    .await;
}

async fn stream_is_cut(certificates: Option<Certificates>) {
    // Whoever comes second gets an answer.
    let upstream = Upstream::in_turn([
        Script::flood("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
        Script::at_end("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell")
            .then_close(),
    ]);
    let one_place = "max_concurrent = 1\nqueue = 0";
    let config = format!(
        "server.write_timeout = \"1s\"\n{}{}",
        listening(certificates.as_ref()),
        upstream_of(&[&upstream.url], "none", one_place)
    );
    let gateway = Gateway::start(&config);
    let before = resting(&gateway).await;
    const GET: &str = "GET /flood HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    let client = takes_nothing(&gateway, certificates.as_ref(), GET).await;
    let began = monotonic_now();
    until("the upstream's connection to be closed", async || {
        upstream.was_left()
    })
    .await;
    println!(
        "cut after {:?}; the upstream was rid of {} bytes",
        began.elapsed(),
        upstream.flooded()
    );
    gateway.access_line("the end of the stream", |line| {
        line["path"] == "/flood" && line["status"] == 200
    });
    until("its place at the upstream to be free", async || {
        drop(takes_nothing(&gateway, certificates.as_ref(), GET).await);
        upstream.count("") == 2
    })
    .await;
    descriptors_are_back(&gateway, before).await;
    is_broken(client).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_stream_is_cut() {
    stream_is_cut(None).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_over_tls_is_cut() {
    stream_is_cut(Some(Certificates::new())).await;
}

/// Its writing must not keep it from hearing of the session's end.
#[tokio::test]
async fn a_revoked_session_ends_a_stream_of_which_nothing_is_taken() {
    let upstream = Upstream::start(Script::flood(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ));
    let gateway = Gateway::start(&upstream.route("/", "required"));
    let token = gateway.token("zhang").await;
    let request =
        format!("GET /flood HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    let client = takes_nothing(&gateway, None, &request).await;
    gateway.sign_out(&token).await;
    let began = monotonic_now();
    until("the upstream's connection to be closed", async || {
        upstream.was_left()
    })
    .await;
    println!("ended after {:?}", began.elapsed());
    let line = gateway.access_line("the end of the stream", |line| line["path"] == "/flood");
    assert_eq!(
        (&line["status"], &line["error"]),
        (&200.into(), &"session_expired".into())
    );
    is_broken(client).await;
}

async fn socket_is_cut(certificates: Option<Certificates>) {
    let upstream = WsUpstream::start().await;
    let limits = "websockets = { max = 1, idle_timeout = \"10m\" }\n";
    let config = format!(
        "server.write_timeout = \"1s\"\n{limits}{}{}",
        listening(certificates.as_ref()),
        upstream.route("/", "none")
    );
    let gateway = Gateway::start(&config);
    let before = resting(&gateway).await;
    let handshake = |path: &str| format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}\r\n");
    let client = takes_nothing(&gateway, certificates.as_ref(), &handshake("/flood")).await;
    assert_eq!(upstream.opened.load(Ordering::SeqCst), 1);
    let began = monotonic_now();
    gateway.counts("hufu_websockets_open", 0).await;
    println!("cut after {:?}", began.elapsed());
    until("the upstream's connection to end", async || {
        upstream.ended.load(Ordering::SeqCst) == 1
    })
    .await;
    let line = gateway.access_line("the end of the socket", |line| {
        line["path"] == "/flood" && line["status"] == 101
    });
    assert!(line["bytes"].as_u64().unwrap() > 0, "{line}");
    drop(takes_nothing(&gateway, certificates.as_ref(), &handshake("/echo")).await);
    until("the upstream's other connection to end", async || {
        upstream.ended.load(Ordering::SeqCst) == 2
    })
    .await;
    descriptors_are_back(&gateway, before).await;
    is_broken(client).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_socket_is_cut() {
    socket_is_cut(None).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_socket_over_tls_is_cut() {
    socket_is_cut(Some(Certificates::new())).await;
}

/// Who leaves a stream on which nothing happens is noticed all the same, however it leaves.
#[tokio::test]
async fn clients_that_leave_silent_streams_are_forgotten() {
    let (events, sockets) = (
        Upstream::start(Script::at_head(EVENTS.to_vec())),
        WsUpstream::start().await,
    );
    let patient = |routes: String| routes.replace("timeout = \"5s\"", "timeout = \"5m\"");
    let gateway = Gateway::start(&patient(
        events.route("/events", "required") + &sockets.route("/echo", "required"),
    ));
    let before = resting(&gateway).await;
    let token = gateway.token("zhang").await;
    for (path, lines) in [("/events", "Host: x\r\n"), ("/echo", HANDSHAKE)] {
        let request =
            format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{lines}\r\n");
        let mut clients = Vec::new();
        for _ in 0..9 {
            clients.push(takes_nothing(&gateway, None, &request).await);
        }
        gateway.counts("hufu_requests_in_flight", 9).await;
        // Three close, three reset, and three end their sending side alone.
        let mut half_closed = Vec::new();
        for (n, mut client) in clients.into_iter().enumerate() {
            match n % 3 {
                0 => {}
                1 => client.reset(),
                _ => {
                    client.shutdown().await.unwrap();
                    half_closed.push(client);
                }
            }
        }
        gateway.counts("hufu_requests_in_flight", 0).await;
    }
    until("the upstream's sockets to end", async || {
        sockets.ended.load(Ordering::SeqCst) == 9
    })
    .await;
    until("the upstream's streams to end", async || {
        events
            .connections()
            .iter()
            .all(|connection| connection.closed)
    })
    .await;
    assert_eq!(events.connections().len(), 9);
    descriptors_are_back(&gateway, before).await;
}

/// Slow is not silent: what takes longer than the timeout in all comes through if something is
/// taken all the time.
#[tokio::test]
async fn a_client_that_takes_a_little_at_a_time_gets_everything() {
    const LENGTH: usize = 21 << 20;
    let echo = echo_upstream();
    // Longer than this machine stalls, and shorter than all of it takes.
    let gateway = Gateway::start(&format!(
        "server.write_timeout = \"4s\"\n{}",
        echo.route("/", "none")
    ));
    let mut client = gateway.connect().await;
    // Or the system would take megabytes at once for it.
    SockRef::from(&client)
        .set_recv_buffer_size(64 * 1024)
        .unwrap();
    client
        .write_all(
            format!("GET /bytes/{LENGTH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await
        .unwrap();
    let (mut got, mut buf, began) = (
        Vec::with_capacity(LENGTH),
        vec![0; 48 * 1024],
        monotonic_now(),
    );
    loop {
        match client.read(&mut buf).await.unwrap() {
            0 => break,
            n => got.extend_from_slice(&buf[..n]),
        }
        // A slow reader: its pace is what the gateway is to bear.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{} bytes in {:?}", got.len(), began.elapsed());
    assert!(
        got.starts_with(b"HTTP/1.1 200")
            && got.iter().filter(|byte| **byte == b'x').count() >= LENGTH,
        "{} bytes",
        got.len()
    );
}

#[tokio::test]
async fn a_thousand_sockets_are_held() {
    const MANY: usize = 1000;
    const USERS: usize = 20;
    // Two for each in this process and two in the gateway.
    const NEEDED: u64 = 2 * MANY as u64 + 500;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < NEEDED {
        println!(
            "left out: at most {hard} files can be open here; raise the limit (ulimit -Hn) to {NEEDED}"
        );
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let upstream = WsUpstream::start().await;
    let config = format!(
        "websockets.max_per_user = {}\n{}",
        MANY / USERS,
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let mut tokens = Vec::new();
    for user in 0..USERS {
        tokens.push(gateway.token(&format!("user{user}")).await);
    }
    let (before, descriptors) = (gateway.resident_kib(), resting(&gateway).await);
    let mut sockets = Vec::with_capacity(MANY);
    while sockets.len() < MANY {
        sockets.extend(join_all(tokens.iter().map(|token| open(&gateway, "/echo", token))).await);
    }
    gateway.counts("hufu_websockets_open", MANY as u64).await;
    for (n, socket) in sockets.iter_mut().enumerate() {
        echoed(socket, Message::text(n.to_string())).await;
    }
    let grown = gateway.resident_kib().saturating_sub(before);
    println!(
        "{MANY} sockets take {grown} KiB, {} bytes each",
        grown * 1024 / MANY as u64
    );
    assert!(grown < 128 * 1024, "{grown} KiB");
    // One user's are closed when the session ends; each of the others still echoes.
    gateway.sign_out(&tokens[0]).await;
    let (ended, mut others): (Vec<_>, Vec<_>) = sockets
        .into_iter()
        .enumerate()
        .partition(|(n, _)| n % USERS == 0);
    for (_, mut socket) in ended {
        assert_eq!(
            farewell(&mut socket).await,
            Some((1008, "session_expired".to_owned()))
        );
    }
    for (n, socket) in &mut others {
        echoed(socket, Message::text(format!("still {n}"))).await;
    }
    drop(others);
    gateway.counts("hufu_websockets_open", 0).await;
    until("the upstream's connections to end", async || {
        upstream.ended.load(Ordering::SeqCst) == MANY
    })
    .await;
    descriptors_are_back(&gateway, descriptors).await;
    assert!(
        connect(
            &gateway,
            "/echo",
            &[("authorization", &format!("Bearer {}", tokens[1]))]
        )
        .await
        .is_ok()
    );
}
