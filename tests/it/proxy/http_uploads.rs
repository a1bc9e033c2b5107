//! The small print of HTTP in requests with a body, and backends that stop in the middle of one:
//! `Expect`, trailers, bytes that come one at a time, bodies that never end, and connections of
//! which one half is closed.

use std::time::Duration;

use crate::helpers::{ByHand, Gateway};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Waits until the gateway has nothing under way.
pub(super) async fn forgotten(gateway: &Gateway) {
    gateway.counts("hufu_requests_in_flight", 0).await;
}

/// Bytes that show where one is missing.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| u8::try_from((n * 31 + n / 251) % 251).unwrap())
        .collect()
}

fn expecting(target: &str, lines: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{lines}\r\n")
}

#[tokio::test]
async fn nobody_is_told_to_continue_whose_request_is_refused() {
    let backend = ByHand::start().await;
    let config = format!(
        "server.body_limit = \"1MiB\"\n{}{}",
        backend.route("/api", "required"),
        backend.route("/open", "none")
    );
    let gateway = Gateway::start(&config);
    for (target, lines, status, code) in [
        ("/api", "Content-Length: 5\r\n", 401, "login_required"),
        (
            "/api",
            "Transfer-Encoding: chunked\r\n",
            401,
            "login_required",
        ),
        (
            "/api",
            "Content-Length: 5\r\nAuthorization: Bearer hufu_x\r\n",
            401,
            "token_invalid",
        ),
        (
            "/open",
            "Content-Length: 2000000\r\n",
            413,
            "body_too_large",
        ),
        ("/nowhere", "Content-Length: 5\r\n", 404, "route_not_found"),
        (
            "/open/%2e%2e/api",
            "Content-Length: 5\r\n",
            400,
            "path_invalid",
        ),
    ] {
        let mut client = gateway.probe().await;
        client.send(expecting(target, lines)).await;
        let answer = client.answer("POST").await;
        answer.refuses(status, code, format_args!("{target} {lines}: {answer:?}"));
        assert_eq!(answer.interim, [0; 0], "{target} {lines}");
        // It may send the body or not, and nobody can tell what its next bytes are: the connection
        // ends, and they are no request.
        assert!(answer.head.closes(), "{target} {lines}: {answer:?}");
        let _ = client
            .try_send("GET /open HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        client.ended().await;
    }
    assert!(backend.is_left_alone().await, "nothing goes to the backend");
}

#[tokio::test]
async fn a_client_is_told_once_to_continue_and_its_body_arrives_whole() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    let body = pattern(1 << 20);
    // A backend may say so itself, also when it was not asked.
    for own in ["", "HTTP/1.1 100 Continue\r\n\r\n"] {
        for chunked in [false, true] {
            let mut client = gateway.probe().await;
            let framing = if chunked {
                "Transfer-Encoding: chunked\r\n".to_owned()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            client.send(expecting("/upload", &framing)).await;
            let told = client.head().await;
            assert_eq!(told.status(), 100, "{told:?}");
            let upload = async {
                if chunked {
                    for piece in body.chunks(50_000) {
                        client
                            .send(
                                [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"]
                                    .concat(),
                            )
                            .await;
                    }
                    client.send("0\r\n\r\n").await;
                } else {
                    client.send(&body).await;
                }
                client.answer("POST").await
            };
            let answer = async {
                let (mut peer, head) = backend.request().await;
                peer.send(own).await;
                let arrived = if chunked {
                    peer.chunks().await.0
                } else {
                    peer.take(body.len()).await
                };
                peer.send(OK).await;
                peer.finish().await;
                (head, arrived)
            };
            let (answer, (head, arrived)) = tokio::join!(upload, answer);
            assert!(
                arrived == body,
                "{own:?} {framing}: {} bytes, or others",
                arrived.len()
            );
            assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
            assert_eq!(answer.interim, [0; 0], "once is enough: {own:?} {framing}");
            let framed = if chunked {
                head.value("transfer-encoding") == Some("chunked")
            } else {
                head.value("content-length") == Some("1048576")
            };
            assert!(framed && head.value("expect").is_none(), "{head:?}");
        }
    }
}

/// A backend that has made up its mind at the head. Its answer does not wait for a body that may
/// never come.
#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_was_asked_for() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    for framing in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = gateway.probe().await;
        client.send(expecting("/upload", framing)).await;
        assert_eq!(client.head().await.status(), 100);
        let (mut peer, _) = backend.request().await;
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            .await;
        let answer = client.answer("POST").await;
        assert_eq!(
            (answer.status(), answer.text().as_str(), answer.interim),
            (403, "no", vec![]),
            "{framing}"
        );
        // Then nothing comes, and nobody is held for it.
        drop(client);
        let body = peer.rest().await;
        assert!(
            body.is_empty(),
            "{framing}: {:?}",
            String::from_utf8_lossy(&body)
        );
    }
    forgotten(&gateway).await;
}

