//! Many connections that rest, and more than the process may open.

use futures_util::future::join_all;
use hufu::edge::room_for_clients;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::{Gateway, GatewayBuilder, echo_upstream, until};

const MANY: usize = 10_000;
/// Connections that are opened at a time; the listener's queue takes a thousand.
const AT_ONCE: usize = 250;
const ASK: &[u8] = b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Asks on a connection and leaves it open.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(ASK).await.unwrap();
    let (mut seen, mut buf) = (Vec::new(), [0; 512]);
    while !seen.ends_with(b"\r\n\r\nok") {
        let n = stream.read(&mut buf).await.unwrap();
        assert_ne!(n, 0, "closed: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buf[..n]);
    }
}

#[tokio::test]
async fn ten_thousand_connections_may_rest() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < MANY as u64 + 2000 {
        println!(
            "left out: at most {hard} files can be open here; raise the limit (ulimit -Hn) to {}",
            MANY + 2000
        );
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let gateway = Gateway::start("server.keep_alive = \"10m\"\n");
    gateway
        .logs(&format!("at most {hard} files and connections can be open"))
        .await;
    ask(&mut gateway.connect().await).await;
    let before = gateway.resident_kib();
    let mut all = Vec::with_capacity(MANY);
    while all.len() < MANY {
        let more = (0..AT_ONCE).map(|_| async {
            let mut stream = gateway.connect().await;
            ask(&mut stream).await;
            stream
        });
        all.extend(join_all(more).await);
    }
    gateway.counts("hufu_connections_open", MANY as u64).await;
    let grown = gateway.resident_kib().saturating_sub(before);
    println!(
        "{MANY} resting connections take {grown} KiB, {} bytes each",
        grown * 1024 / MANY as u64
    );
    for stream in all.iter_mut().step_by(97) {
        ask(stream).await;
    }
    ask(&mut gateway.connect().await).await;
    drop(all);
    gateway.counts("hufu_connections_open", 0).await;
}

#[tokio::test]
async fn without_descriptors_it_waits_and_goes_on_when_there_are_some() {
    const LIMIT: usize = 256;
    let echo = echo_upstream();
    // Nobody accepts there, so it never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    // What is late on a machine that stalls is no failure here: nobody's time is ever up.
    let config = format!(
        "server.request_head_timeout = \"10m\"\nserver.keep_alive = \"10m\"\n\
         {}[upstreams.silent]\nendpoints = [{silent_url:?}]\ntimeout = \"10m\"\nconnect_timeout = \"10m\"\nejection = {{ failures = 1 }}\n[upstreams.asked]\nendpoints = [{:?}]\nconnect_timeout = \"10m\"\n\
         health = {{ path = \"/\", interval = \"50ms\", timeout = \"10m\", unhealthy_after = 1, healthy_after = 1000 }}\n\
         [[routes]]\npath = \"/asked\"\nupstream = \"asked\"\nauth = \"none\"\n[[routes]]\npath = \"/silent\"\nupstream = \"silent\"\nauth = \"none\"\n",
        echo.route("/open", "none"),
        echo.url
    );
    let setup = GatewayBuilder::new().config(config);
    let gateway = setup.descriptors(u32::try_from(LIMIT).unwrap()).start();
    let room = room_for_clients(LIMIT as u64, 2);
    let mut first = gateway.connect().await;
    ask(&mut first).await;
    let mut others = Vec::new();
    for _ in 0..2 * LIMIT {
        others.push(gateway.connect().await);
    }
    gateway
        .logs("the most that the limit of open files allows")
        .await;
    gateway.counts("hufu_connections_open", room as u64).await;
    let ticks = gateway.ticks();
    // Liveness, readiness and backends have descriptors of their own.
    for page in ["/healthz", "/readyz"] {
        assert_eq!(gateway.admin_get(page).await.status(), 200, "{page}");
    }
    first
        .write_all(b"GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    first.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    // Not even those who all have a request at a backend take them.
    for other in &mut others {
        other
            .write_all(b"GET /silent/x HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
    }
    until("a request that cannot be passed on", async || {
        let mut start = [0; 12];
        others.iter().any(|other| {
            other
                .try_read(&mut start)
                .is_ok_and(|n| start[..n].starts_with(b"HTTP/1.1 503"))
        })
    })
    .await;
    // What the gateway lacks is held against no endpoint: neither by requests nor by health checks,
    // whose endpoint would be sick for long.
    let told = |what: &str| {
        gateway.stderr().lines().any(|line| {
            line.contains("cannot open a connection to")
                && line.contains("no file descriptor is left")
                && line.contains(what)
        })
    };
    until("a request to be told of", async || {
        told("\"upstream\":\"silent\"")
    })
    .await;
    until("a health check to be told of", async || {
        told("\"upstream\":\"asked\"")
    })
    .await;
    let page = gateway.admin_get("/metrics").await.text();
    let known: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("hufu_upstream_endpoint_up{"))
        .collect();
    assert!(
        known.len() == 3 && known.iter().all(|line| line.ends_with(" 1")),
        "{known:?}"
    );
    for page in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(gateway.admin_get(page).await.status(), 200, "{page}");
    }
    println!(
        "without room for more clients: {} ticks of 10 ms",
        gateway.ticks() - ticks
    );
    drop(others);
    until("it to accept again", async || {
        Some(gateway.get("/auth/healthz").try_send().await.ok()?.status())
            .filter(|status| *status == 200)
    })
    .await;
    let log = gateway.stderr();
    assert!(
        !log.contains("panic") && !log.contains("Too many open files"),
        "{log}"
    );
}
