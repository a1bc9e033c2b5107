//! Pooled connections for everything off the request path: a small pool for each server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};

use crate::session::StoreError;
use crate::store::redis::Server;
use crate::store::url::{NodeAddress, ServerAddress};

/// The longest that a connection may take to come out of a pool.
const PATIENCE: Duration = Duration::from_secs(1);
/// Those who ask the same server at once share these.
const CONNECTIONS: usize = 2;

/// The pools, by server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pools(Arc<Mutex<HashMap<ServerAddress, Pool>>>);

impl Pools {
    /// A connection to a server.
    pub(super) async fn connection(&self, server: &Server) -> Result<Connection, StoreError> {
        match self.pool(server)?.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Backend(error)) => Err(server.unconnected(&error)),
            Err(PoolError::Timeout(_)) => Err(server.silent("no connection in time")),
            Err(error) => Err(server.trouble(&error.to_string())),
        }
    }

    /// Drops the pools of servers that are not among these.
    pub(super) fn keep(&self, servers: &[NodeAddress]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| servers.iter().any(|server| address == server));
    }

    fn pool(&self, server: &Server) -> Result<Pool, StoreError> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&server.address) {
            return Ok(pool.clone());
        }
        let manager = Manager::new_with_config(server.connection_info(), server.limits()).map_err(|error| server.error(&error))?;
        let limit = Some(PATIENCE);
        let pool = Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1).wait_timeout(limit).create_timeout(limit).recycle_timeout(limit);
        let pool = pool.build().map_err(|error| server.trouble(&error.to_string()))?;
        pools.insert(server.address.clone(), pool.clone());
        Ok(pool)
    }
}
