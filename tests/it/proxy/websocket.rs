//! WebSockets: let in as any request is, then a tunnel.

mod endings;
mod heads;
mod held;
mod session;
mod tls;

use std::sync::atomic::Ordering;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::Response;

use crate::helpers::ws_client::{close, closed, connect, open, refused, talk};
use crate::helpers::{Gateway, WsUpstream, echoed, probe, until};

const HANDSHAKE: &str = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// An event stream with its first event.
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";

#[tokio::test]
async fn messages_pass_both_ways_and_the_upstream_knows_whose_they_are() {
    let upstream = WsUpstream::start().await;
    let gateway = Gateway::start(&upstream.route("/", "required"));
    let token = gateway.token("zhang").await;
    let mut socket = open(&gateway, "/echo?room=1", &token).await;
    talk(&mut socket).await;
    let asked = upstream.handshake(0);
    assert!(
        asked.starts_with("/echo?room=1\n")
            && asked.contains("\nx-wx-openid: ")
            && asked.contains("\nx-request-id: "),
        "{asked}"
    );
    assert!(
        !asked.contains(&token) && !asked.contains("authorization"),
        "{asked}"
    );
    gateway.counts("hufu_websockets_open", 1).await;
    close(&mut socket, 4000).await;
    until("the upstream's end", async || {
        upstream
            .heard
            .lock()
            .unwrap()
            .contains(&"close 4000".to_owned())
    })
    .await;
    let line = gateway.access_line("the end of the socket", |line| line["status"] == 101);
    assert!(
        line["received"].as_u64().unwrap() > 1 << 20
            && line["bytes"].as_u64().unwrap() > 1 << 20
            && line["session"].is_string(),
        "{line}"
    );
    assert!(line["error"].is_null(), "{line}");
    gateway.counts("hufu_websockets_open", 0).await;
    assert!(!gateway.stdout().contains(&token) && !gateway.stderr().contains(&token));
}

#[tokio::test]
async fn the_upstreams_own_close_and_its_death_reach_the_client() {
    let upstream = WsUpstream::start().await;
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let mut socket = connect(&gateway, "/close", &[]).await.unwrap().0;
    let frame = closed(&mut socket).await.unwrap();
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (4001, "enough")
    );
    drop(socket);
    let mut socket = connect(&gateway, "/die", &[]).await.unwrap().0;
    socket.send(Message::text("x")).await.unwrap();
    assert_eq!(
        closed(&mut socket).await.map(|frame| frame.code.into()),
        Some(1011)
    );
    gateway.access_line("the upstream's death", |line| {
        line["path"] == "/die" && line["error"] == "upstream_error"
    });
    // And a client's leaving the upstream, without a word about errors.
    drop(connect(&gateway, "/echo", &[]).await.unwrap());
    until("the upstream's end", async || {
        upstream.ended.load(Ordering::SeqCst) == 3
    })
    .await;
    let line = gateway.access_line("the client's leaving", |line| line["path"] == "/echo");
    assert!(line["status"] == 101 && line["error"].is_null(), "{line}");
}

