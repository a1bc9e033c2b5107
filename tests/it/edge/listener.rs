//! Ways in: TLS with certificates that change, a Unix socket, the PROXY protocol.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use hufu::edge::tls::MANY;
use nix::sys::signal::Signal;
use rustls::{ProtocolVersion, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::helpers::{
    Certificates, Gateway, Upstream, echo_upstream, probe,
    tls::{client, client_hello, connect},
    until,
};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

fn of_two_names() -> Certificates {
    let certificates = Certificates::new();
    certificates.sign("a", "DNS:a.test");
    certificates.sign("b", "DNS:b.test");
    certificates
}

fn with_tls(certificates: &Certificates, config: &str) -> Gateway {
    let pair = |who: &str| {
        format!(
            "{{ cert = {:?}, key = {:?} }}",
            certificates.path(&format!("{who}.pem")),
            certificates.path(&format!("{who}.key"))
        )
    };
    Gateway::start(&format!(
        "server.tls = [{}, {}]\n{config}",
        pair("a"),
        pair("b")
    ))
}

#[tokio::test]
async fn tls_shows_the_certificate_of_the_name_that_was_asked_for() {
    let upstream = Upstream::ok();
    let certificates = Certificates::new();
    certificates.sign("a", "DNS:a.test");
    certificates.sign("b", "DNS:b.test,DNS:*.c.test");
    let gateway = with_tls(&certificates, &upstream.route("/", "none"));
    let both: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
    for (name, version) in [
        ("a.test", &both[..1]),
        ("a.test", &both[1..]),
        ("b.test", &both[..]),
        ("www.c.test", &both[..]),
    ] {
        let mut stream = connect(
            &gateway,
            &client(&certificates, version, &["h2", "http/1.1"]),
            name,
        )
        .await
        .unwrap();
        let session = stream.get_ref().1;
        assert_eq!(
            session.alpn_protocol(),
            Some(b"http/1.1".as_slice()),
            "{name}"
        );
        assert_eq!(
            session.protocol_version(),
            Some(if version.len() == 1 {
                version[0].version
            } else {
                ProtocolVersion::TLSv1_3
            })
        );
        stream.write_all(GET).await.unwrap();
        let answer = probe::read(&mut stream).await;
        assert_eq!(
            (answer.status, answer.body(), answer.closed),
            (200, "ok", true),
            "{}",
            answer.text
        );
    }
    assert_eq!(
        upstream.connections()[0].values("x-forwarded-proto"),
        ["https"]
    );
    // A name that none has gets the first certificate, which its client does not take; a client of
    // HTTP/2 alone is told so.
    assert!(
        connect(&gateway, &client(&certificates, &both, &[]), "other.test")
            .await
            .is_err()
    );
    assert!(
        connect(&gateway, &client(&certificates, &both, &["h2"]), "a.test")
            .await
            .is_err()
    );
    gateway
        .counts("hufu_tls_handshakes_total{outcome=\"ok\"}", 4)
        .await;
    gateway
        .counts("hufu_tls_handshakes_total{outcome=\"failed\"}", 2)
        .await;
    // The gate stands behind TLS as well.
    let mut stream = connect(&gateway, &client(&certificates, &both, &[]), "a.test")
        .await
        .unwrap();
    stream
        .write_all(b"GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .await
        .unwrap();
    let refused = probe::read(&mut stream).await;
    assert_eq!(
        (refused.status, refused.code(), refused.closed),
        (400, Some("path_invalid"), true),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn certificates_are_read_again_and_broken_ones_change_nothing() {
    let echo = echo_upstream();
    let certificates = of_two_names();
    let gateway = with_tls(&certificates, &echo.route("/", "none"));
    let connector = client(&certificates, &[&version::TLS13], &[]);
    let shown = async || {
        let stream = connect(&gateway, &connector, "a.test").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown().await;
    certificates.sign("a", "DNS:a.test");
    let second = until("the new certificate", async || {
        Some(shown().await).filter(|shown| *shown != first)
    })
    .await;
    std::fs::write(certificates.path("a.pem"), "not a certificate").unwrap();
    gateway.logs("the previous certificates stay in use").await;
    assert_eq!(shown().await, second);
    certificates.sign("a", "DNS:a.test");
    until("the newest certificate", async || {
        Some(shown().await).filter(|shown| *shown != second)
    })
    .await;
    assert!(!gateway.stderr().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn handshakes_have_a_deadline() {
    let echo = echo_upstream();
    let certificates = of_two_names();
    let route = echo.route("/", "none");
    let hasty = format!("server.request_head_timeout = \"300ms\"\n{route}");
    let gateway = with_tls(&certificates, &hasty);
    let silent = probe::read_to_the_end(&mut gateway.connect().await).await;
    assert!(silent.closed && silent.text.is_empty(), "{}", silent.text);
    gateway
        .counts("hufu_tls_handshakes_total{outcome=\"timeout\"}", 1)
        .await;
    // What is no handshake is none, however much time there is.
    let gateway = with_tls(&certificates, &route);
    let plain = probe::send_to_the_end(gateway.listen, GET).await;
    assert!(
        plain.closed && !plain.text.contains("HTTP"),
        "{}",
        plain.text
    );
    gateway
        .counts("hufu_tls_handshakes_total{outcome=\"failed\"}", 1)
        .await;
}

/// Wherever a handshake stops: before its first byte, within the ClientHello, or behind it.
#[tokio::test]
async fn handshakes_that_drag_on_keep_nobody_from_theirs() {
    // More than may drag on.
    const STALLED: usize = 300;
    let echo = echo_upstream();
    let certificates = of_two_names();
    let gateway = with_tls(
        &certificates,
        &format!(
            "server.request_head_timeout = \"10m\"\n{}",
            echo.route("/", "none")
        ),
    );
    let connector = client(&certificates, &[&version::TLS13], &["http/1.1"]);
    let served = async |when: &str| {
        let asked = tokio::time::timeout(Duration::from_secs(20), async {
            let mut stream = connect(&gateway, &connector, "a.test").await.unwrap();
            stream.write_all(GET).await.unwrap();
            probe::read(&mut stream).await
        });
        assert_eq!(
            asked
                .await
                .unwrap_or_else(|_| panic!("{when}: a client waits for others"))
                .status,
            200,
            "{when}"
        );
    };
    let hello = client_hello(&connector, "a.test");
    let mut stalled = Vec::new();
    for sent in [0, 6, hello.len() - 1, hello.len()] {
        stalled.clear();
        for _ in 0..STALLED {
            let mut stream = gateway.connect().await;
            stream.write_all(&hello[..sent]).await.unwrap();
            stalled.push(stream);
        }
        served(&format!("{sent} bytes of {}", hello.len())).await;
    }
    for stream in &mut stalled {
        // The answer to the ClientHello: all of them are under way.
        stream.read_u8().await.unwrap();
    }
    // When they have had their time, and others come, they make room.
    let displaced = async || {
        gateway
            .counted("hufu_tls_handshakes_total{outcome=\"displaced\"}")
            .await
    };
    until("those that drag on to give way", async || {
        served("they drag on").await;
        displaced().await >= (STALLED - MANY) as u64
    })
    .await;
    // Which are the oldest, the workers decide between them.
    let is_closed = |stream: &TcpStream| loop {
        match stream.try_read(&mut [0; 4096]) {
            Ok(1..) => {}
            read => {
                return read.is_ok()
                    || read.is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
            }
        }
    };
    until("their connections to end", async || {
        stalled.iter().filter(|stream| is_closed(stream)).count() >= STALLED - MANY
    })
    .await;
    served("in the end").await;
    assert_eq!(
        gateway
            .counted("hufu_tls_handshakes_total{outcome=\"timeout\"}")
            .await,
        0
    );
    let told: Vec<String> = gateway
        .stderr()
        .lines()
        .filter(|line| line.contains("TLS handshake dropped"))
        .map(str::to_owned)
        .collect();
    assert!(
        told.len() == 1
            && told[0].contains("127.0.0.1: ")
            && told[0].contains("limit connections per address"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_unix_socket_is_a_listener() {
    let upstream = Upstream::ok();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hufu.sock");
    let config = format!(
        "server.listen = \"unix:{}\"\n{}",
        path.display(),
        upstream.route("/", "none")
    );
    // A process that is killed leaves its socket behind; the next one takes its place.
    for _ in 0..2 {
        let gateway = Gateway::start(&config);
        assert_eq!(ask(&path, GET).await.status, 200);
        assert_eq!(
            ask(&path, b"GET / HTTP/1.1\nHost: x\n\n").await.code(),
            Some("request_invalid")
        );
        gateway.access_line("the client on this machine", |line| {
            line["client"] == "127.0.0.1" && line["status"] == 200
        });
        drop(gateway);
        assert!(path.exists());
    }
    // One that ends in order takes it along.
    let mut gateway = Gateway::start(&format!("server.drain_grace = \"0s\"\n{config}"));
    assert_eq!(ask(&path, GET).await.status, 200);
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    assert!(
        !path.exists() && !gateway.stderr().contains("cannot remove the socket"),
        "{}",
        gateway.stderr()
    );
}

async fn ask(path: &Path, request: &[u8]) -> crate::helpers::Answer {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request).await.unwrap();
    probe::read(&mut stream).await
}

#[tokio::test]
async fn balancers_name_their_clients_in_a_proxy_header() {
    let upstream = Upstream::ok();
    let start = |trusted: &str, more: &str| {
        Gateway::start(&format!(
            "server.trusted_proxies = [\"{trusted}\"]\nserver.proxy_protocol = true\n{more}{}",
            upstream.route("/", "none")
        ))
    };
    let gateway = start("127.0.0.1", "");
    let v2 = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        &[7, 7, 7, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80],
    ]
    .concat();
    for (header, client) in [
        (
            b"PROXY TCP4 6.6.6.6 10.0.0.1 4660 80\r\n".to_vec(),
            "6.6.6.6",
        ),
        (v2, "7.7.7.7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        // The client's own word about itself counts for nothing; it is the balancer that is
        // trusted, not whom it passes on.
        let request = "GET /x HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n";
        let answer = gateway
            .raw([&header[..], request.as_bytes()].concat())
            .await;
        assert_eq!(answer.status, 200, "{client}: {}", answer.text);
        // A balancer that does not say whose connection it is does not make its client's words its
        // own.
        let spoofed = upstream.text().contains("1.2.3.4");
        assert!(!spoofed, "{client}");
        if client != "127.0.0.1" {
            gateway.access_line("the client", |line| line["client"] == client);
            let seen = upstream.text();
            assert!(
                seen.contains(&format!("x-forwarded-for: {client}\r\n")),
                "{seen}"
            );
        }
    }
    let hasty = start("127.0.0.1", "server.request_head_timeout = \"1s\"\n");
    for (gateway, missing) in [
        (&gateway, GET.to_vec()),
        (&gateway, b"PROXY TCP4 evil\r\n".to_vec()),
        (&hasty, b"PROXY".to_vec()),
    ] {
        let answer = probe::send_to_the_end(gateway.listen, &missing).await;
        assert!(answer.closed && answer.text.is_empty(), "{}", answer.text);
        gateway.logs("no valid PROXY header").await;
    }
    let stranger = start("10.0.0.0/8", "");
    assert_eq!(stranger.raw(GET).await.status, 200);
    assert_eq!(
        stranger
            .raw([b"PROXY TCP4 6.6.6.6 10.0.0.1 1 2\r\n", GET].concat())
            .await
            .status,
        400
    );
    assert!(!stranger.stdout().contains("6.6.6.6"));
}
