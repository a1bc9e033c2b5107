//! Answers that come while the client still sends: whoever reads only when all is sent sees them,
//! over plain sockets, TLS and Unix sockets, with real clients, and behind real proxies.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::helpers::{
    Certificates, Gateway, GatewayBuilder, Nginx, Script, Server, Upstream, caddy, envoy,
    programs::program,
    route,
    tls::{client, connect},
    until,
};

const MIB: usize = 1 << 20;
/// What an upload is refused with, and where.
const REFUSED: [(&str, u16); 3] = [("/api/x", 401), ("/open/x", 413), ("/nowhere", 404)];

/// Where nobody listens, nor is asked.
const NOBODY: &str = "http://127.0.0.1:1";

/// A gateway that refuses all of these uploads.
fn gateway(config: &str) -> Gateway {
    Gateway::start(&refusing_config(NOBODY, config))
}

fn refusing_config(open: &str, config: &str) -> String {
    format!(
        "server.body_limit = \"1MiB\"\n{config}{}{}",
        route("/api", NOBODY, "required"),
        route("/open", open, "none")
    )
}

/// Sends a whole request, and only then reads: the answer, or what was in the way.
async fn upload(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    path: &str,
    chunked: bool,
    length: usize,
) -> Result<String, std::io::Error> {
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {length}")
    };
    stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer dead\r\n{framing}\r\n\r\n").as_bytes()).await?;
    let piece = vec![b'x'; MIB / 4];
    for _ in 0..length / piece.len() {
        if chunked {
            stream
                .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                .await?;
        }
        stream.write_all(&piece).await?;
        if chunked {
            stream.write_all(b"\r\n").await?;
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    stream.flush().await?;
    let (mut answer, mut buf) = (String::new(), [0; 4096]);
    while !answer.ends_with('}') {
        match stream.read(&mut buf).await? {
            0 => break,
            read => answer.push_str(&String::from_utf8_lossy(&buf[..read])),
        }
    }
    Ok(answer)
}

fn is_whole(answer: &std::io::Result<String>, status: u16, what: &str) {
    let text = answer
        .as_ref()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        text.starts_with(&format!("HTTP/1.1 {status}")) && text.ends_with('}'),
        "{what}: {text:?}"
    );
}

#[tokio::test]
async fn whoever_sends_everything_first_sees_the_refusal() {
    // A body of unknown length begins to go on before it is too long.
    let backend = Upstream::start(Script::hang());
    let gateway = Gateway::start(&refusing_config(&backend.url, ""));
    for (path, status) in REFUSED {
        for (length, chunked) in [
            (5 * MIB, false),
            (5 * MIB, true),
            (14 * MIB, false),
            (14 * MIB, true),
        ] {
            for n in 0..if path == "/api/x" { 10 } else { 3 } {
                let mut stream = gateway.connect().await;
                is_whole(
                    &upload(&mut stream, path, chunked, length).await,
                    status,
                    &format!("{path} {length} chunked: {chunked}, the {n}th"),
                );
            }
        }
    }
}

