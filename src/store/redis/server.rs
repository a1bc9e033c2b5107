//! Which Redis, with which credentials and limits.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates};

use crate::store::settings::{BadStoreSettings, RedisAddress, StoreSettings, StoreTls};

/// Commands that may wait for the connection's driver before callers wait for room.
const QUEUE: usize = 512;

/// A Redis server to connect to. Making one asks nobody.
#[derive(Debug, Clone)]
pub(in crate::store) struct Server {
    pub(in crate::store) client: Client,
    /// Host and port, for messages.
    pub(in crate::store) name: String,
    pub(in crate::store) connect_timeout: Duration,
    pub(in crate::store) timeout: Duration,
}

impl Server {
    pub(in crate::store) fn new(address: &RedisAddress, settings: &StoreSettings) -> Result<Self, BadStoreSettings> {
        let client = client(address, &settings.tls).map_err(|error| BadStoreSettings::new(format!("store: {error}")))?;
        Ok(Self { client, name: address.authority(), connect_timeout: settings.connect_timeout, timeout: settings.timeout })
    }

    /// Limits for a connection: everything that waits on the server is bounded.
    pub(in crate::store) fn limits(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new().set_connection_timeout(Some(self.connect_timeout)).set_response_timeout(Some(self.timeout)).set_pipeline_buffer_size(QUEUE)
    }

    /// The connection's parameters, certificates included.
    pub(in crate::store) fn connection_info(&self) -> ConnectionInfo {
        self.client.get_connection_info().clone()
    }
}

fn client(address: &RedisAddress, tls: &StoreTls) -> Result<Client, redis::RedisError> {
    let (host, port) = (address.host.clone(), address.port);
    let at = if address.tls { ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None } } else { ConnectionAddr::Tcp(host, port) };
    // Small commands must not wait for the acknowledgement of the one before.
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = at.into_connection_info()?.set_redis_settings(login(address)).set_tcp_settings(tcp);
    if address.tls { Client::build_with_tls(info, certificates(tls)?) } else { Client::open(info) }
}

fn login(address: &RedisAddress) -> RedisConnectionInfo {
    // CLIENT SETINFO came with Redis 7.2; an older one could not name it in an ACL.
    let mut info = RedisConnectionInfo::default().set_db(address.db.into()).set_skip_set_lib_name();
    if let Some(username) = &address.username {
        info = info.set_username(username);
    }
    if let Some(password) = &address.password {
        info = info.set_password(password.expose());
    }
    info
}

fn certificates(tls: &StoreTls) -> Result<TlsCertificates, redis::RedisError> {
    let client_tls = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: cert.clone(), client_key: key.expose().clone() }),
        (None, None) => None,
        _ => return Err((redis::ErrorKind::InvalidClientConfig, "`tls.cert` and `tls.key` go together; one of them is missing").into()),
    };
    Ok(TlsCertificates { client_tls, root_cert: tls.ca.clone() })
}
