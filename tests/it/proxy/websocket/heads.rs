//! What a client writes into the head of its handshake, and what its upstream then gets: over raw
//! sockets.

use crate::helpers::{Answer, Gateway, Script, Upstream, WsUpstream, script::ok};

const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn ask(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    gateway
        .raw(format!(
            "GET {path} HTTP/1.1\r\nHost: api.test\r\n{KEY}{lines}\r\n"
        ))
        .await
}

#[tokio::test]
async fn a_handshake_arrives_whole_whatever_its_connection_names() {
    let (upstream, recorder) = (
        WsUpstream::start().await,
        Upstream::start(Script::at_head(ok()).then_close()),
    );
    let gateway =
        Gateway::start(&(upstream.route("/ws", "none") + &recorder.route("/seen", "none")));
    let lines = "Upgrade: websocket\r\nOrigin: https://servicewechat.com\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x-none\r\nX-Drop: me\r\n";
    for connection in [
        "Upgrade, sec-websocket-key",
        "Upgrade, Sec-WebSocket-Version",
        "Sec-WebSocket-Key, Sec-WebSocket-Version, Sec-WebSocket-Protocol, Sec-WebSocket-Extensions, Origin, Host, X-Drop, Upgrade",
    ] {
        let lines = format!("{lines}Connection: {connection}\r\n");
        // A server of WebSockets takes it for one, and answers its key.
        let answer = ask(&gateway, "/ws", &lines).await;
        assert_eq!(
            (answer.status, answer.header("sec-websocket-accept")),
            (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
            "{connection}: {}",
            answer.text
        );
        assert_eq!(
            ask(&gateway, "/seen", &lines).await.status,
            200,
            "{connection}"
        );
        let seen = recorder.connections().pop().unwrap();
        for (name, value) in [
            ("host", "api.test"),
            ("origin", "https://servicewechat.com"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-extensions", "x-none"),
        ] {
            assert_eq!(seen.values(name), [value], "{connection}: {}", seen.head());
        }
        assert_eq!(
            seen.values("x-drop").is_empty(),
            connection.contains("X-Drop"),
            "what is the connection's own stays behind: {}",
            seen.head()
        );
    }
}

/// Some clients announce that a GET has an empty body. Whatever reads it behind the gateway reads a
/// plain handshake.
#[tokio::test]
async fn a_length_of_zero_comes_in_and_stays_behind() {
    let (upstream, recorder) = (
        WsUpstream::start().await,
        Upstream::start(Script::at_head(ok()).then_close()),
    );
    let gateway =
        Gateway::start(&(upstream.route("/ws", "none") + &recorder.route("/seen", "none")));
    for (length, comes_in) in [
        ("0", true),
        ("1", false),
        ("00", false),
        ("0, 0", false),
        ("", false),
        ("-0", false),
    ] {
        let lines =
            format!("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: {length}\r\n");
        let answer = ask(&gateway, "/ws", &lines).await;
        assert_eq!(
            answer.status,
            if comes_in { 101 } else { 400 },
            "{length:?}: {}",
            answer.text
        );
        if comes_in {
            assert_eq!(ask(&gateway, "/seen", &lines).await.status, 200);
        }
    }
    for more in [
        "Content-Length: 0\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let answer = ask(
            &gateway,
            "/ws",
            &format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{more}"),
        )
        .await;
        assert_eq!(answer.status, 400, "{more:?}: {}", answer.text);
    }
    let seen = recorder.connections();
    assert!(
        seen.len() == 1
            && seen[0].values("content-length").is_empty()
            && seen[0].values("transfer-encoding").is_empty(),
        "{seen:?}"
    );
    // And where a proxy asks whether it may open one.
    let trusting = Gateway::start(&format!(
        "server.trusted_proxies = [\"127.0.0.1\"]\n{}",
        recorder.route("/", "none")
    ));
    for (length, status) in [("0", 200), ("1", 400)] {
        let lines =
            format!("Upgrade: websocket\r\nContent-Length: {length}\r\nX-Original-URI: /x\r\n");
        assert_eq!(
            ask(&trusting, "/auth/verify", &lines).await.status,
            status,
            "{length}"
        );
    }
}

/// In one line or in several, in either order: the list is the same, and so is the answer.
#[tokio::test]
async fn websocket_is_the_only_upgrade_of_a_handshake() {
    let recorder = Upstream::start(Script::at_head(ok()).then_close());
    let gateway = Gateway::start(&recorder.route("/", "none"));
    for lines in [
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nUpgrade:\r\n",
        "Upgrade:\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket,\r\n",
        "Upgrade: ,websocket\r\n",
        "Upgrade: \"websocket\"\r\nUpgrade: websocket\r\n",
    ] {
        let answer = ask(&gateway, "/", &format!("Connection: Upgrade\r\n{lines}")).await;
        answer.refuses(
            400,
            "upgrade_invalid",
            format_args!("{lines:?}: {}", answer.text),
        );
        assert_eq!(answer.header("connection"), Some("close"), "{lines:?}");
    }
    assert!(recorder.connections().is_empty());
    // What is no word for it is another upgrade: it means nothing and stays behind.
    for lines in [
        "Upgrade: \"websocket\"\r\n",
        "Upgrade: 'websocket'\r\n",
        "Upgrade: h2c\r\nUpgrade: \"websocket\"\r\n",
        "Upgrade:\r\nUpgrade: h2c\r\n",
    ] {
        let answer = ask(&gateway, "/", &format!("Connection: Upgrade\r\n{lines}")).await;
        assert_eq!(
            (answer.status, answer.header("upgrade"), answer.body()),
            (200, None, "ok"),
            "{lines:?}: {}",
            answer.text
        );
        let seen = recorder.connections().pop().unwrap();
        assert!(
            seen.values("upgrade").is_empty() && seen.values("connection").is_empty(),
            "{lines:?}: {}",
            seen.head()
        );
    }
}

#[tokio::test]
async fn this_host_itself_is_a_page_that_came_by_the_same_scheme_or_a_better_one() {
    let recorder = Upstream::start(Script::at_head(ok()).then_close());
    let config = format!(
        "session.carriers = [\"cookie:sid\"]\nserver.trusted_proxies = [\"127.0.0.1\"]\n{}",
        recorder.route("/", "none")
    );
    let gateway = Gateway::start(&config);
    let (http, https) = (
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: https\r\n",
    );
    for (told, origin, comes_in) in [
        ("", "http://api.test", true),
        ("", "https://api.test", true),
        (http, "https://api.test", true),
        (https, "https://api.test", true),
        (https, "http://api.test", false),
        ("", "ftp://api.test", false),
        ("", "ws://api.test", false),
        ("", "://api.test", false),
        ("", "//api.test", false),
        ("", "api.test", false),
        ("", "https://evil.test", false),
        ("", "https://evil.test://api.test", false),
        ("", "null", false),
    ] {
        let answer = ask(
            &gateway,
            "/",
            &format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{told}Origin: {origin}\r\n"),
        )
        .await;
        let expected = if comes_in {
            (200, None)
        } else {
            (403, Some("origin_forbidden"))
        };
        assert_eq!(
            (answer.status, answer.code()),
            expected,
            "{told}{origin}: {}",
            answer.text
        );
    }
}