/// HTTP/1.0 knows no interim answers (RFC 9110 section 10.1.1).
#[tokio::test]
async fn a_client_of_http_1_0_is_never_told_to_continue() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    let mut client = gateway.probe().await;
    client
        .send("POST /x HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    let (mut peer, head) = backend.request().await;
    client.send("hello").await;
    assert_eq!(
        (peer.take(5).await, head.value("expect")),
        (b"hello".to_vec(), None)
    );
    peer.send(OK).await;
    let answer = client.answer("POST").await;
    assert_eq!(
        (answer.status(), answer.text().as_str(), answer.interim),
        (200, "ok", vec![])
    );
    client.ended().await;
}

#[tokio::test]
async fn trailers_of_an_upload_become_no_headers() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    let mut client = gateway.probe().await;
    let head =
        "POST /x HTTP/1.1\r\nHost: x\r\nTrailer: X-WX-OPENID\r\nTransfer-Encoding: chunked\r\n\r\n";
    client
        .send(format!(
            "{head}5\r\nhello\r\n0\r\nX-WX-OPENID: evil\r\nContent-Length: 3\r\nX-Sum: 1\r\n\r\n"
        ))
        .await;
    let (mut peer, head) = backend.request().await;
    let (body, trailers) = peer.chunks().await;
    assert_eq!((body, trailers), (b"hello".to_vec(), Vec::new()));
    assert!(
        ["x-wx-openid", "content-length", "x-sum", "trailer"]
            .iter()
            .all(|name| head.value(name).is_none()),
        "{head:?}"
    );
    peer.send(OK).await;
    assert_eq!(client.answer("POST").await.text(), "ok");
    // What follows the trailers is the next request, on both connections.
    client.send("GET /y HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(peer.head().await.first.starts_with("GET /y "));
    peer.send(OK).await;
    assert_eq!(client.answer("GET").await.text(), "ok");
}

#[tokio::test]
async fn requests_that_come_byte_by_byte_arrive_whole() {
    let backend = ByHand::start().await;
    let gateway = Gateway::start(&backend.route("/", "none"));
    for (framing, sent) in [
        ("Content-Length: 40\r\n", "0123456789".repeat(4)),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n1;a=b\r\n,\r\n6\r\n world\r\n0\r\n\r\n".to_owned(),
        ),
    ] {
        let mut client = gateway.probe().await;
        let request = format!(
            "POST /slow HTTP/1.1\r\nHost: x\r\n{framing}\r\n{sent}GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
        );
        let trickle = async {
            for byte in request.bytes() {
                client.send([byte]).await;
                // A slow sender: the next byte is to come by itself.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (client.answer("POST").await, client.answer("GET").await)
        };
        let answer = async {
            let (mut peer, head) = backend.request().await;
            let body = if head.value("content-length").is_some() {
                peer.take(40).await
            } else {
                peer.chunks().await.0
            };
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfirst")
                .await;
            let (mut peer, head) = backend.request().await;
            peer.send(OK).await;
            (body, head.first)
        };
        let ((one, two), (body, next)) = tokio::join!(trickle, answer);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            if framing.starts_with('C') {
                &*sent
            } else {
                "hello, world"
            }
        );
        assert_eq!((one.text().as_str(), two.text().as_str()), ("first", "ok"));
        assert!(next.starts_with("GET /next "), "{next}");
    }
}
