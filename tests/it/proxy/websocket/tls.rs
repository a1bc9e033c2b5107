//! WebSockets over TLS on either side of the gateway, and on both.

use std::sync::atomic::Ordering;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::Response;

use crate::helpers::{
    Certificates, Client, Gateway, Socket, WsUpstream, acceptor, echoed, farewell, handshake,
    tls::{client, connect},
    tls_provider, until, upstream_of,
    ws_client::{self, close, talk},
};

/// What the gateway shows clients, and what it needs for an upstream that wants to know it.
fn listening(certificates: &Certificates) -> String {
    format!(
        "server.tls = [{{ cert = {:?}, key = {:?} }}]\n",
        certificates.path("a.pem"),
        certificates.path("a.key")
    )
}

fn private(upstream: &WsUpstream, certificates: &Certificates) -> String {
    let tls = ["ca.pem", "client.pem", "client.key"].map(|name| certificates.path(name));
    upstream_of(
        &[&upstream.url],
        "required",
        &format!(
            "[upstreams.many.tls]\nca = {:?}\ncert = {:?}\nkey = {:?}",
            tls[0], tls[1], tls[2]
        ),
    )
}

fn certificates() -> Certificates {
    let certificates = Certificates::new();
    certificates.sign("a", "DNS:a.test");
    certificates
}

async fn wss(
    gateway: &Gateway,
    certificates: &Certificates,
    path: &str,
    lines: &[(&'static str, &str)],
) -> (Socket<TlsStream<TcpStream>>, Response) {
    let stream = connect(
        gateway,
        &client(certificates, rustls::ALL_VERSIONS, &["http/1.1"]),
        "a.test",
    )
    .await
    .unwrap();
    client_async(handshake(&format!("wss://a.test{path}"), lines), stream)
        .await
        .unwrap()
}

/// A client of HTTP that trusts the authority, and the token that it has logged in for.
async fn signed_in(gateway: &Gateway, certificates: &Certificates, user: &str) -> (Client, String) {
    tls_provider();
    let ca = reqwest::Certificate::from_pem(&certificates.read("ca.pem")).unwrap();
    let client = Client::new(
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([ca])
            .resolve("a.test", gateway.listen)
            .build()
            .unwrap(),
    );
    let code = gateway.code(user);
    let answer = client
        .post(at(gateway, "/auth/login"))
        .json(&json!({ "code": code }))
        .await;
    let answer: Value = answer.json();
    (client, answer["token"].as_str().unwrap().to_owned())
}

fn at(gateway: &Gateway, path: &str) -> String {
    format!("https://a.test:{}{path}", gateway.listen.port())
}

/// Everything that a socket does, from a client to the gateway over TLS; the upstream may be
/// encrypted too.
async fn holds(gateway: &Gateway, certificates: &Certificates, upstream: &WsUpstream) {
    let (http, token) = signed_in(gateway, certificates, "zhang").await;
    let bearer = format!("Bearer {token}");
    let (mut socket, _) = wss(
        gateway,
        certificates,
        "/echo?room=1",
        &[("authorization", &bearer)],
    )
    .await;
    talk(&mut socket).await;
    let asked = upstream.handshake(0);
    assert!(
        asked.starts_with("/echo?room=1\n")
            && asked.contains("\nx-wx-openid: ")
            && asked.contains("\nx-forwarded-proto: https\n"),
        "{asked}"
    );
    assert!(!asked.contains(&token), "{asked}");
    close(&mut socket, 4000).await;
    // What the upstream closes, and what dies there.
    for (path, code) in [("/close", 4001), ("/die", 1011)] {
        let (mut socket, _) = wss(gateway, certificates, path, &[("authorization", &bearer)]).await;
        let _ = socket.send(Message::text("x")).await;
        assert_eq!(
            farewell(&mut socket).await.map(|(code, _)| code),
            Some(code),
            "{path}"
        );
    }
    // And a session that ends.
    let (mut socket, _) = wss(
        gateway,
        certificates,
        "/echo",
        &[("authorization", &bearer)],
    )
    .await;
    echoed(&mut socket, Message::text("still")).await;
    assert_eq!(
        http.post(at(gateway, "/auth/logout"))
            .bearer_auth(&token)
            .await
            .status(),
        204
    );
    assert_eq!(
        farewell(&mut socket).await,
        Some((1008, "session_expired".to_owned()))
    );
    let behind = socket.next().await;
    assert!(
        behind.is_none(),
        "behind the close frame there is nothing but the end of TLS: {behind:?}"
    );
    drop(socket);
    until("the upstream's connections to end", async || {
        upstream.ended.load(Ordering::SeqCst) == upstream.opened.load(Ordering::SeqCst)
    })
    .await;
    gateway.counts("hufu_websockets_open", 0).await;
}

#[tokio::test]
async fn a_client_comes_over_tls() {
    let (certificates, upstream) = (certificates(), WsUpstream::start().await);
    let config = listening(&certificates) + &upstream.route("/", "required");
    holds(&Gateway::start(&config), &certificates, &upstream).await;
}

#[tokio::test]
async fn client_and_upstream_both_speak_tls() {
    let certificates = certificates();
    let upstream = WsUpstream::with_tls(acceptor(&certificates)).await;
    let config = listening(&certificates) + &private(&upstream, &certificates);
    holds(&Gateway::start(&config), &certificates, &upstream).await;
}

/// A browser's way in: the token stands in the offer of protocols.
#[tokio::test]
async fn a_protocol_carries_the_token_over_tls() {
    let (certificates, upstream) = (certificates(), WsUpstream::start().await);
    let config = format!(
        "session.carriers = [\"bearer\", \"protocol\"]\n{}{}",
        listening(&certificates),
        upstream.route("/", "required")
    );
    let gateway = Gateway::start(&config);
    let (_, token) = signed_in(&gateway, &certificates, "zhang").await;
    let lines = [
        (
            "sec-websocket-protocol",
            &*format!("hufu.v1, hufu.token.{token}"),
        ),
        ("origin", "https://a.test"),
    ];
    let (mut socket, answer) = wss(&gateway, &certificates, "/echo", &lines).await;
    assert_eq!(
        answer
            .headers()
            .get("sec-websocket-protocol")
            .map(|value| value.to_str().unwrap()),
        Some("hufu.v1")
    );
    echoed(&mut socket, Message::text("x")).await;
}

#[tokio::test]
async fn an_encrypted_upstream_is_verified_before_it_gets_the_handshake() {
    let certificates = certificates();
    let upstream = WsUpstream::with_tls(acceptor(&certificates)).await;
    let gateway = Gateway::start(&private(&upstream, &certificates));
    let token = gateway.token("zhang").await;
    let mut socket = ws_client::open(&gateway, "/echo", &token).await;
    echoed(&mut socket, Message::text("hello")).await;
    gateway.sign_out(&token).await;
    assert_eq!(
        farewell(&mut socket).await,
        Some((1008, "session_expired".to_owned()))
    );
    until("the upstream to hear it", async || {
        upstream
            .heard
            .lock()
            .unwrap()
            .contains(&"close 1008".to_owned())
    })
    .await;
    // An authority of somebody else's.
    let stranger = Gateway::start(&private(&upstream, &Certificates::new()));
    let bearer = format!("Bearer {}", stranger.token("zhang").await);
    let answer = ws_client::refused(&stranger, "/echo", &[("authorization", &bearer)]).await;
    assert_eq!(answer, (502, "upstream_unreachable".to_owned()));
    assert_eq!(
        upstream.asked.lock().unwrap().len(),
        1,
        "nothing went out before the peer was known"
    );
}
