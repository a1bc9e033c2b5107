//! Whether the store answers: for readiness, off the request path. Its connections are a small pool of their own.

use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolError, Runtime};
use redis::cmd;

use crate::clock::monotonic_now;
use crate::session::StoreError;
use crate::store::redis::{Server, reason};
use crate::store::settings::BadStoreSettings;

/// The longest that a probe takes.
const PATIENCE: Duration = Duration::from_secs(1);
/// Probes of several listeners at once share these.
const CONNECTIONS: usize = 2;

/// Asks the store whether it is well. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreProbe(Target);

#[derive(Debug, Clone)]
enum Target {
    Memory,
    Redis { pool: Pool, server: String },
}

impl StoreProbe {
    pub(super) const fn memory() -> Self {
        Self(Target::Memory)
    }

    pub(super) fn redis(server: &Server) -> Result<Self, BadStoreSettings> {
        let manager = Manager::new_with_config(server.connection_info(), server.limits()).map_err(|error| BadStoreSettings::new(format!("store: {error}")))?;
        let limit = Some(PATIENCE);
        let pool = Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1).wait_timeout(limit).create_timeout(limit).recycle_timeout(limit);
        let pool = pool.build().map_err(|error| BadStoreSettings::new(format!("store: {error}")))?;
        Ok(Self(Target::Redis { pool, server: server.name.clone() }))
    }

    /// How long the store took to say that it is there and takes writes; at most a second. A store in this process
    /// always is.
    pub async fn check(&self) -> Result<Duration, StoreError> {
        let Target::Redis { pool, server } = &self.0 else { return Ok(Duration::ZERO) };
        let started = monotonic_now();
        match tokio::time::timeout(PATIENCE, ask(pool, server)).await {
            Ok(outcome) => outcome.map(|()| started.elapsed()),
            Err(_) => Err(StoreError::new(format!("redis {server}: no answer in time"))),
        }
    }
}

async fn ask(pool: &Pool, server: &str) -> Result<(), StoreError> {
    let failed = |error: &redis::RedisError| StoreError::new(reason(server, error));
    let mut connection = match pool.get().await {
        Ok(connection) => connection,
        Err(PoolError::Backend(error)) => return Err(failed(&error)),
        Err(error) => return Err(StoreError::new(format!("redis {server}: {error}"))),
    };
    cmd("PING").exec_async(&mut connection).await.map_err(|error| failed(&error))?;
    // A replica answers PING like a master. Where INFO is not allowed, PING has to do.
    match cmd("INFO").arg("replication").query_async::<String>(&mut connection).await {
        Ok(replication) if replication.lines().any(|line| line == "role:slave") => {
            Err(StoreError::new(format!("redis {server}: it is a replica and takes no writes; the URL must name the master")))
        }
        _ => Ok(()),
    }
}
