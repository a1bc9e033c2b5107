//! Odd framing, trailers and upgrades.

use super::get;
use crate::helpers::{Gateway, Script, Upstream, script::ok};

/// Hostile cases 82 to 94, as far as they can be refused behind the server's own parser.
#[tokio::test]
async fn odd_framing_and_upgrades_are_refused_and_closed() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::start(&upstream.route("/", "none"));
    let ws = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, status) in [
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (format!("GET / HTTP/1.1\r\n\r\n{smuggled}"), 400),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\n{ws}\r\n{smuggled}"),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{ws}Content-Length: 3\r\n\r\nabc{smuggled}"
            ),
            400,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{ws}Content-Length: 1\r\n\r\na{smuggled}"
            ),
            400,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{ws}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            format!("GET / HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\n{ws}\r\n{smuggled}"),
            400,
        ),
        (
            format!("CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n{smuggled}"),
            405,
        ),
        (
            format!("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n{smuggled}"),
            405,
        ),
    ] {
        let answer = gateway.raw(&request).await;
        assert_eq!(answer.status, status, "{request}\n{}", answer.text);
        // Either it is closed, or it is read to its end for a moment so that the client sees the
        // answer, and then closed.
        assert!(
            answer.closed
                || answer.header("connection") == Some("close")
                || answer.text.starts_with("HTTP/1.0"),
            "{request}\n{}",
            answer.text
        );
        assert!(
            !answer.text.contains("HTTP/1.1 200"),
            "what followed was answered: {}",
            answer.text
        );
    }
    let all: Vec<u8> = upstream
        .connections()
        .into_iter()
        .flat_map(|c| c.bytes)
        .collect();
    assert!(
        !String::from_utf8_lossy(&all).contains("smuggled"),
        "{}",
        String::from_utf8_lossy(&all)
    );
    let h2c = get(
        &gateway,
        "/x",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    )
    .await;
    assert_eq!(h2c.status, 200);
    assert!(
        !String::from_utf8_lossy(
            &upstream
                .connections()
                .into_iter()
                .flat_map(|c| c.bytes)
                .collect::<Vec<u8>>()
        )
        .to_lowercase()
        .contains("h2c")
    );
    let name = "a".repeat(70_000);
    let answer = gateway
        .raw(format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: y\r\n\r\n"))
        .await;
    assert!(matches!(answer.status, 0 | 400 | 431), "{}", answer.text);
    assert!(gateway.runs());
    assert_eq!(get(&gateway, "/still-here", "").await.status, 200);
}

#[tokio::test]
async fn a_client_without_host_gets_one_for_its_upstream() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let answer = gateway.raw(b"GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.status == 200 && answer.closed, "{}", answer.text);
    assert_eq!(
        upstream.connections()[0].values("host"),
        [upstream.url.trim_start_matches("http://")]
    );
}

#[tokio::test]
async fn trailers_are_neither_merged_nor_passed_on() {
    let upstream = Upstream::start(Script::after_body(5, ok()));
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let request = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-WX-OPENID\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-WX-OPENID: evil\r\n\r\n";
    let _ = gateway.raw(&request).await;
    let all = upstream.text();
    assert!(
        !all.contains("evil") && !all.to_lowercase().contains("trailer"),
        "{all}"
    );
}
