//! Which Redis servers, with which credentials and limits.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, TlsCertificates,
};

use super::address::{NodeAddress, RedisLogin, RedisServers, RedisUrl, ServerAddress};
use super::error::ClientError;
use super::failure::{About, of_silence, reason, said_by_server, socket_hint};
use crate::secret::Secret;

/// Commands that may wait for the connection's driver before callers wait for room.
const QUEUE: usize = 512;

/// Where the data is, and how the servers that hold it are found.
#[derive(Debug, Clone)]
pub(crate) enum Deployment {
    /// Always on the same server.
    One(Server),
    /// On whichever server the sentinels call the master.
    Sentinel {
        /// The name that they know it by.
        master: String,
        /// Whom to ask.
        sentinels: Vec<Server>,
        /// How to connect to what they answer.
        data: Servers,
    },
    /// Spread over a cluster.
    Cluster {
        /// Whom to ask first.
        seeds: Vec<NodeAddress>,
        /// How to connect to any node.
        data: Servers,
    },
}

impl Deployment {
    /// Where these settings say. Nobody is asked.
    pub(crate) fn new(url: &RedisUrl, settings: &ConnectSettings<'_>) -> Result<Self, RedisError> {
        let with = |login: &RedisLogin, db: u32, names: LoginKeys| {
            Servers::new(login, db, names, url.tls, settings)
        };
        Ok(match &url.servers {
            RedisServers::One { at, db } => {
                Self::One(with(&url.login, *db, STORE_LOGIN)?.server(at))
            }
            RedisServers::Sentinel {
                sentinels,
                master,
                db,
            } => {
                let asked = with(settings.sentinel_login, 0, SENTINEL_LOGIN)?;
                Self::Sentinel {
                    master: master.clone(),
                    sentinels: sentinels.iter().map(|at| asked.at(at)).collect(),
                    data: with(&url.login, *db, STORE_LOGIN)?,
                }
            }
            RedisServers::Cluster { nodes } => Self::Cluster {
                seeds: nodes.clone(),
                data: with(&url.login, 0, STORE_LOGIN)?,
            },
        })
    }
}

/// How to connect to the servers of a URL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectSettings<'a> {
    /// The login at the sentinels, where the URL names some.
    pub(crate) sentinel_login: &'a RedisLogin,
    pub(crate) tls: &'a RedisTls,
    pub(crate) timeouts: Timeouts,
}

/// Certificates for `rediss://`, in PEM. Nothing set: the system's authorities, and no certificate
/// of our own.
#[derive(Debug, Clone, Default)]
pub struct RedisTls {
    /// The authorities that may have signed the server's certificate, instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// The gateway's certificate, for servers that ask for one.
    pub cert: Option<Vec<u8>>,
    /// The certificate's key.
    pub key: Option<Secret<Vec<u8>>>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Opening a connection.
    pub(crate) connect: Duration,
    /// One answer.
    pub(crate) answer: Duration,
}

impl Timeouts {
    /// A call, with all redirections, searches and repetitions.
    pub(crate) fn call(&self) -> Duration {
        self.connect + self.answer + self.answer / 2
    }
}

/// The configuration keys of a login, for the hint when it is refused: of a user's, and of a
/// password alone.
type LoginKeys = [&'static str; 2];

const STORE_LOGIN: LoginKeys = ["store.username and store.password", "store.password"];
const SENTINEL_LOGIN: LoginKeys = [
    "store.sentinel_username and store.sentinel_password",
    "store.sentinel_password",
];

/// Servers with the same login, certificates and limits, wherever they are.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    /// A connection's parameters but for the address.
    info: ConnectionInfo,
    login_keys: &'static str,
    /// Whether `store.tls.ca` is set.
    has_ca: bool,
    pub(crate) timeouts: Timeouts,
}

impl Servers {
    fn new(
        who: &RedisLogin,
        db: u32,
        [keys, password_key]: LoginKeys,
        tls: bool,
        settings: &ConnectSettings<'_>,
    ) -> Result<Self, RedisError> {
        let (host, port) = ("127.0.0.1".to_owned(), 1);
        let at = if tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        // Small commands must not wait for the acknowledgement of the one before.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = at
            .into_connection_info()?
            .set_redis_settings(login(who, db))
            .set_tcp_settings(tcp);
        let client = if tls {
            Client::build_with_tls(info, certificates(settings.tls)?)?
        } else {
            Client::open(info)?
        };
        let info = client.get_connection_info().clone();
        let login_keys = if who.username.is_none() && who.password.is_some() {
            password_key
        } else {
            keys
        };
        Ok(Self {
            info,
            login_keys,
            has_ca: settings.tls.ca.is_some(),
            timeouts: settings.timeouts,
        })
    }

    pub(crate) fn at(&self, address: &NodeAddress) -> Server {
        self.server(&ServerAddress::Node(address.clone()))
    }

