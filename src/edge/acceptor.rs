//! From a connection that was just accepted to a socket that is ready for HTTP: the PROXY header,
//! then the TLS handshake, each within the time for a head.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use crate::clock::monotonic_now;
use crate::edge::proxy_protocol;
use crate::edge::stream::{CountingSocket, Stream};
use crate::edge::tls::{MANY, Tls, UNDISTURBED};
use crate::http::{ConnectionInfo, TrustedProxies};
use crate::metrics::Metrics;
use crate::telemetry::Throttle;

/// What a connection goes through before its first request.
#[derive(Clone)]
pub struct Acceptor {
    pub tls: Option<Arc<Tls>>,
    /// The balancers that speak the PROXY protocol, as the configuration has them now.
    pub balancers: Option<watch::Receiver<Arc<TrustedProxies>>>,
    /// For each step.
    pub timeout: Duration,
    pub metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Makes the connection ready. Its peer is the socket's, or the address in the PROXY header.
    pub async fn accept(&self, mut socket: TcpStream) -> io::Result<(Stream, ConnectionInfo)> {
        // Answers are written whole; waiting for more only delays them.
        let _ = socket.set_nodelay(true);
        let mut client = socket.peer_addr().ok();
        let announced = self.balancers.as_ref().is_some_and(|balancers| {
            client.is_some_and(|peer| balancers.borrow().contains(peer.ip()))
        });
        let mut is_nameless = false;
        if announced {
            let named = self.announcement(&mut socket, client).await?;
            is_nameless = named.is_none();
            client = named.or(client);
        }
        let stream = match &self.tls {
            None => Stream::Tcp(socket),
            Some(tls) => self.handshake(tls, socket, client).await?,
        };
        let connection = ConnectionInfo {
            peer: client.map(|client| client.ip()),
            is_secure: self.tls.is_some(),
            is_nameless,
            ..ConnectionInfo::default()
        };
        Ok((stream, connection))
    }

    /// Whose connection it is, in the balancer's words. A balancer that speaks no PROXY protocol is
    /// a mistake that shows nowhere else.
    async fn announcement(
        &self,
        socket: &mut TcpStream,
        balancer: Option<SocketAddr>,
    ) -> io::Result<Option<SocketAddr>> {
        static THROTTLE: Throttle = Throttle::new(Duration::from_secs(10));
        let read = timeout(self.timeout, proxy_protocol::read(socket))
            .await
            .unwrap_or_else(|late| Err(late.into()));
        if let Err(error) = &read
            && let Some(silent) = THROTTLE.admit()
        {
            let from = shown(balancer);
            log::warn!(
                "{from}: connection closed, no valid PROXY header: {error}{silent}; check that the balancer sends one"
            );
        }
        read
    }

    async fn handshake(
        &self,
        tls: &Tls,
        socket: TcpStream,
        client: Option<SocketAddr>,
    ) -> io::Result<Stream> {
        let handshake = timeout(self.timeout, async {
            // A silent client needs no buffer.
            socket.peek(&mut [0]).await?;
            // Half a ClientHello holds at most 64 KiB, as rustls sees to, and nothing that others
            // wait for.
            let hello = LazyConfigAcceptor::new(
                rustls::server::Acceptor::default(),
                CountingSocket::new(socket),
            )
            .await?;
            let config = tls
                .configuration(&hello.client_hello())
                .ok_or(io::ErrorKind::NotFound)?;
            let mut place = tls.handshakes.enter(monotonic_now());
            tokio::select! {
                biased;
                stream = hello.into_stream(config) => stream.map(Some),
                () = place.displaced() => Ok(None),
            }
        });
        let (outcome, stream) = match handshake.await {
            Ok(Ok(Some(stream))) => (
                if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                    "resumed"
                } else {
                    "ok"
                },
                Ok(Stream::Tls(Box::new(stream))),
            ),
            Ok(Ok(None)) => {
                log_displaced(client);
                ("displaced", Err(io::ErrorKind::ConnectionAborted.into()))
            }
            Ok(Err(error)) => ("failed", Err(error)),
            Err(late) => ("timeout", Err(late.into())),
        };
        self.metrics.listener.tls_handshake(outcome);
        stream
    }
}

/// A peer with so many slow handshakes is hardly a client. Only the operator can keep it away.
fn log_displaced(client: Option<SocketAddr>) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(60));
    if let Some(silent) = THROTTLE.admit() {
        let from = shown(client);
        log::warn!(
            "{from}: TLS handshake dropped after {} s, since {MANY} or more were in progress{silent}; if this is an attack, limit connections per address in a firewall or balancer",
            UNDISTURBED.as_secs()
        );
    }
}

/// An address in a log line.
fn shown(peer: Option<SocketAddr>) -> String {
    peer.map(|peer| peer.ip().to_string()).unwrap_or_default()
}
