//! The small print of HTTP in answers, between a client and a backend that are both driven by hand:
//! parts of a resource, answers without a body, interim answers, trailers, HTTP/1.0, and the order
//! of pipelined answers.

use std::time::Duration;

use crate::helpers::message::{Head, Message};
use crate::helpers::{ByHand, Gateway, Probe};

/// A gateway before this backend, and a client of it.
pub(super) async fn before(backend: &ByHand) -> (Gateway, Probe) {
    // A test does much while one request is under way.
    let route = backend
        .route("/", "none")
        .replace("timeout = \"5s\"", "timeout = \"60s\"");
    let gateway = Gateway::start(&route);
    let client = gateway.probe().await;
    (gateway, client)
}

/// One exchange on the gateway's connection to the backend, whose answer has no body or brings it
/// along.
async fn exchange(
    client: &mut Probe,
    backend: &mut Probe,
    method: &str,
    lines: &str,
    answer: &str,
) -> (Head, Message) {
    client
        .send(format!(
            "{method} /thing HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
        ))
        .await;
    let asked = backend.head().await;
    backend.send(answer).await;
    (asked, client.answer(method).await)
}

/// The first exchange, for which the gateway makes its connection.
async fn first(client: &mut Probe, backend: &ByHand) -> Probe {
    client.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (mut peer, _) = backend.request().await;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
        .await;
    assert_eq!(client.answer("GET").await.text(), "first");
    peer
}

#[tokio::test]
async fn parts_of_a_resource_pass_untouched() {
    let backend = ByHand::start().await;
    let (_gateway, mut client) = before(&backend).await;
    let mut peer = first(&mut client, &backend).await;
    let lines = "Range: bytes=5-9\r\nIf-Range: \"v1\"\r\n";
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/100\r\nAccept-Ranges: bytes\r\nETag: \"v1\"\r\nContent-Length: 5\r\n\r\n56789";
    let (asked, answer) = exchange(&mut client, &mut peer, "GET", lines, part).await;
    assert_eq!(
        (asked.value("range"), asked.value("if-range")),
        (Some("bytes=5-9"), Some("\"v1\""))
    );
    assert_eq!((answer.status(), answer.text().as_str()), (206, "56789"));
    for (name, value) in [
        ("content-range", "bytes 5-9/100"),
        ("accept-ranges", "bytes"),
        ("etag", "\"v1\""),
        ("content-length", "5"),
    ] {
        assert_eq!(answer.head.value(name), Some(value), "{name}");
    }
    // Several parts, in pieces; a date instead of a tag.
    let dated = "Range: bytes=0-0,-1\r\nIf-Range: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    let parts = "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=B\r\nTransfer-Encoding: chunked\r\n\r\n\
                 b\r\n--B\r\n\r\n0\r\n-\r\n7\r\n-B\r\n\r\n9\r\n7\r\n\r\n--B--\r\n0\r\n\r\n";
    let (asked, answer) = exchange(&mut client, &mut peer, "GET", dated, parts).await;
    assert_eq!(
        (asked.value("range"), asked.value("if-range")),
        (Some("bytes=0-0,-1"), Some("Wed, 21 Oct 2015 07:28:00 GMT"))
    );
    assert_eq!(
        (answer.status(), answer.head.value("content-type")),
        (206, Some("multipart/byteranges; boundary=B"))
    );
    assert_eq!(answer.text(), "--B\r\n\r\n0\r\n--B\r\n\r\n9\r\n--B--");
    let beyond = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */100\r\nContent-Length: 0\r\n\r\n";
    let (_, answer) = exchange(
        &mut client,
        &mut peer,
        "GET",
        "Range: bytes=200-\r\n",
        beyond,
    )
    .await;
    assert_eq!(
        (
            answer.status(),
            answer.head.value("content-range"),
            answer.text().as_str()
        ),
        (416, Some("bytes */100"), "")
    );
    assert!(backend.is_left_alone().await, "one connection is enough");
}

