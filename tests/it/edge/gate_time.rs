//! The gate over time: deadlines, "100 Continue", refusals that linger, answers that nobody reads,
//! clients that leave.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::helpers::{ByHand, Gateway, Script, Upstream, echo_upstream, probe, script::ok, until};

const FIRST: &str = "GET /first HTTP/1.1\r\nHost: x\r\n\r\n";

/// Case 96: heads without end, on every request of a connection.
#[tokio::test]
async fn slow_heads_are_cut_and_idle_connections_closed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&format!(
        "server.request_head_timeout = \"1s\"\n{}",
        upstream.route("/", "none")
    ));
    for is_second in [false, true] {
        let text = until("a head that begins in time", async || {
            let mut client = gateway.probe().await;
            if is_second {
                let answer = client.ask("GET", "/first", "").await;
                assert_eq!(answer.status(), 200, "{answer:?}");
            }
            // Bytes that keep coming do not move the deadline.
            let mut writer = client.sender();
            let drip = tokio::spawn(async move {
                let _ = writer
                    .try_send("GET /slow?token=x HTTP/1.1\r\nHost: x\r\n")
                    .await;
                while writer.try_send("X: y\r\n").await.is_ok() {
                    // A slow sender: its head must not be full before it is late.
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            });
            let text = String::from_utf8(client.rest().await).unwrap();
            drip.abort();
            // On a machine that stalled nothing of the first had come when its time was up.
            (is_second || !text.is_empty()).then_some(text)
        })
        .await;
        assert!(
            text.starts_with("HTTP/1.1 408") && text.contains("request_timeout"),
            "{text}"
        );
    }
    gateway.access_line("the slow head", |line| {
        line["status"] == 408 && line["path"] == "/slow" && line["error"] == "request_timeout"
    });
    // Who sends nothing at all gets nothing.
    let silent = probe::read(&mut gateway.connect().await).await;
    assert_eq!((silent.text.as_str(), silent.closed), ("", true));
    let gateway = Gateway::start(&format!(
        "server.keep_alive = \"200ms\"\n{}",
        upstream.route("/", "none")
    ));
    let mut resting = gateway.connect().await;
    resting.write_all(FIRST.as_bytes()).await.unwrap();
    let mut all = String::new();
    tokio::time::timeout(Duration::from_secs(30), resting.read_to_string(&mut all))
        .await
        .unwrap()
        .unwrap();
    assert!(
        all.ends_with("ok") && all.matches("HTTP/1.1").count() == 1,
        "{all}"
    );
}

#[tokio::test]
async fn slow_bodies_are_cut_and_never_whole_upstream() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&format!(
        "server.request_body_timeout = \"300ms\"\n{}",
        upstream.route("/", "none")
    ));
    for (path, framing, dripping) in [
        ("/a", "Content-Length: 1000\r\n\r\nabc", false),
        ("/b", "Transfer-Encoding: chunked\r\n\r\n3e8\r\nabc", false),
        (
            "/auth/login",
            "Content-Length: 99\r\nContent-Type: application/json\r\n\r\n{",
            false,
        ),
        ("/c", "Content-Length: 100000\r\n\r\n", true),
    ] {
        let client = gateway.connect().await;
        let (mut reader, mut writer) = client.into_split();
        let drip = tokio::spawn(async move {
            let _ = writer
                .write_all(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{framing}").as_bytes())
                .await;
            while dripping && writer.write_all(b"x").await.is_ok() {
                // A slow sender: so few bytes are no sign of life.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The connection stays open.
            std::future::pending::<()>().await;
        });
        let mut text = String::new();
        let _ = reader.read_to_string(&mut text).await;
        drip.abort();
        assert!(
            text.starts_with("HTTP/1.1 408") && text.contains("x-hufu-error: request_timeout"),
            "{path}: {text}"
        );
        gateway.access_line("the slow body", |line| {
            line["status"] == 408 && line["path"] == path
        });
    }
    upstream.all_closed().await;
    assert!(
        upstream
            .connections()
            .iter()
            .all(|c| c.body().len() < 1000 && !c.body().ends_with(b"0\r\n\r\n"))
    );
}

/// What keeps a backend is no silence of the client's, who has sent all that was taken.
#[tokio::test]
async fn a_slow_backend_costs_its_client_no_time() {
    const LENGTH: usize = 32 << 20;
    let backend = ByHand::start().await;
    // Longer than this machine stalls, and shorter than the pause.
    let gateway = Gateway::start(&format!(
        "server.request_body_timeout = \"3s\"\nserver.body_limit = \"64MiB\"\n{}",
        backend.route("/", "none").replace("\"5s\"", "\"60s\"")
    ));
    let mut client = gateway.probe().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
    let mut sender = client.sender();
    let upload = tokio::spawn(async move { sender.send(vec![b'x'; LENGTH]).await });
    let (mut peer, _) = backend.request().await;
    // Nothing is to be waited for: the pause is what this is about.
    for _ in 0..80 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!upload.is_finished(), "all of it lies in between");
    assert_eq!(peer.take(LENGTH).await.len(), LENGTH);
    upload.await.unwrap();
    peer.send(ok()).await;
    assert_eq!(client.answer("POST").await.status(), 200);
}

