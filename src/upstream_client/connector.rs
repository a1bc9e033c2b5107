//! Opening connections to an upstream's addresses, and their encryption.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream, UnixSocket, UnixStream};
use tokio_rustls::TlsConnector;

use crate::files;
use crate::files::pem::{self, PemError};
use crate::peer::{self, CertificateKeys, PeerTrouble};
use crate::upstream::resolved::Address;
use crate::upstream::{ResolvedEndpoint, TlsFiles, Upstream};
use crate::upstream_client::connection::{Connection, Io};

/// Why the encryption towards an upstream cannot be set up. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is none, or that holds no PEM of the kind.
    #[error("{}: {reason}", .path.display())]
    File {
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that no certificate can have.
    #[error("{0:?} is not a name that a certificate can have")]
    Name(String),
    /// The operating system has no authorities.
    #[error("the operating system has no CA certificates; install ca-certificates, or set tls.ca")]
    NoAuthorities,
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
}

/// Why there is no connection. For the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// The endpoint, or what lies before it.
    Endpoint(String),
    /// The gateway has no descriptor or no port left for it, which says nothing about the endpoint.
    Own(String),
}

/// An endpoint's silence.
pub fn no_answer(timeout: Duration) -> ConnectError {
    ConnectError::Endpoint(format!(
        "no answer within {}",
        humantime::format_duration(timeout)
    ))
}

/// A Unix socket whose queue is full says so at once, where TCP would send its first packet again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// The last descriptors are not for backends: without them the admin listener answers no probe, and
/// Redis is not found again.
const KEPT: u64 = 16;

/// Opens connections to one upstream.
pub struct Connector {
    tls: Option<ConnectorTls>,
    /// From this number on a descriptor is one of the last.
    last: RawFd,
}

struct ConnectorTls {
    connector: TlsConnector,
    /// The name that each endpoint's certificate must have.
    names: Vec<ServerName<'static>>,
    /// What to set for a certificate that is not trusted, and whether it is set.
    ca: (String, bool),
    /// What to do about one for another name.
    for_name: String,
}

impl Connector {
    /// Reads the files of the upstream's TLS, where it has any.
    pub fn new(upstream: &Upstream) -> Result<Self, TlsError> {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let last = RawFd::try_from(limit.saturating_sub(KEPT)).unwrap_or(RawFd::MAX);
        let Some(files) = &upstream.tls else {
            return Ok(Self { tls: None, last });
        };
        let name = |host: &str| {
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))
        };
        let named = files
            .server_name
            .as_deref()
            .or_else(|| upstream.host.name());
        let names: Result<_, _> = upstream
            .endpoints
            .iter()
            .map(|endpoint| name(named.unwrap_or(&endpoint.host)))
            .collect();
        let connector = TlsConnector::from(Arc::new(config(files)?));
        let of = format!("upstreams.{}.tls", upstream.name);
        let for_name = format!("set {of}.server_name to a name that it has");
        Ok(Self {
            tls: Some(ConnectorTls {
                connector,
                names: names?,
                ca: (format!("{of}.ca"), files.ca.is_some()),
                for_name,
            }),
            last,
        })
    }

    /// Connects within `timeout`, handshake included.
    pub async fn connect(
        &self,
        target: &ResolvedEndpoint,
        timeout: Duration,
    ) -> Result<Box<Connection>, ConnectError> {
        match tokio::time::timeout(timeout, self.open(&target.address, target.endpoint)).await {
            Ok(Ok(io)) => Ok(Connection::new(io)),
            Ok(Err(error)) => Err(self.connect_error(&error, &target.address)),
            Err(_) => Err(no_answer(timeout)),
        }
    }

    fn connect_error(&self, error: &io::Error, address: &Address) -> ConnectError {
        match classify(error, address) {
            ConnectError::Endpoint(words) => {
                let cure = self.cure(peer::trouble(&error.to_string()));
                let cure = cure.map(|cure| format!(" ({cure})")).unwrap_or_default();
                ConnectError::Endpoint(words + &cure)
            }
            own => own,
        }
    }

    /// What to do about an endpoint's certificate; `None`: the trouble is another.
    pub fn cure(&self, trouble: PeerTrouble) -> Option<String> {
        let ConnectorTls {
            ca: (ca, is_ca_set),
            for_name,
            ..
        } = self.tls.as_ref()?;
        peer::cure(
            trouble,
            &CertificateKeys {
                ca,
                is_ca_set: *is_ca_set,
                for_name,
            },
        )
    }

    /// Connects to an address of this endpoint, handshake included.
    pub async fn open(&self, address: &Address, endpoint: usize) -> io::Result<Io> {
        let address = match address {
            Address::Tcp(address) => *address,
            Address::Unix(path) => return self.open_unix(path).await.map(Io::Unix),
        };
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        self.leaves_enough(&socket)?;
        let io = socket.connect(address).await?;
        io.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Io::Tcp(io)),
            Some(ConnectorTls {
                connector, names, ..
            }) => {
                let name = names
                    .get(endpoint)
                    .cloned()
                    .ok_or(std::io::ErrorKind::InvalidInput)?;
                Ok(Io::Tls(Box::new(connector.connect(name, io).await?)))
            }
        }
    }

    async fn open_unix(&self, path: &Path) -> io::Result<UnixStream> {
        loop {
            let socket = UnixSocket::new_stream()?;
            self.leaves_enough(&socket)?;
            match socket.connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                connected => return connected,
            }
        }
    }

    /// The lowest number that is free is given to a socket, so its own tells how many are taken.
    fn leaves_enough(&self, socket: &impl AsRawFd) -> io::Result<()> {
        if socket.as_raw_fd() >= self.last {
            Err(Errno::EMFILE.into())
        } else {
            Ok(())
        }
    }
}

