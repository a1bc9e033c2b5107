//! Clients of the gateway's own TLS come back: who need not shake hands in full again, where, and
//! how long.

use std::sync::Arc;

use rustls::HandshakeKind::{Full, Resumed};
use rustls::client::Resumption;
use rustls::{HandshakeKind, SupportedProtocolVersion, version};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsConnector;

use crate::helpers::{
    Certificates, Gateway, GatewayBuilder, Running, echo_upstream, probe,
    tls::{client, connect, old_client},
    until,
};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

struct Stage {
    echo: Running,
    certificates: Certificates,
}

impl Stage {
    fn new() -> Self {
        let certificates = Certificates::new();
        certificates.sign("a", "DNS:a.test,DNS:*.a.test");
        certificates.sign("b", "DNS:b.test");
        Self {
            echo: echo_upstream(),
            certificates,
        }
    }

    /// A configuration that shows these certificates and has these keys.
    fn setup(&self, shown: &[&str], keys: &[&str]) -> GatewayBuilder {
        let pair = |who: &&str| {
            format!(
                "{{ cert = {:?}, key = {:?} }}",
                self.certificates.path(&format!("{who}.pem")),
                self.certificates.path(&format!("{who}.key"))
            )
        };
        let shown: Vec<String> = shown.iter().map(pair).collect();
        let keys = if keys.is_empty() {
            String::new()
        } else {
            format!("secrets.keys = {keys:?}\n")
        };
        let config = format!(
            "server.tls = [{}]\n{keys}{}",
            shown.join(", "),
            self.echo.route("/", "none")
        );
        GatewayBuilder::new().config(config)
    }

    /// A client that comes back.
    fn client(&self, version: &'static SupportedProtocolVersion) -> TlsConnector {
        client(&self.certificates, &[version], &[])
    }
}

/// One request on a connection that begins with this kind of handshake.
async fn visit(gateway: &Gateway, client: &TlsConnector, name: &str, kind: HandshakeKind) {
    let mut stream = connect(gateway, client, name).await.unwrap();
    assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{name}");
    stream.write_all(GET).await.unwrap();
    assert_eq!(probe::read(&mut stream).await.status, 200);
}

/// So many clients that have never been here, sixteen at a time.
async fn others(gateway: &Gateway, client: &TlsConnector, count: usize) {
    let mut config = (**client.config()).clone();
    config.resumption = Resumption::disabled();
    let client = TlsConnector::from(Arc::new(config));
    let sixteenth = async || {
        for _ in 0..count / 16 {
            let stream = connect(gateway, &client, "a.test").await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(Full));
        }
    };
    futures_util::future::join_all((0..16).map(|_| sixteenth())).await;
}

fn key() -> String {
    hufu::crypto::keyring::generate_key()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_tls_1_3_goes_on_after_ten_thousand_others_and_at_every_gateway_with_the_key()
{
    let stage = Stage::new();
    let (old, new, foreign) = (key(), key(), key());
    let gateway = stage.setup(&["a", "b"], &[&old]).start();
    let client = stage.client(&version::TLS13);
    visit(&gateway, &client, "a.test", Full).await;
    visit(&gateway, &client, "a.test", Resumed).await;
    others(&gateway, &client, 10_000).await;
    visit(&gateway, &client, "a.test", Resumed).await;
    // A client has shaken hands a moment before its gateway has.
    until("as many handshakes", async || {
        gateway
            .counted("hufu_tls_handshakes_total{outcome=\"ok\"}")
            .await
            > 10_000
    })
    .await;
    gateway
        .counts("hufu_tls_handshakes_total{outcome=\"resumed\"}", 2)
        .await;
    // At another one, and after a restart.
    let sibling = gateway.sibling();
    visit(&sibling, &client, "a.test", Resumed).await;
    drop(gateway);
    visit(&sibling.sibling(), &client, "a.test", Resumed).await;
    // While keys are rolled: with the new one behind the old one, before it, and a ticket of the
    // new one.
    for keys in [[&*old, &*new], [&*new, &*old]] {
        let rolled = sibling.successor(&stage.setup(&["a", "b"], &keys));
        visit(&rolled, &client, "a.test", Resumed).await;
    }
    visit(
        &sibling.successor(&stage.setup(&["a", "b"], &[&new])),
        &client,
        "a.test",
        Resumed,
    )
    .await;
    // Another name is another session; another key opens nothing.
    visit(&sibling, &client, "b.test", Full).await;
    visit(&sibling, &client, "www.a.test", Full).await;
    visit(
        &sibling.successor(&stage.setup(&["a", "b"], &[&foreign])),
        &client,
        "b.test",
        Full,
    )
    .await;
}

/// Another installation with the same keys, which a client meets under a name of ours, must show a
/// certificate for it.
#[tokio::test]
async fn a_ticket_counts_only_with_a_certificate_of_the_same_names() {
    let (stage, key) = (Stage::new(), key());
    stage.certificates.sign("c", "DNS:a.test");
    let client = stage.client(&version::TLS13);
    let gateway = stage.setup(&["a"], &[&key]).start();
    visit(&gateway, &client, "a.test", Full).await;
    visit(
        &gateway.successor(&stage.setup(&["c"], &[&key])),
        &client,
        "a.test",
        Full,
    )
    .await;
    // One for another name altogether is shown as it is, and the client does not take it.
    let elsewhere = gateway.successor(&stage.setup(&["b"], &[&key]));
    assert!(connect(&elsewhere, &client, "a.test").await.is_err());
}

#[tokio::test]
async fn a_renewed_certificate_ends_no_session() {
    let stage = Stage::new();
    let gateway = stage.setup(&["a"], &[]).start();
    let clients = [
        old_client(&stage.certificates),
        stage.client(&version::TLS13),
    ];
    for client in &clients {
        visit(&gateway, client, "a.test", Full).await;
    }
    stage.certificates.sign("a", "DNS:*.a.test,DNS:a.test");
    gateway.logs("certificates reloaded").await;
    for client in &clients {
        visit(&gateway, client, "a.test", Resumed).await;
    }
}

/// Its sessions would open recorded traffic, so they stay in the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_tls_1_2_goes_on_at_its_own_gateway_only() {
    let (stage, key) = (Stage::new(), key());
    let gateway = stage.setup(&["a", "b"], &[&key]).start();
    let sibling = gateway.sibling();
    for client in [
        old_client(&stage.certificates),
        stage.client(&version::TLS12),
    ] {
        visit(&gateway, &client, "a.test", Full).await;
        others(&gateway, &client, 800).await;
        visit(&gateway, &client, "a.test", Resumed).await;
        visit(&sibling, &client, "a.test", Full).await;
    }
}

/// Without `secrets.keys` tickets are the process's own.
#[tokio::test]
async fn without_keys_a_session_goes_on_in_its_process() {
    let stage = Stage::new();
    let gateway = stage.setup(&["a"], &[]).start();
    let client = stage.client(&version::TLS13);
    visit(&gateway, &client, "a.test", Full).await;
    visit(&gateway, &client, "a.test", Resumed).await;
    visit(&gateway.sibling(), &client, "a.test", Full).await;
}
