//! Where a body ends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::FIRST;
use crate::helpers::{Gateway, Script, Upstream, echo_upstream, probe};

#[tokio::test]
async fn broken_chunks_never_make_a_whole_body() {
    let upstream = Upstream::start(Script::hang());
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(5000));
    let bodies = [
        "fffffffffffffffff\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcX",
        "3 \r\nabc\r\n",
        "-3\r\n",
        "\r\n",
        "3\r\nabc\r\n0\r\nX : y\r\n\r\n",
        &extension,
        &trailers,
    ];
    for body in bodies {
        let request = format!(
            "POST /smuggled HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}{FIRST}"
        );
        let answer = probe::send_to_the_end(gateway.listen, &request).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            (answer.status, answer.code(), answer.closed),
            (400, Some("body_broken"), true),
            "{shown:?}: {}",
            answer.text
        );
        assert_eq!(
            answer.text.matches("HTTP/1.1 ").count(),
            1,
            "{}",
            answer.text
        );
    }
    upstream.all_closed().await;
    assert!(
        upstream
            .connections()
            .iter()
            .all(|c| !c.body().ends_with(b"0\r\n\r\n")
                && !String::from_utf8_lossy(&c.bytes).contains("/first"))
    );
}

/// Case 87: what stands behind a body is the next request, and bodies are not.
#[tokio::test]
async fn bodies_and_requests_are_told_apart_however_they_are_cut() {
    let echo = echo_upstream();
    let gateway = Gateway::start(&echo.route("/", "none"));
    let stream = "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /evil HTTP/1.1\r\nPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nGET /evil HTTP/1.1\r\n\r\n0\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
    for piece in [1, 7, 64, stream.len()] {
        let mut client = gateway.connect().await;
        client.set_nodelay(true).unwrap();
        for bytes in stream.as_bytes().chunks(piece) {
            client.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        let order: Vec<_> = ["/a", "/b", "/c"]
            .map(|path| all.find(&format!("\"path\":\"{path}\"")))
            .into();
        assert!(
            order.iter().all(Option::is_some)
                && order.is_sorted()
                && all.matches("HTTP/1.1 200").count() == 3,
            "{piece}: {all}"
        );
    }
}