/// What has no body is followed by the next answer at once; a client that reads strictly would take
/// a body's first bytes for its head.
#[tokio::test]
async fn answers_without_a_body_have_none() {
    let backend = ByHand::start().await;
    let (gateway, mut client) = before(&backend).await;
    let mut peer = first(&mut client, &backend).await;
    for (method, answer, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 1234\r\n\r\n",
            Some("1234"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
        (
            "HEAD",
            "HTTP/1.1 404 Not Found\r\nETag: \"e\"\r\nContent-Length: 9\r\n\r\n",
            Some("9"),
        ),
        (
            "HEAD",
            "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nETag: \"e\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
        (
            "DELETE",
            "HTTP/1.1 204 No Content\r\nETag: \"e\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 1234\r\n\r\n",
            Some("1234"),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        client
            .send(format!("{method} /thing HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        // What must not be sent twice takes no connection so soon behind an answer without a body.
        if method == "DELETE" {
            backend.next(&mut peer).await;
        } else {
            peer.head().await;
        }
        peer.send(answer).await;
        let got = client.answer(method).await;
        assert_eq!(
            (got.head.value("etag"), got.body.len(), got.head.closes()),
            (Some("\"e\""), 0, false),
            "{method} {answer}: {got:?}"
        );
        assert!(
            answer.contains(&format!(" {} ", got.status())),
            "{method} {answer}: {got:?}"
        );
        // The backend's own length or none; and 204 may not have one (RFC 9110 section 8.6).
        assert_eq!(
            got.head.value("content-length"),
            length,
            "{method} {answer}: {got:?}"
        );
        if matches!(got.status(), 204 | 304) {
            assert_eq!(
                got.head.value("transfer-encoding"),
                None,
                "{method} {answer}: {got:?}"
            );
        }
    }
    assert!(backend.is_left_alone().await, "one connection is enough");
    // The gateway's own answers.
    for (target, status) in [
        ("/auth/healthz", 200),
        ("/auth/nothing", 404),
        ("/auth/session", 401),
        ("/auth/login", 405),
        ("/a/../b", 400),
    ] {
        let got = client.ask("HEAD", target, "").await;
        assert_eq!(got.status(), status, "{target}: {got:?}");
        if got.head.closes() {
            client.ended().await;
            client = gateway.probe().await;
        }
        assert_eq!(
            client.ask("GET", "/auth/healthz", "").await.text(),
            "ok",
            "behind {target}"
        );
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let backend = ByHand::start().await;
    let (gateway, mut client) = before(&backend).await;
    let mut peer = first(&mut client, &backend).await;
    for (interim, body) in [
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
            "hints",
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n", "continue"),
        (
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n",
            "two",
        ),
    ] {
        client.send("GET /thing HTTP/1.1\r\nHost: x\r\n\r\n").await;
        peer.head().await;
        peer.send(interim).await;
        // The request is still under way.
        gateway.counts("hufu_requests_in_flight", 1).await;
        peer.send(format!(
            "HTTP/1.1 201 Created\r\nX-Final: yes\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let answer = client.answer("GET").await;
        assert_eq!(
            (
                answer.status(),
                answer.head.value("x-final"),
                answer.text().as_str()
            ),
            (201, Some("yes"), body)
        );
        assert_eq!(answer.interim, [0; 0], "{interim}");
        assert_eq!(
            answer.head.value("link"),
            None,
            "what a hint says is no header of the answer"
        );
    }
    assert!(backend.is_left_alone().await, "one connection is enough");
    // An interim answer and then nothing.
    client
        .send("POST /thing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await;
    backend.next(&mut peer).await;
    peer.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    peer.finish().await;
    let answer = client.answer("POST").await;
    answer.refuses(502, "upstream_error", "");
}

#[tokio::test]
async fn trailers_of_an_answer_are_dropped() {
    let backend = ByHand::start().await;
    let (_gateway, mut client) = before(&backend).await;
    let mut peer = first(&mut client, &backend).await;
    for trailers in [
        "",
        "X-Checksum: abc\r\n",
        "X-WX-OPENID: evil\r\nContent-Length: 3\r\nX-Hufu-Error: session_expired\r\n",
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTrailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n{trailers}\r\n"
        );
        // The client's reader refuses trailers.
        let (_, got) = exchange(&mut client, &mut peer, "GET", "TE: trailers\r\n", &answer).await;
        assert_eq!(
            (got.status(), got.text().as_str(), got.head.closes()),
            (200, "abc0123456789", false),
            "{trailers}"
        );
        assert!(
            got.head.value("trailer").is_none()
                && got.head.value("x-checksum").is_none()
                && got.code().is_none(),
            "{got:?}"
        );
    }
    assert!(backend.is_left_alone().await, "one connection is enough");
}

#[tokio::test]
async fn answers_that_come_byte_by_byte_arrive_whole() {
    let backend = ByHand::start().await;
    let (_gateway, mut client) = before(&backend).await;
    let mut peer = first(&mut client, &backend).await;
    for (answer, body) in [
        (
            "HTTP/1.1 200 OK\r\nX-Slow: yes\r\nContent-Length: 12\r\n\r\nhello, world",
            "hello, world",
        ),
        (
            "HTTP/1.1 200 OK\r\nX-Slow: yes\r\nTransfer-Encoding: chunked\r\n\r\n7;a=b\r\nhello, \r\n005\r\nworld\r\n0\r\nX: y\r\n\r\n",
            "hello, world",
        ),
        (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\nX-Slow: yes\r\n\r\n",
            "",
        ),
    ] {
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        peer.head().await;
        for byte in answer.bytes() {
            peer.send([byte]).await;
            // A slow sender: the next byte is to come by itself.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let got = client.answer("GET").await;
        assert_eq!(
            (
                got.head.value("x-slow"),
                got.text().as_str(),
                got.head.closes()
            ),
            (Some("yes"), body, false),
            "{answer:?}"
        );
    }
    assert!(backend.is_left_alone().await, "one connection is enough");
}

#[tokio::test]
async fn pipelined_answers_keep_their_order_behind_a_slow_one() {
    const MANY: usize = 12;
    let backend = ByHand::start().await;
    let (gateway, mut client) = before(&backend).await;
    let mut peer = first(&mut client, &backend).await;
    let requests: String = (0..MANY)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .collect();
    client
        .send(requests + "GET /auth/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    for n in 0..MANY {
        // On whichever connection it comes; none comes before the one ahead of it was answered.
        let (on, head) = tokio::select! {
            head = peer.head() => (None, head),
            (other, head) = backend.request() => (Some(other), head),
        };
        assert!(
            head.first.starts_with(&format!("GET /{n} ")),
            "{}: {}",
            n,
            head.first
        );
        if let Some(other) = on {
            peer = other;
        }
        if n == 0 {
            // Others are answered meanwhile.
            for _ in 0..20 {
                assert_eq!(gateway.get("/auth/healthz").await.status(), 200);
            }
        }
        let body = "x".repeat(n * 1000);
        let answer = if n % 2 == 0 {
            format!(
                "HTTP/1.1 200 OK\r\nX-N: {n}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        } else {
            format!(
                "HTTP/1.1 200 OK\r\nX-N: {n}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            )
        };
        peer.send(answer).await;
    }
    for n in 0..MANY {
        let answer = client.answer("GET").await;
        assert_eq!(
            (answer.head.value("x-n"), answer.body.len()),
            (Some(&*n.to_string()), n * 1000)
        );
    }
    assert_eq!(client.answer("GET").await.text(), "ok");
}
