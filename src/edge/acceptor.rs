//! From a connection that was just accepted to a socket that is ready for HTTP: the PROXY header, then the TLS handshake, each within the
//! time for a head.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::edge::proxy_protocol;
use crate::edge::stream::{Counted, Stream};
use crate::http::TrustedProxies;
use crate::metrics::Metrics;
use crate::telemetry::Throttle;

/// Handshakes at a time, in all workers together: each costs a millisecond of a core.
const HANDSHAKES: usize = 256;

/// What a connection goes through before its first request.
#[derive(Clone)]
pub struct Acceptor {
    tls: Option<(TlsAcceptor, Arc<Semaphore>)>,
    /// Who speaks the PROXY protocol, as it is now.
    balancers: Option<watch::Receiver<Arc<TrustedProxies>>>,
    patience: Duration,
    metrics: Arc<Metrics>,
}

/// A connection that is ready for HTTP.
pub struct Accepted {
    /// Its socket.
    pub stream: Stream,
    /// Whose it is: the socket's peer, or the address in the PROXY header.
    pub client: Option<SocketAddr>,
    /// Whether a balancer has passed it on without saying whose it is.
    pub nameless: bool,
}

impl Acceptor {
    /// With TLS if there is a `tls`; with the PROXY protocol from `balancers`, if there are any, and from nobody else.
    #[must_use]
    pub fn new(tls: Option<Arc<ServerConfig>>, balancers: Option<watch::Receiver<Arc<TrustedProxies>>>, patience: Duration, metrics: Arc<Metrics>) -> Self {
        let tls = tls.map(|config| (TlsAcceptor::from(config), Arc::new(Semaphore::new(HANDSHAKES))));
        Self { tls, balancers, patience, metrics }
    }

    /// Makes the connection ready.
    pub async fn accept(&self, mut socket: TcpStream) -> io::Result<Accepted> {
        // Answers are written whole; waiting for more only delays them.
        let _ = socket.set_nodelay(true);
        let mut client = socket.peer_addr().ok();
        let announced = self.balancers.as_ref().is_some_and(|balancers| client.is_some_and(|peer| balancers.borrow().contains(peer.ip())));
        let mut nameless = false;
        if announced {
            let named = self.announcement(&mut socket, client).await?;
            nameless = named.is_none();
            client = named.or(client);
        }
        let stream = match &self.tls {
            None => Stream::Tcp(socket),
            Some((acceptor, places)) => self.handshake(acceptor, places, socket).await?,
        };
        Ok(Accepted { stream, client, nameless })
    }

    /// Whose connection it is, in the balancer's words. A balancer that speaks no PROXY protocol is a mistake that shows nowhere else.
    async fn announcement(&self, socket: &mut TcpStream, balancer: Option<SocketAddr>) -> io::Result<Option<SocketAddr>> {
        static TOLD: Throttle = Throttle::new(Duration::from_secs(10));
        let read = timeout(self.patience, proxy_protocol::read(socket)).await.unwrap_or_else(|late| Err(late.into()));
        if let Err(error) = &read
            && let Some(silent) = TOLD.admit()
        {
            let from = balancer.map(|peer| peer.ip().to_string()).unwrap_or_default();
            log::warn!(
                "{from}: a connection without a sound PROXY header was closed: {error} ({silent} more since the last line); does the balancer send one?"
            );
        }
        read
    }

    async fn handshake(&self, acceptor: &TlsAcceptor, places: &Semaphore, socket: TcpStream) -> io::Result<Stream> {
        let handshake = timeout(self.patience, async {
            // Who is silent holds no place that others wait for.
            socket.peek(&mut [0]).await?;
            let _place = places.acquire().await.map_err(io::Error::other)?;
            acceptor.accept(Counted::new(socket)).await
        });
        let (outcome, stream) = match handshake.await {
            Ok(Ok(stream)) => ("ok", Ok(Stream::Tls(Box::new(stream)))),
            Ok(Err(error)) => ("failed", Err(error)),
            Err(late) => ("timeout", Err(late.into())),
        };
        self.metrics.tls_handshake(outcome);
        stream
    }
}