    fn server(&self, address: &ServerAddress) -> Server {
        let place = match (address, self.info.addr()) {
            (ServerAddress::Socket(path), _) => ConnectionAddr::Unix(path.clone()),
            (
                ServerAddress::Node(node),
                ConnectionAddr::TcpTls {
                    insecure,
                    tls_params,
                    ..
                },
            ) => ConnectionAddr::TcpTls {
                host: node.host.clone(),
                port: node.port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            (ServerAddress::Node(node), _) => ConnectionAddr::Tcp(node.host.clone(), node.port),
        };
        let Self {
            login_keys,
            has_ca,
            timeouts,
            ..
        } = *self;
        Server {
            info: self.info.clone().set_addr(place),
            address: address.clone(),
            login_keys,
            has_ca,
            timeouts,
        }
    }
}

/// A Redis server to connect to.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    info: ConnectionInfo,
    /// Host and port, or its socket.
    pub(crate) address: ServerAddress,
    login_keys: &'static str,
    has_ca: bool,
    pub(crate) timeouts: Timeouts,
}

impl Server {
    /// Whether connections are encrypted; then the server's certificate is verified too.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// The configuration keys of its login.
    pub(crate) const fn login_keys(&self) -> &'static str {
        self.login_keys
    }

    /// Which of its databases is used.
    pub(crate) fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// Limits for a connection: everything that waits on the server is bounded.
    pub(crate) fn limits(&self) -> AsyncConnectionConfig {
        let Timeouts { connect, answer } = self.timeouts;
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(Some(answer))
            .set_pipeline_buffer_size(QUEUE)
    }

    /// The connection's parameters, certificates included.
    pub(crate) fn connection_info(&self) -> ConnectionInfo {
        self.info.clone()
    }

    /// The same server without its login, which is a password alone; `None`: it is more than that,
    /// or there is none.
    pub(crate) fn without_password(&self) -> Option<Self> {
        let login = self.info.redis_settings();
        if login.password().is_none() || login.username().is_some_and(|name| name != "default") {
            return None;
        }
        let open = RedisConnectionInfo::default()
            .set_db(login.db())
            .set_skip_set_lib_name();
        Some(Self {
            info: self.info.clone().set_redis_settings(open),
            ..self.clone()
        })
    }

    /// The same for a connection to which the server pushes.
    pub(crate) fn resp3_connection_info(&self) -> ConnectionInfo {
        let settings = self
            .info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        self.info.clone().set_redis_settings(settings)
    }

    /// An error in the words of an operator, with this server's name.
    pub(crate) fn error(&self, error: &RedisError) -> ClientError {
        if let Some(hint) = socket_hint(error).filter(|_| self.address.is_socket()) {
            return self.trouble(&format!("{error} ({hint})"));
        }
        let server = &self.address.to_string();
        let (login_keys, tls) = (self.login_keys, self.is_encrypted());
        let about = About {
            server,
            login_keys,
            tls,
            has_ca: self.has_ca,
            database: self.database(),
        };
        ClientError {
            reason: reason(&about, error),
            answered: said_by_server(error).is_some(),
        }
    }

    /// The same for an error of a connection on which nothing has been answered yet.
    pub(crate) fn unconnected(&self, error: &RedisError) -> ClientError {
        let dropped = error.is_connection_dropped() && !error.is_connection_refusal();
        if dropped && !self.is_encrypted() && !self.address.is_socket() {
            return self.trouble("it closes the connection before it has answered (if it speaks TLS there, write rediss:// in store.url)");
        }
        self.error(error)
    }

    /// Waits for an answer of the server for so long.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(self.silent("no answer in time")))
    }

    /// It has said nothing.
    pub(crate) fn silent(&self, what: &str) -> ClientError {
        match of_silence(self.is_encrypted()) {
            "" => self.trouble(what),
            hint => self.trouble(&format!("{what} ({hint})")),
        }
    }

    /// The same for something that Redis did not say.
    pub(crate) fn trouble(&self, what: &str) -> ClientError {
        ClientError::new(format!("redis {}: {what}", self.address))
    }
}

fn login(who: &RedisLogin, db: u32) -> RedisConnectionInfo {
    // CLIENT SETINFO came with Redis 7.2; an older one could not name it in an ACL.
    let mut info = RedisConnectionInfo::default()
        .set_db(db.into())
        .set_skip_set_lib_name();
    if let Some(username) = &who.username {
        info = info.set_username(username);
    }
    if let Some(password) = &who.password {
        info = info.set_password(password.expose());
    }
    info
}

fn certificates(tls: &RedisTls) -> Result<TlsCertificates, RedisError> {
    let client_tls = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: cert.clone(),
            client_key: key.expose().clone(),
        }),
        (None, None) => None,
        _ => {
            return Err((
                redis::ErrorKind::InvalidClientConfig,
                "`tls.cert` and `tls.key` go together; one of them is missing",
            )
                .into());
        }
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert: tls.ca.clone(),
    })
}
