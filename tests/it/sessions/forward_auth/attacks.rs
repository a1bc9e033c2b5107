//! Everything that a client forges, through every proxy.

use super::Asked;
use crate::helpers::{APPID, Recorded};

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Headers by which a client may try to be somebody else. What no proxy can express that is told
/// names one by one is left out there.
fn forged(by_family: bool) -> Vec<&'static str> {
    let mut all = vec![
        "X-WX-OPENID: evil\r\n",
        "x-wx-openid: evil\r\nX-WX-OPENID: evil\r\n",
        "X_WX_OPENID: evil\r\n",
        "X-WX_OPENID: evil\r\n",
        "X.WX.OPENID: evil\r\n",
        // What CGI servers fold, of all that a name may have.
        "X!WX!OPENID: evil\r\n",
        "X#WX#OPENID: evil\r\n",
        "X$WX$OPENID: evil\r\n",
        "X%WX%OPENID: evil\r\n",
        "X&WX&OPENID: evil\r\n",
        "X'WX'OPENID: evil\r\n",
        "X*WX*OPENID: evil\r\n",
        "X+WX+OPENID: evil\r\n",
        "X^WX^OPENID: evil\r\n",
        "X`WX`OPENID: evil\r\n",
        "X|WX|OPENID: evil\r\n",
        "X~WX~OPENID: evil\r\n",
        "x-wx~openid: evil\r\n",
        "~X-WX-OPENID: evil\r\n",
        "X-WX-OPENID~: evil\r\n",
        "Connection: X-WX-OPENID, upgrade\r\nUpgrade: websocket\r\n",
        "Connection: upgrade, x-wx-openid, X-Hufu-App\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "X-WX-UNIONID: evil\r\n",
        "X-WX-FROM-OPENID: evil\r\n",
        "X-Hufu-Subject: evil\r\n",
        "X-Hufu-App: evil\r\nX_Hufu_App: evil\r\nX.Hufu.App: evil\r\n",
        "Connection: X-WX-OPENID\r\n",
        "Connection: keep-alive, x-wx-openid, X-Hufu-App\r\n",
        "Connection: close\r\nConnection: X-WX-OPENID\r\nX-WX-OPENID: evil\r\n",
        // Another protocol, alone and beside a WebSocket.
        "Upgrade: h2c\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    ];
    if by_family {
        all.extend([
            "X-WX-Anything: evil\r\n",
            "X-Hufu-Error: evil\r\n",
            "X-Hufu-Anything: evil\r\n",
        ]);
    }
    all
}

