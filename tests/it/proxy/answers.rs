//! What backends say beside and behind their answers: bytes behind a complete one reach nobody and
//! harm nobody, and oddities with one meaning are read over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::helpers::{ByHand, Gateway, Probe, until, upstream_of};

mod python;

/// Answers the first request of each connection with these bytes, and says the others behind them.
struct Surplus {
    url: String,
    /// How often the surplus is out.
    said: Arc<AtomicUsize>,
    /// Requests behind the first on a connection.
    again: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Surplus {
    async fn start(answer: &'static str, surplus: &'static str, pause: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (said, again) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counts, mut task) = ((said.clone(), again.clone()), JoinSet::new());
        task.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (said, again) = counts.clone();
                all.spawn(async move {
                    let mut stream = stream;
                    stream.set_nodelay(true).unwrap();
                    if !read_head(&mut stream).await {
                        return;
                    }
                    match pause {
                        None => drop(
                            stream
                                .write_all(format!("{answer}{surplus}").as_bytes())
                                .await,
                        ),
                        Some(pause) => {
                            drop(stream.write_all(answer.as_bytes()).await);
                            // The surplus is to come by itself, and late.
                            tokio::time::sleep(pause).await;
                            drop(stream.write_all(surplus.as_bytes()).await);
                        }
                    }
                    said.fetch_add(1, Ordering::SeqCst);
                    while read_head(&mut stream).await {
                        again.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            url,
            said,
            again,
            _task: task,
        }
    }
}

/// Whether a whole request head came; the bodies of these tests are part of what is read.
async fn read_head(stream: &mut TcpStream) -> bool {
    let (mut seen, mut buf) = (Vec::new(), [0; 1024]);
    loop {
        match stream.read(&mut buf).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => seen.extend_from_slice(&buf[..n]),
        }
        if seen.windows(4).any(|four| four == b"\r\n\r\n") {
            return true;
        }
    }
}

/// What is known against the upstream's endpoints: requests without an answer, ejections, endpoints
/// that are not well.
async fn held_against(gateway: &Gateway, with_502: bool) -> Vec<String> {
    let page = gateway.admin_get("/metrics").await.text();
    let counts = |line: &&str| {
        !line.ends_with(" 0")
            && (line.starts_with("hufu_upstream_ejections_total{")
                || (with_502 && line.contains("outcome=\"broken\"")))
    };
    let unwell =
        |line: &&str| line.starts_with("hufu_upstream_endpoint_up{") && !line.ends_with(" 1");
    page.lines()
        .filter(|line| counts(line) || unwell(line))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn bytes_behind_an_answer_end_its_connection_and_reach_nobody() {
    const SECOND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsurplus";
    for (method, answer, surplus, status, body) in [
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\n\r\n",
            204,
            "",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "surplus", 204, ""),
        (
            "DELETE",
            "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
            "surplus",
            204,
            "",
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            "surplus",
            200,
            "",
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "7\r\nsurplus\r\n0\r\n\r\n",
            200,
            "",
        ),
        ("HEAD", "HTTP/1.1 404 Not Found\r\n\r\n", "surplus", 404, ""),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            "surplus",
            304,
            "",
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", SECOND, 304, ""),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "\r\n",
            200,
            "ok",
        ),
        (
            "POST",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "\r\n",
            200,
            "ok",
        ),
        (
            "POST",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "surplus",
            200,
            "",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "\r\n",
            200,
            "ok",
        ),
        (
            "POST",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            SECOND,
            200,
            "ok",
        ),
        (
            "POST",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            SECOND,
            200,
            "ok",
        ),
        (
            "GET",
            "HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nok",
            SECOND,
            799,
            "ok",
        ),
    ] {
        for pause in [None, Some(Duration::from_millis(50))] {
            let (one, two) = (
                Surplus::start(answer, surplus, pause).await,
                Surplus::start(answer, surplus, pause).await,
            );
            let gateway = Gateway::start(&upstream_of(
                &[&one.url, &two.url],
                "none",
                "[upstreams.many.ejection]\nfailures = 1",
            ));
            let mut client = gateway.probe().await;
            for n in 1..=6 {
                // The reader is strict: a byte too many would be the next answer's.
                let lines = if method == "POST" {
                    "Content-Length: 0\r\n"
                } else {
                    ""
                };
                if pause.is_some() {
                    // Before it reads of a new client, a worker hears of all that has come before.
                    client = gateway.probe().await;
                }
                let got = client.ask(method, "/thing", lines).await;
                assert_eq!(
                    (got.status(), got.text().as_str(), got.code()),
                    (status, body, None),
                    "{answer:?} {pause:?}: {got:?}"
                );
                until("the surplus to be out", async || {
                    one.said.load(Ordering::SeqCst) + two.said.load(Ordering::SeqCst) == n
                })
                .await;
                if pause.is_some() {
                    // Nothing else comes on it.
                    client.finish().await;
                    client.ended().await;
                }
            }
            assert_eq!(
                (
                    one.again.load(Ordering::SeqCst),
                    two.again.load(Ordering::SeqCst)
                ),
                (0, 0),
                "{answer:?} {pause:?}"
            );
            assert_eq!(
                held_against(&gateway, true).await,
                [""; 0],
                "{answer:?} {pause:?}"
            );
        }
    }
}

