//! The connections of the whole process: a small pool for each server, for all that is on no
//! client's request path.
//!
//! They are made and tried in the process's main runtime, which outlives the workers: a connection
//! ends with the runtime that has made it. Requests go out over them from any thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_redis::{Hook, Manager, Pool, PoolError, Runtime};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::address::{NodeAddress, ServerAddress};
use super::error::ClientError;
use super::opening::{NO_PASSWORD, without_password};
use super::server::Server;
use crate::metrics::Metrics;

/// Connections to one server at most.
const CONNECTIONS: usize = 8;

pub(crate) type PooledConnection = deadpool_redis::Connection;

/// The pools, by server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pools(Arc<Shared>);

struct Shared {
    pools: Mutex<HashMap<ServerAddress, Pool>>,
    /// `None`: the runtime of the caller.
    runtime: Option<Handle>,
    metrics: Arc<Metrics>,
    /// Whether the log knows of a password that is not needed.
    warned: AtomicBool,
}

impl Pools {
    /// Opens nothing yet. The runtime of this call is the one that the connections live in.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Shared {
            pools: Mutex::default(),
            runtime: Handle::try_current().ok(),
            metrics,
            warned: AtomicBool::default(),
        }))
    }

    /// A connection to a server, which has just answered on it. It takes no longer than a
    /// connection may take.
    pub(crate) async fn connection(
        &self,
        server: &Server,
    ) -> Result<PooledConnection, ClientError> {
        let (pools, wanted) = (self.clone(), server.clone());
        let checkout = self.spawn(async move { pools.checkout(&wanted).await });
        match tokio::time::timeout(server.timeouts.connect, checkout).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(server.trouble("no connection: the process is ending")),
            Err(_) => Err(server.silent("no connection in time")),
        }
    }

    /// Runs a task in the runtime of the connections.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.0.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }

    /// Drops the pools of servers that are not among these.
    pub(crate) fn keep(&self, servers: &[NodeAddress]) {
        self.0
            .pools
            .lock()
            .retain(|address, _| servers.iter().any(|server| address == server));
    }

    async fn checkout(&self, server: &Server) -> Result<PooledConnection, ClientError> {
        match self.pool(server)?.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Backend(error)) => match without_password(server, &error).await {
                Some(open) => self.checkout_without_login(&open).await,
                None => Err(server.unconnected(&error)),
            },
            Err(error) => Err(pool_error(server, &error)),
        }
    }

    /// A connection without a login, for one use: the next call finds out anew whether the server has
    /// a password.
    async fn checkout_without_login(
        &self,
        server: &Server,
    ) -> Result<PooledConnection, ClientError> {
        if !self.0.warned.swap(true, Ordering::Relaxed) {
            let (seen, advice) = NO_PASSWORD;
            log::warn!("redis {}: {seen} ({advice})", server.address);
        }
        self.new_pool(server)?
            .get()
            .await
            .map_err(|error| pool_error(server, &error))
    }

    fn pool(&self, server: &Server) -> Result<Pool, ClientError> {
        let mut pools = self.0.pools.lock();
        if let Some(pool) = pools.get(&server.address) {
            return Ok(pool.clone());
        }
        let pool = self.new_pool(server)?;
        pools.insert(server.address.clone(), pool.clone());
        Ok(pool)
    }

    fn new_pool(&self, server: &Server) -> Result<Pool, ClientError> {
        let manager = Manager::new_with_config(server.connection_info(), server.limits())
            .map_err(|error| server.error(&error))?;
        let (metrics, node) = (self.0.metrics.clone(), server.address.to_string());
        let limit = Some(server.timeouts.connect);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(limit)
            .create_timeout(limit)
            .recycle_timeout(limit)
            .post_create(Hook::sync_fn(move |_, _| {
                metrics.store.connection(&node);
                Ok(())
            }));
        pool.build()
            .map_err(|error| server.trouble(&error.to_string()))
    }
}

fn pool_error(server: &Server, error: &PoolError) -> ClientError {
    match error {
        PoolError::Backend(error) => server.unconnected(error),
        PoolError::Timeout(_) => server.silent("no connection in time"),
        error => server.trouble(&error.to_string()),
    }
}