async fn attacked(name: &str) {
    let Some(asked) = Asked::by(name).await else {
        return;
    };
    let token = asked.token().await;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let alice = [hufu::sandbox::openid(APPID, "alice")];

    // Who it is.
    let plain = asked
        .clean("GET /api/x?name=a%20b", "shop.test", &bearer)
        .await
        .expect("what nobody forges is passed on");
    assert_eq!(plain.values("x-wx-openid"), alice, "{}", plain.head());
    for lines in forged(asked.identity_by_family)
        .into_iter()
        .chain([HANDSHAKE, "Upgrade: websocket\r\n"])
    {
        if let Some(record) = asked
            .clean("GET /api/x", "shop.test", &format!("{bearer}{lines}"))
            .await
        {
            assert_eq!(
                record.values("x-wx-openid"),
                alice,
                "{lines}: {}",
                record.head()
            );
        }
    }
    // Nobody, on an open path.
    for lines in forged(asked.identity_by_family) {
        if let Some(record) = asked.clean("GET /api/open/x", "shop.test", lines).await {
            assert!(
                record.values("x-wx-openid").iter().all(String::is_empty),
                "{lines}: {}",
                record.head()
            );
        }
    }
    // Behind the body, declared and not.
    for (start, lines) in [
        ("POST /api/x", &*bearer),
        ("GET /api/x", &*bearer),
        ("POST /api/open/x", ""),
    ] {
        for trailer in [
            "Connection: close\r\n",
            "Trailer: X-WX-OPENID\r\nConnection: close\r\n",
            "Trailer: X-WX-OPENID\r\nTE: trailers\r\nConnection: TE, close\r\n",
        ] {
            let head = format!(
                "{start} HTTP/1.1\r\nHost: shop.test\r\n{lines}{trailer}Transfer-Encoding: chunked\r\n\r\n"
            );
            let (answer, passed) = asked.send(&format!("{head}5\r\nhello\r\n0\r\nX-WX-OPENID: evil\r\nX_WX_OPENID: evil\r\nRemote-User: evil\r\n\r\n")).await;
            for bytes in passed
                .iter()
                .map(|record| String::from_utf8_lossy(&record.bytes))
            {
                assert!(
                    !bytes.contains("evil"),
                    "{start} {trailer}: {bytes} {}",
                    answer.text
                );
            }
        }
    }
    // What opens: the path, the host, the method.
    for (start, host) in [
        ("GET /api/open/x", "shop.test"),
        ("GET /api/hosted/x", "open.test"),
        ("GET /api/method", "shop.test"),
    ] {
        let (answer, passed) = asked.ask(start, host, "").await;
        assert_eq!(
            (answer.status, passed.len()),
            (200, 1),
            "{start} {host}: {}",
            answer.text
        );
    }
    // And what does not: a path, a host and a method that the client only says in a header.
    for header in [
        "X-Forwarded-Uri",
        "X-Original-URI",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Forwarded_Uri",
        "x-forwarded-URI",
    ] {
        for value in ["/api/open/x", "http://shop.test/api/open/x"] {
            asked
                .refused("GET /api/x", "shop.test", &format!("{header}: {value}\r\n"))
                .await;
            asked
                .refused(
                    "GET /api/x",
                    "shop.test",
                    &format!("{header}: {value}\r\n{header}: {value}\r\nConnection: {header}\r\n"),
                )
                .await;
        }
    }
    for header in ["X-Forwarded-Host", "X-Original-Host", "X-Host", "Forwarded"] {
        let value = if header == "Forwarded" {
            "host=open.test"
        } else {
            "open.test"
        };
        asked
            .refused(
                "GET /api/hosted/x",
                "shop.test",
                &format!("{header}: {value}\r\n"),
            )
            .await;
    }
    asked
        .refused(
            "GET /api/hosted/x",
            "shop.test",
            "X-Original-URL: http://open.test/api/hosted/x\r\n",
        )
        .await;
    for header in [
        "X-Forwarded-Method",
        "X-Original-Method",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        asked
            .refused(
                "POST /api/method",
                "shop.test",
                &format!("{header}: GET\r\nContent-Length: 0\r\n"),
            )
            .await;
    }
    for header in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X_HTTP_Method_Override",
        "X.HTTP.Method.Override",
    ] {
        // Backends that honour it would run what another rule protects.
        let (answer, passed) = asked
            .ask(
                "GET /api/method",
                "shop.test",
                &format!("{header}: DELETE\r\n"),
            )
            .await;
        assert!(
            passed
                .iter()
                .all(|record| !record.head().contains("DELETE")),
            "{header}: {} {}",
            answer.text,
            passed[0].head()
        );
    }
    // Paths and hosts with two readings.
    for path in [
        "/api/open/../x",
        "/api/open/%2e%2e/x",
        "/api/open/..%2fx",
        "/api/open/..;/x",
        "//api/x",
        "/api//x",
        "/ap%69/x",
        "/api/open/..%5cx",
        "/api/open\\..\\x",
    ] {
        asked.refused(&format!("GET {path}"), "shop.test", "").await;
    }
    for host in [
        "open.test?",
        "shop.test/api/open",
        "open.test#",
        "a@open.test",
        "open.test, shop.test",
    ] {
        let (answer, passed) = asked.ask("GET /api/x", host, "").await;
        assert!(
            answer.status >= 400 && passed.is_empty(),
            "{host}: {}",
            answer.text
        );
    }
    // Where the target has a host of its own, backend and gateway hear of the same one.
    let (answer, passed) = asked
        .ask("GET http://open.test/api/hosted/x", "shop.test", "")
        .await;
    assert!(
        passed
            .iter()
            .all(|record| record.values("host") == ["open.test"]),
        "{} {:?}",
        answer.text,
        passed.first().map(Recorded::head)
    );
    // A handshake of nobody, and what only the proxy may ask.
    asked.refused("GET /api/x", "shop.test", HANDSHAKE).await;
    for path in [
        "/auth/verify",
        "/auth/verify/api/open",
        "/auth//verify",
        "/auth/%76erify",
        "/auth/./verify",
        "/auth/session/../verify",
        "/auth/session/%2e%2e/verify",
    ] {
        let answer = asked
            .ask(
                &format!("GET {path}"),
                "shop.test",
                &format!("Authorization: Bearer {token}\r\n"),
            )
            .await
            .0;
        let head = answer.text.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(
            answer.status >= 300 && !head.contains("x-wx-"),
            "{path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn nginx_passes_on_who_it_is_or_nothing() {
    attacked("nginx").await;
}

#[tokio::test]
async fn nginx_with_websockets_passes_on_who_it_is_or_nothing() {
    attacked("nginx-websockets").await;
}

#[tokio::test]
async fn ingress_nginx_passes_on_who_it_is_or_nothing() {
    attacked("ingress-nginx").await;
}

#[tokio::test]
async fn caddy_passes_on_who_it_is_or_nothing() {
    attacked("caddy").await;
}

#[tokio::test]
async fn traefik_passes_on_who_it_is_or_nothing() {
    attacked("traefik").await;
}

#[tokio::test]
async fn envoy_passes_on_who_it_is_or_nothing() {
    attacked("envoy").await;
}

#[tokio::test]
async fn haproxy_passes_on_who_it_is_or_nothing() {
    attacked("haproxy").await;
}