/// The client's upload is still going out when the answer, with something behind it, has come.
#[tokio::test]
async fn bytes_behind_an_early_answer_reach_nobody() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    let mut client = gateway.probe().await;
    client
        .send("POST /thing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsurplus").await;
    let got = client.answer("POST").await;
    assert_eq!((got.status(), got.text().as_str()), (403, "no"));
    let mut other = gateway.probe().await;
    other.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(other.answer("GET").await.text(), "ok");
}

/// It comes at the very moment of the next request, so nobody could see it before.
#[tokio::test]
async fn what_is_left_of_the_last_answer_is_no_failure_of_the_next() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&upstream_of(
        &[&backend.url],
        "none",
        "[upstreams.many.ejection]\nfailures = 1",
    ));
    for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 502)] {
        let mut client = gateway.probe().await;
        let lines = if method == "POST" {
            "Content-Length: 0\r\n"
        } else {
            ""
        };
        client.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (mut peer, _) = backend.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.answer("GET").await.text(), "ok");
        until("a request on the kept connection", async || {
            client
                .send(format!(
                    "{method} /second HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
                ))
                .await;
            let (head, is_kept) = backend.next(&mut peer).await;
            assert!(head.first.contains("/second"), "{head:?}");
            if !is_kept {
                assert_eq!(method, "POST", "any other takes the kept one, however old");
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .await;
                assert_eq!(client.answer(method).await.status(), 200);
            }
            is_kept
        })
        .await;
        peer.send("left over").await;
        if status == 200 {
            let (mut fresh, head) = backend.request().await;
            assert!(head.first.contains("/second"), "{head:?}");
            fresh
                .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
        let got = client.answer(method).await;
        assert_eq!(got.status(), status, "{method}: {got:?}");
        peer.ended().await;
        assert_eq!(held_against(&gateway, false).await, [""; 0], "{method}");
    }
}

#[tokio::test]
async fn oddities_with_one_meaning_are_read_over() {
    let working = "HTTP/1.1 102 Processing\r\n\r\n".repeat(64)
        + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    let mut client = gateway.probe().await;
    let mut kept: Option<Probe> = None;
    for (answer, status) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            200,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 200),
        ("HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (
            "HTTP/1.9 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            200,
        ),
        ("HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok", 600),
        ("HTTP/1.1 799\r\nContent-Length: 2\r\n\r\nok", 799),
        ("HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", 999),
        (&working, 200),
    ] {
        client
            .send(format!("GET /{status} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let mut peer = match kept.take() {
            None => backend.request().await.0,
            Some(mut peer) => {
                peer.head().await;
                peer
            }
        };
        peer.send(answer).await;
        // One length, whatever the backend said how often.
        let got = client.answer("GET").await;
        assert_eq!(
            (got.status(), got.text().as_str(), got.head.closes()),
            (status, "ok", false),
            "{answer:?}: {got:?}"
        );
        assert!(got.head.first.starts_with("HTTP/1.1 "), "{got:?}");
        kept = Some(peer);
    }
    assert!(backend.is_left_alone().await, "one connection is enough");
    for status in [600, 799, 999] {
        gateway.access_line("an odd status", |line| {
            line["status"] == status && line["path"] == format!("/{status}")
        });
        assert_eq!(
            gateway
                .counted(&format!(
                    "hufu_requests_total{{route=\"/\",status=\"{status}\"}}"
                ))
                .await,
            1
        );
    }
}
