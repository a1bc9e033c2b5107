//! Both ends of TLS, with the certificates of a test's own authority.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{WantsServerCert, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, ServerConfig,
    SupportedProtocolVersion, version,
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::gateway::Gateway;
use super::redis_server::Certificates;
use super::servers::tls_provider;

/// A client that trusts the authority and offers these protocols.
pub(crate) fn client(
    certificates: &Certificates,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    client_with(
        rustls::crypto::ring::default_provider(),
        certificates,
        versions,
        alpn,
    )
}

/// The same with cipher suites of TLS 1.2 alone, as clients have that do not know 1.3; rustls names
/// those of both.
pub(crate) fn old_client(certificates: &Certificates) -> TlsConnector {
    let mut provider = rustls::crypto::ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_none());
    client_with(provider, certificates, &[&version::TLS12], &[])
}

fn client_with(
    provider: CryptoProvider,
    certificates: &Certificates,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    let provider = Arc::new(provider);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(certificates), provider.clone())
            .build()
            .unwrap();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap();
    let mut config = builder.with_webpki_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// A connection to the gateway's own TLS, under this name.
pub(crate) async fn connect(
    gateway: &Gateway,
    connector: &TlsConnector,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(gateway.listen).await.unwrap();
    connector
        .connect(ServerName::try_from(name.to_owned()).unwrap(), socket)
        .await
}

/// The first bytes that such a client sends.
pub(crate) fn client_hello(connector: &TlsConnector, name: &str) -> Vec<u8> {
    let mut connection = ClientConnection::new(
        connector.config().clone(),
        ServerName::try_from(name.to_owned()).unwrap(),
    )
    .unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// A server's side of TLS that asks clients for a certificate.
pub(crate) fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    tls_provider();
    let clients = WebPkiClientVerifier::builder(roots(certificates))
        .build()
        .unwrap();
    serving(
        certificates,
        ServerConfig::builder().with_client_cert_verifier(clients),
    )
}

/// The same without asking.
pub(crate) fn plain_acceptor(certificates: &Certificates) -> TlsAcceptor {
    tls_provider();
    serving(certificates, ServerConfig::builder().with_no_client_auth())
}

fn serving(
    certificates: &Certificates,
    config: ConfigBuilder<ServerConfig, WantsServerCert>,
) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificates.path("server.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(certificates.path("server.key")).unwrap();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

fn roots(certificates: &Certificates) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificates.path("ca.pem")).unwrap())
        .unwrap();
    Arc::new(roots)
}