#[tokio::test]
async fn who_may_not_come_in_does_not_reach_the_upstream() {
    let upstream = WsUpstream::start().await;
    let config = format!(
        "cors.origins = [\"https://h5.test\"]\n{}",
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let bearer = format!("Bearer {}", gateway.token("zhang").await);
    assert_eq!(
        refused(&gateway, "/echo", &[]).await,
        (401, "login_required".to_owned())
    );
    assert_eq!(
        refused(&gateway, "/echo", &[("authorization", "Bearer hufu_x")]).await,
        (401, "token_invalid".to_owned())
    );
    for origin in ["https://evil.test", "null"] {
        assert_eq!(
            refused(
                &gateway,
                "/echo",
                &[("authorization", &bearer), ("origin", origin)]
            )
            .await,
            (403, "origin_forbidden".to_owned())
        );
    }
    assert_eq!(upstream.opened.load(Ordering::SeqCst), 0);
    for origin in ["https://h5.test", "https://servicewechat.com"] {
        let mut socket = connect(
            &gateway,
            "/echo",
            &[("authorization", &bearer), ("origin", origin)],
        )
        .await
        .unwrap()
        .0;
        echoed(&mut socket, Message::text(origin)).await;
    }
}

#[tokio::test]
async fn a_protocol_carries_the_token_and_the_upstream_does_not_see_it() {
    let upstream = WsUpstream::start().await;
    let config = format!(
        "session.carriers = [\"bearer\", \"protocol\"]\n{}",
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let token = gateway.token("zhang").await;
    let offer = |more: &str| format!("hufu.v1, hufu.token.{token}{more}");
    let chosen = |answer: &Response| {
        answer
            .headers()
            .get("sec-websocket-protocol")
            .map(|p| p.to_str().unwrap().to_owned())
    };
    for (n, (path, more, answer, seen)) in [
        ("/echo", "", "hufu.v1", None),
        ("/echo", ", chat", "hufu.v1", Some("chat")),
        ("/chat", ", v2, chat", "chat", Some("v2, chat")),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut socket, response) =
            connect(&gateway, path, &[("sec-websocket-protocol", &offer(more))])
                .await
                .unwrap();
        assert_eq!(chosen(&response).as_deref(), Some(answer), "{path}{more}");
        echoed(&mut socket, Message::text("x")).await;
        let asked = upstream.handshake(n);
        assert!(
            !asked.contains(&token) && !asked.contains("hufu.v1") && asked.contains("x-wx-openid"),
            "{asked}"
        );
        assert_eq!(
            asked
                .lines()
                .find_map(|line| line.strip_prefix("sec-websocket-protocol: ")),
            seen
        );
    }
    assert_eq!(
        refused(
            &gateway,
            "/foreign",
            &[("sec-websocket-protocol", &offer(", chat"))]
        )
        .await,
        (502, "upstream_error".to_owned())
    );
    assert_eq!(
        refused(
            &gateway,
            "/wrong",
            &[("sec-websocket-protocol", &offer(""))]
        )
        .await,
        (502, "upstream_error".to_owned())
    );
    assert_eq!(
        refused(
            &gateway,
            "/echo",
            &[("sec-websocket-protocol", "hufu.v1, hufu.token.hufu_x")]
        )
        .await,
        (401, "token_invalid".to_owned())
    );
    assert!(!gateway.stdout().contains(&token) && !gateway.stderr().contains(&token));
}

#[tokio::test]
async fn what_comes_early_waits_for_the_101_and_goes_nowhere_without() {
    let upstream = WsUpstream::start().await;
    let gateway = Gateway::start(&upstream.route("/", "none"));
    // "early", masked with zeros.
    let early = b"\x81\x85\0\0\0\0early";
    let mut client = gateway.connect().await;
    client
        .write_all(
            &[
                format!("GET /echo HTTP/1.1\r\n{HANDSHAKE}\r\n").as_bytes(),
                early,
            ]
            .concat(),
        )
        .await
        .unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\x81\x05early") {
        assert!(
            client.read_buf(&mut seen).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&seen)
        );
    }
    assert!(seen.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(*upstream.heard.lock().unwrap(), ["early"]);
    // Case 88: the answer is another one, and what looks like a request behind the handshake is
    // none.
    let smuggled =
        format!("GET /refused HTTP/1.1\r\n{HANDSHAKE}\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = probe::send_to_the_end(gateway.listen, &smuggled).await;
    assert_eq!(
        (
            answer.status,
            answer.header("x-why"),
            answer.body(),
            answer.closed
        ),
        (409, Some("full"), "7\r\nno room\r\n0\r\n\r\n", true),
        "{}",
        answer.text
    );
    assert_eq!(upstream.opened.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn many_sockets_at_once_and_a_reader_that_does_not_read() {
    let upstream = WsUpstream::start().await;
    let gateway = Gateway::start(&upstream.route("/", "none"));
    let mut sockets = Vec::new();
    for _ in 0..200 {
        sockets.push(connect(&gateway, "/echo", &[]).await.unwrap().0);
    }
    gateway.counts("hufu_websockets_open", 200).await;
    for (n, socket) in sockets.iter_mut().enumerate() {
        echoed(socket, Message::text(n.to_string())).await;
    }
    let before = gateway.resident_kib();
    let mut lazy = connect(&gateway, "/flood", &[]).await.unwrap().0;
    // Others go on meanwhile.
    for _ in 0..20 {
        for socket in &mut sockets[..20] {
            echoed(socket, Message::text("x")).await;
        }
    }
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("grown by {grown} KiB");
    assert!(grown < 16 * 1024, "{grown} KiB");
    for _ in 0..1000 {
        assert_eq!(lazy.next().await.unwrap().unwrap().len(), 65_536);
    }
}