#[tokio::test]
async fn over_tls_and_over_unix_sockets_too() {
    let certificates = Certificates::new();
    certificates.sign("a", "DNS:a.test");
    let pair = format!(
        "server.tls = [{{ cert = {:?}, key = {:?} }}]\n",
        certificates.path("a.pem"),
        certificates.path("a.key")
    );
    let tls = gateway(&pair);
    for version in [&TLS12, &TLS13] {
        for (path, status) in REFUSED {
            let mut stream = connect(&tls, &client(&certificates, &[version], &[]), "a.test")
                .await
                .unwrap();
            is_whole(
                &upload(&mut stream, path, false, 14 * MIB).await,
                status,
                &format!("{path} over {version:?}"),
            );
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hufu.sock");
    let _unix = gateway(&format!("server.listen = \"unix:{}\"\n", path.display()));
    for (target, status) in REFUSED {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        is_whole(
            &upload(&mut stream, target, false, 14 * MIB).await,
            status,
            &format!("{target} over a Unix socket"),
        );
    }
}

/// A client that stops when it sees the answer is not waited for, and the gateway's side is closed
/// at once.
#[tokio::test]
async fn whoever_reads_at_once_has_the_answer_at_once_and_its_end() {
    let gateway = gateway("");
    for framing in ["Content-Length: 5000000", "Transfer-Encoding: chunked"] {
        let mut client = gateway.probe().await;
        client
            .send(format!(
                "POST /api HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n10\r\n0123456789"
            ))
            .await;
        let answer = client.answer("POST").await;
        assert_eq!(
            (answer.status(), answer.text().ends_with('}')),
            (401, true),
            "{framing}: {answer:?}"
        );
        assert_eq!(
            answer.head.closes(),
            framing.starts_with('C'),
            "{framing}: {answer:?}"
        );
        client.ended().await;
        // What it had on its way disturbs nobody.
        client.send(vec![b'x'; 1000]).await;
    }
}

/// A client that is answered and goes on sending, a KiB at a time: done when its connection has
/// ended.
async fn sends_on(gateway: &Gateway) -> JoinHandle<()> {
    let mut client = gateway.connect().await;
    client
        .write_all(b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 14000000\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    client.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 401");
    tokio::spawn(async move {
        while client.write_all(&[b'x'; 1024]).await.is_ok() {
            // A slow sender, but none that is taken for silent, however busy this machine is.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// Those that linger are a quarter of all clients at most; then the oldest go. The others keep
/// their connections.
#[tokio::test]
async fn many_that_linger_make_room_for_each_other() {
    const MOST: usize = 16;
    let config = refusing_config(NOBODY, "");
    let gateway = GatewayBuilder::new()
        .config(config)
        .descriptors(128)
        .start();
    let first = join_all((0..4).map(|_| sends_on(&gateway))).await;
    // Whoever has its answer lingers a moment later. The workers take turns, and each has done that
    // moment's work before it answers anybody else.
    for _ in 0..4 {
        assert_eq!(gateway.get("/auth/healthz").await.status(), 200);
    }
    let others = join_all((0..MOST).map(|_| sends_on(&gateway))).await;
    until("the oldest to go", async || {
        first.iter().all(JoinHandle::is_finished)
    })
    .await;
    assert!(
        !others.iter().any(JoinHandle::is_finished),
        "one that was not the oldest went"
    );
}

/// The end of a drain ends all of it, and nobody loses an answer that was there.
#[tokio::test]
async fn the_end_of_a_drain_ends_it() {
    let mut gateway = gateway("server.drain_grace = \"0s\"\nserver.drain_deadline = \"1s\"\n");
    let mut client = gateway.connect().await;
    client
        .write_all(b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 14000000\r\n\r\n")
        .await
        .unwrap();
    let (mut reader, mut writer) = client.into_split();
    // A slow sender, which never pauses for long.
    let drip = tokio::spawn(async move {
        while writer.write_all(b"xxxx").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut start = [0; 12];
    reader.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 401");
    gateway.signal(Signal::SIGTERM);
    let mut rest = String::new();
    let _ = reader.read_to_string(&mut rest).await;
    assert!(rest.ends_with('}'), "{rest:?}");
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.stderr());
    drip.await.unwrap();
    gateway.assert_not_logged("cut");
}

/// What `http.client` sees: it sends all, and reads then. A try that paused and failed is made again,
/// so many times.
const PYTHON: &str = "
import http.client, sys, time
host, port, path, status = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
size, tries, again = (int(word) for word in sys.argv[5:])
while tries > 0:
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request('POST', path, body=b'x' * size, headers={'Authorization': 'Bearer dead'})
        answer = connection.getresponse()
        seen = str(answer.status) if answer.read().endswith(b'}') else 'half'
    except Exception as error:
        seen = repr(error)
    connection.close()
    if seen != status and again > 0 and time.monotonic() - began >= 0.5:
        again -= 1
    else:
        print(seen)
        tries -= 1
";

/// What Node sees, with its own client and with `fetch`.
const NODE: &str = "
const http = require('http')
const [host, port, path, status, size, tries, again] = process.argv.slice(1)
const once = () => new Promise(seen => {
  const request = http.request({ host, port, path, method: 'POST', agent: false, headers: { Authorization: 'Bearer dead', 'Content-Length': +size } }, answer => {
    let text = ''
    answer.on('data', data => { text += data }).on('error', error => seen(String(error))).on('end', () => seen(text.endsWith('}') ? answer.statusCode : 'half'))
  })
  request.on('error', error => seen(String(error)))
  request.end(Buffer.alloc(+size, 'x'))
})
const fetched = () => fetch(`http://${host}:${port}${path}`, { method: 'POST', body: Buffer.alloc(+size, 'x'), headers: { Authorization: 'Bearer dead' } })
  .then(async answer => (await answer.text()).endsWith('}') ? answer.status : 'half', error => String(error.cause || error))
;(async () => {
  let left = again
  for (let n = 0; n < tries; n++) {
    const began = performance.now()
    const seen = n % 2 ? await fetched() : await once()
    if (String(seen) !== status && left > 0 && performance.now() - began >= 500) {
      left--
      n--
    } else console.log(seen)
  }
})()
";

/// Ten of ten see the status, with each real client.
fn all_see(place: &str, at: SocketAddr, path: &str, status: u16, mib: usize) {
    const TRIES: usize = 10;
    // Caddy and Envoy end a client's connection with the answer. They have its end when nothing has
    // come from them for half a second, which a machine that stalls makes of any upload.
    let again = if ["through Caddy", "through Envoy"].contains(&place) {
        "20"
    } else {
        "0"
    };
    for (name, program, args) in [
        ("http.client", "python3", ["-c", PYTHON]),
        ("Node", "node", ["-e", NODE]),
    ] {
        let (port, size) = (at.port().to_string(), (mib * MIB).to_string());
        let (status, tries) = (status.to_string(), TRIES.to_string());
        let ran = Command::new(program)
            .args(args)
            .args(["127.0.0.1", &port, path, &status, &size, &tries, again])
            .output();
        let ran = match ran {
            Ok(ran) => ran,
            Err(_) if program == "node" => {
                println!("node is not here: left out");
                continue;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        let seen = String::from_utf8_lossy(&ran.stdout).into_owned()
            + &String::from_utf8_lossy(&ran.stderr);
        assert_eq!(
            seen.trim_end().lines().collect::<Vec<_>>(),
            vec![status; TRIES],
            "{name} {place} {path} {mib} MiB"
        );
    }
}

fn all_see_all(place: &str, at: SocketAddr) {
    for (path, status, mib) in [
        ("/api/x", 401, 5),
        ("/api/x", 401, 14),
        ("/open/x", 413, 14),
        ("/nowhere", 404, 5),
    ] {
        all_see(place, at, path, status, mib);
    }
}

#[test]
fn real_clients_see_it() {
    all_see_all("directly", gateway("").listen);
}

#[test]
fn real_clients_see_it_through_caddy() {
    let Some(program) = program("caddy") else {
        return;
    };
    let gateway = gateway("");
    let proxy = Server::start("caddy", |port, folder| {
        caddy::command(&program, folder, port, gateway.listen)
    });
    all_see_all("through Caddy", proxy.address());
}

#[test]
fn real_clients_see_it_through_envoy() {
    let Some(program) = program("envoy") else {
        return;
    };
    let gateway = gateway("");
    let proxy = Server::start("envoy", |port, folder| {
        envoy::command(&program, folder, port, gateway.listen)
    });
    all_see_all("through Envoy", proxy.address());
}

#[test]
fn real_clients_see_it_through_nginx() {
    let gateway = gateway("");
    for buffering in ["on", "off"] {
        let nginx = Nginx::start(&format!(
            "client_max_body_size 0;\nlocation / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_request_buffering {buffering}; }}",
            gateway.listen
        ));
        all_see_all(
            &format!("through nginx, proxy_request_buffering {buffering}"),
            nginx.address(),
        );
    }
}
