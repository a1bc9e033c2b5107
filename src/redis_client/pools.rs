//! Pooled connections for everything off the request path: a small pool for each server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolError, Runtime};

use super::address::{NodeAddress, ServerAddress};
use super::error::ClientError;
use super::opening::{NO_PASSWORD, without_password};
use super::server::Server;

/// The longest that a connection may take to come out of a pool.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Those who ask the same server at once share these.
const CONNECTIONS: usize = 2;

pub(crate) type PooledConnection = deadpool_redis::Connection;

/// The pools, by server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pools {
    pools: Arc<Mutex<HashMap<ServerAddress, Pool>>>,
    /// Whether the log knows of a password that is not needed.
    warned: Arc<AtomicBool>,
}

impl Pools {
    /// A connection to a server.
    pub(crate) async fn connection(
        &self,
        server: &Server,
    ) -> Result<PooledConnection, ClientError> {
        match self.pool(server)?.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Backend(error)) => match without_password(server, &error).await {
                Some(open) => self.opened(&open).await,
                None => Err(server.unconnected(&error)),
            },
            Err(error) => Err(pool_error(server, &error)),
        }
    }

    /// A connection without a login, for as long as it is used: whoever asks next finds out anew
    /// whether the server has a password.
    async fn opened(&self, server: &Server) -> Result<PooledConnection, ClientError> {
        if !self.warned.swap(true, Ordering::Relaxed) {
            let (seen, advice) = NO_PASSWORD;
            log::warn!("redis {}: {seen} ({advice})", server.address);
        }
        new_pool(server)?
            .get()
            .await
            .map_err(|error| pool_error(server, &error))
    }

    /// Drops the pools of servers that are not among these.
    pub(crate) fn keep(&self, servers: &[NodeAddress]) {
        self.pools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|address, _| servers.iter().any(|server| address == server));
    }

    fn pool(&self, server: &Server) -> Result<Pool, ClientError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&server.address) {
            return Ok(pool.clone());
        }
        let pool = new_pool(server)?;
        pools.insert(server.address.clone(), pool.clone());
        Ok(pool)
    }
}

fn new_pool(server: &Server) -> Result<Pool, ClientError> {
    let manager = Manager::new_with_config(server.connection_info(), server.limits())
        .map_err(|error| server.error(&error))?;
    let limit = Some(TIMEOUT);
    let pool = Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(limit)
        .create_timeout(limit)
        .recycle_timeout(limit);
    pool.build()
        .map_err(|error| server.trouble(&error.to_string()))
}

fn pool_error(server: &Server, error: &PoolError) -> ClientError {
    match error {
        PoolError::Backend(error) => server.unconnected(error),
        PoolError::Timeout(_) => server.silent("no connection in time"),
        error => server.trouble(&error.to_string()),
    }
}
