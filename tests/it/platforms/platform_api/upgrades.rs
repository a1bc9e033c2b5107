//! Requests that ask for another protocol: a WebSocket is refused at once, and HTTP/2 is not spoken.

use super::{SECRET, client, gateway, with_secret};
use crate::helpers::Probe;

const HANDSHAKE: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn a_websocket_is_refused_at_once_and_takes_nobodys_place() {
    let mut gateway =
        gateway(&("server.drain_grace = \"0s\"\n".to_owned() + &client("max_concurrent = 1\n")));
    let token = gateway.sdk_token().await;
    let mut open = Vec::new();
    for (target, lines) in [
        (
            "/wxa/test/echo".to_owned(),
            format!("Authorization: Bearer {SECRET}\r\nConnection: upgrade\r\n"),
        ),
        (
            format!("/wxa/test/echo?access_token={token}"),
            "Connection: keep-alive, Upgrade\r\n".to_owned(),
        ),
        (
            "/cgi-bin/token".to_owned(),
            "Connection: Upgrade\r\n".to_owned(),
        ),
        // Half a handshake, behind which nothing may come.
        (
            "/wxa/test/echo".to_owned(),
            format!("Authorization: Bearer {SECRET}\r\n"),
        ),
    ] {
        let mut peer = Probe::connect(gateway.platform_api()).await;
        let answer = peer
            .ask("GET", &target, &format!("{lines}{HANDSHAKE}"))
            .await;
        assert_eq!(
            (answer.status(), answer.head.value("x-hufu-error")),
            (400, Some("upgrade_invalid")),
            "{target}"
        );
        // Frames find nobody.
        let _ = peer.try_send([0x81, 0x80, 0, 0, 0, 0]).await;
        open.push(peer);
    }
    let call = gateway.raw_api(with_secret("GET /wxa/test/echo", "")).await;
    assert_eq!(call.status, 200, "the one place is free");
    gateway.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(gateway.ended().success());
    for mut peer in open {
        peer.rest().await;
    }
}

#[tokio::test]
async fn an_offer_of_http_2_is_passed_over() {
    let gateway = gateway(&client(""));
    // As Java's client sends it with every first request.
    let offer = "Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n";
    for (line, more) in [
        ("GET /wxa/test/echo", String::new()),
        ("POST /wxa/test/echo", "Content-Length: 0\r\n".to_owned()),
    ] {
        let request = with_secret(line, &format!("{offer}{more}")).replace(
            "Connection: close",
            "Connection: close, Upgrade, HTTP2-Settings",
        );
        let answer = gateway.raw_api(request).await;
        assert!(
            answer.status == 200 && answer.text.contains(r#""errcode":0"#),
            "{line}: {}",
            answer.text
        );
    }
}