/// Whose fault it is.
fn classify(error: &io::Error, address: &Address) -> ConnectError {
    match (error.raw_os_error().map(Errno::from_raw), address) {
        (Some(Errno::EMFILE | Errno::ENFILE), _) => ConnectError::Own(
            "no file descriptor is left: raise the limit of open files".to_owned(),
        ),
        (Some(Errno::EADDRNOTAVAIL), Address::Tcp(address)) if has_way(*address) => {
            ConnectError::Own(format!(
                "no local port is left for {address}: raise idle_connections, or widen net.ipv4.ip_local_port_range"
            ))
        }
        _ => ConnectError::Endpoint(peer::plainly(&error.to_string())),
    }
}

/// Whether this machine has an address from which this one can be reached. Where it has none, the
/// error is the same as without a port; but UDP has ports of its own, and connecting by it sends
/// nothing.
fn has_way(address: SocketAddr) -> bool {
    let any: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    UdpSocket::bind(any)
        .and_then(|socket| socket.connect(address))
        .is_ok()
}

/// Whether a TLS handshake is answered in TLS, whatever the certificate says.
pub async fn speaks_tls(address: SocketAddr) -> bool {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions();
    let (Ok(builder), Ok(io)) = (builder, TcpStream::connect(address).await) else {
        return false;
    };
    let config = builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let shaken = TlsConnector::from(Arc::new(config))
        .connect(ServerName::from(address.ip()), io)
        .await;
    let said = shaken
        .err()
        .and_then(|error| error.into_inner()?.downcast::<rustls::Error>().ok());
    // No authority is known, so a certificate never passes: that one came is the answer.
    said.is_some_and(|said| {
        matches!(
            *said,
            rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)
        )
    })
}

fn config(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(path) => read_pem(path, pem::certificates)?
            .into_iter()
            .try_for_each(|certificate| roots.add(certificate))?,
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoAuthorities);
            }
        }
    }
    // Named rather than taken from the process, which may have none yet while a configuration is
    // only checked.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match &files.client {
        Some((cert, key)) => {
            let chain = read_pem(cert, pem::certificates)?;
            builder.with_client_auth_cert(chain, read_pem(key, pem::private_key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_pem<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, PemError>,
) -> Result<T, TlsError> {
    let content = files::read(path).map_err(|reason| reason.to_string());
    let parsed = content.and_then(|content| parse(&content).map_err(|error| error.to_string()));
    parsed.map_err(|reason| TlsError::File {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_lacks_is_not_the_endpoints_fault() {
        let address = |text: &str| Address::Tcp(text.parse().unwrap());
        let socket = Address::Unix(Path::new("/run/app.sock").into());
        let is_own = |errno: Errno, address: &Address| {
            matches!(classify(&errno.into(), address), ConnectError::Own(_))
        };
        for errno in [Errno::EMFILE, Errno::ENFILE] {
            assert!(
                is_own(errno, &address("127.0.0.1:9")) && is_own(errno, &socket),
                "{errno}"
            );
        }
        assert!(
            is_own(Errno::EADDRNOTAVAIL, &address("127.0.0.1:9")),
            "all its ports are taken"
        );
        // An address of a link, without the link: there is no way to it, whatever ports are free.
        assert!(!is_own(Errno::EADDRNOTAVAIL, &address("[fe80::1]:9")));
        for errno in [
            Errno::ECONNREFUSED,
            Errno::ENETUNREACH,
            Errno::ENOENT,
            Errno::EACCES,
        ] {
            assert!(
                !is_own(errno, &address("127.0.0.1:9")) && !is_own(errno, &socket),
                "{errno}"
            );
        }
    }
}