#[tokio::test]
async fn continue_is_said_only_once_the_body_is_wanted() {
    let upstream = Upstream::start(Script::after_body(5, ok()));
    let gateway =
        Gateway::start(&(upstream.route("/api", "required") + &upstream.route("/public", "none")));
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let head = |path: &str| {
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n{framing}\r\n\r\n")
        };
        let refused = gateway.raw(head("/api")).await;
        assert_eq!(
            (refused.status, refused.header("connection")),
            (401, Some("close")),
            "{framing}: {}",
            refused.text
        );
        assert!(!refused.text.contains("100 Continue"), "{}", refused.text);

        let mut client = gateway.probe().await;
        client.send(head("/public")).await;
        let asked = client.head().await;
        assert_eq!(asked.first, "HTTP/1.1 100 Continue", "{framing}");
        client
            .send(if framing.starts_with('C') {
                b"hello".as_slice()
            } else {
                b"5\r\nhello\r\n0\r\n\r\n"
            })
            .await;
        let answer = client.answer("POST").await;
        assert_eq!(
            (answer.status(), answer.text().as_str(), answer.interim),
            (200, "ok", vec![]),
            "{framing}"
        );
        assert!(!answer.head.closes(), "{framing}: {:?}", answer.head);
        client.send("POST /public HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello").await;
        let at_once = client.answer("POST").await;
        assert_eq!(
            (at_once.status(), at_once.text().as_str()),
            (200, "ok"),
            "{at_once:?}"
        );
    }
    let none = gateway.raw(b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n").await;
    assert_eq!(none.status, 200, "{}", none.text);
}

#[tokio::test]
async fn an_upload_that_is_refused_early_sees_its_answer() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&format!(
        "server.body_limit = \"1MiB\"\n{}{}",
        upstream.route("/api", "required"),
        upstream.route("/public", "none")
    ));
    for (path, status) in [("/api", 401), ("/public", 413)] {
        let (mut reader, mut writer) = gateway.connect().await.into_split();
        let upload = tokio::spawn(async move {
            let _ = writer
                .write_all(
                    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
                        .as_bytes(),
                )
                .await;
            let mut sent = 0;
            while sent < 50_000_000 && writer.write_all(&[b'x'; 10_000]).await.is_ok() {
                sent += 10_000;
            }
            sent
        });
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.ends_with('}'),
            "{path}: {answer}"
        );
        let sent = upload.await.unwrap();
        assert!(sent < 50_000_000, "a refused upload is not read to its end");
    }
    // One that is short is read to its end, and its connection goes on.
    let mut client = gateway.probe().await;
    for _ in 0..3 {
        client
            .send("POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
            .await;
        assert_eq!(client.answer("POST").await.status(), 401);
        client.send("c\r\n0\r\n\r\n").await;
    }
}

/// A client that asks and never listens must not fill the gateway's memory.
#[tokio::test]
async fn requests_wait_for_their_turn_where_nobody_reads_the_answers() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/", "none"));
    let before = gateway.resident_kib();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = gateway.connect().await;
        let requests = FIRST.repeat(2000);
        let mut sent = 0;
        while let Ok(Ok(())) = tokio::time::timeout(
            Duration::from_millis(500),
            client.write_all(requests.as_bytes()),
        )
        .await
        {
            sent += requests.len();
            assert!(sent < 64 << 20, "it takes requests without end");
        }
        clients.push(client);
    }
    let after = gateway.resident_kib();
    println!("resident: {before} KiB before, {after} KiB with 8 clients that never read");
    assert!(
        before > 0 && after < before + 16 * 1024,
        "{before} KiB before, {after} KiB after"
    );
    // The first of them reads on, and gets its answers.
    let mut buf = vec![0; 1 << 20];
    for _ in 0..20 {
        assert!(
            tokio::time::timeout(Duration::from_secs(30), clients[0].read(&mut buf))
                .await
                .unwrap()
                .unwrap()
                > 0
        );
    }
}

/// Case 97: clients that leave in the middle leave nothing behind.
#[tokio::test]
async fn clients_that_leave_are_forgotten() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&format!(
        "admin.token = \"{}\"\n{}",
        "t".repeat(30),
        upstream.route("/", "none")
    ));
    for start in [
        "",
        "GET /",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        FIRST,
        "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo",
        "\0",
    ] {
        for _ in 0..30 {
            let mut client = gateway.connect().await;
            client.write_all(start.as_bytes()).await.unwrap();
        }
    }
    gateway.counts("hufu_connections_open", 0).await;
    gateway.counts("hufu_requests_in_flight", 0).await;
    upstream.all_closed().await;
    let mut client = gateway.connect().await;
    client
        .write_all(b"GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(probe::read(&mut client).await.status, 200);
    gateway.counts("hufu_connections_open", 1).await;
}
