//! Whether the store answers: for readiness, off the request path, over the connections of the
//! process.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::{Value, cmd};

use crate::clock::monotonic_now;
use crate::redis_client::slots::SlotMap;
use crate::redis_client::{
    ClientError, Deployment, NodeAddress, PooledConnection, Pools, Server, Servers, master_of,
};
use crate::session::StoreError;
use crate::store::settings::KeyPrefix;

/// The longest that a probe takes.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// What of it a sentinel or node may take that names the masters, so that there is time for the
/// next.
const STEP_TIMEOUT: Duration = Duration::from_millis(300);

/// Asks the store whether it is well. Cheap to clone.
#[derive(Clone)]
pub struct StoreProbe(Option<Arc<ProbedStore>>);

struct ProbedStore {
    deployment: Deployment,
    pools: Pools,
    /// What the keys of sessions begin with.
    prefix: KeyPrefix,
    /// The masters of a cluster, as last known.
    masters: Mutex<Vec<NodeAddress>>,
}

impl StoreProbe {
    pub(super) const fn memory() -> Self {
        Self(None)
    }

    pub(super) fn redis(deployment: &Deployment, pools: Pools, prefix: KeyPrefix) -> Self {
        Self(Some(Arc::new(ProbedStore {
            deployment: deployment.clone(),
            pools,
            prefix,
            masters: Mutex::default(),
        })))
    }

    /// How long the store took to say that it is there and takes writes; at most a second. A store
    /// in this process always is. The error names every server that is not well.
    pub async fn check(&self) -> Result<Duration, StoreError> {
        let Some(target) = &self.0 else {
            return Ok(Duration::ZERO);
        };
        let started = monotonic_now();
        match tokio::time::timeout(PROBE_TIMEOUT, target.ask()).await {
            Ok(outcome) => Ok(outcome.map(|()| started.elapsed())?),
            Err(_) => Err(target.silent().into()),
        }
    }
}

impl ProbedStore {
    async fn ask(&self) -> Result<(), ClientError> {
        match &self.deployment {
            Deployment::One(server) => {
                self.ask_server(server, "the URL must name the master")
                    .await
            }
            Deployment::Sentinel {
                master,
                sentinels,
                data,
            } => {
                let address = Self::master(master, sentinels).await?;
                self.pools.keep(std::slice::from_ref(&address));
                self.ask_server(&data.at(&address), "the failover is under way")
                    .await
            }
            Deployment::Cluster { seeds, data } => self.ask_cluster(seeds, data).await,
        }
    }

    fn silent(&self) -> ClientError {
        match &self.deployment {
            Deployment::One(server) => server.silent("no answer in time"),
            Deployment::Sentinel { master, .. } => ClientError::new(format!(
                "redis sentinel: the master {master:?} does not answer in time"
            )),
            Deployment::Cluster { .. } => ClientError::new("redis cluster: no answer in time"),
        }
    }

    /// A server answers and takes writes.
    async fn ask_server(&self, server: &Server, if_replica: &str) -> Result<(), ClientError> {
        let mut connection = self.pools.connection(server).await?;
        cmd("PING")
            .exec_async(&mut connection)
            .await
            .map_err(|error| server.unconnected(&error))?;
        self.may_read(&mut connection, server).await?;
        // A replica answers PING like a master. Where INFO is not allowed, PING has to do.
        match cmd("INFO").arg("replication").query_async::<String>(&mut connection).await {
            Ok(replication) if replication.lines().any(|line| line == "role:slave") => {
                Err(server.trouble(&format!("it is a replica and takes no writes; {if_replica}")))
            }
            // A sentinel has no such section.
            Ok(replication) if !replication.contains("role:") => match cmd("INFO").arg("server").query_async::<String>(&mut connection).await {
                Ok(about) if about.contains("redis_mode:sentinel") => {
                    Err(server.trouble("it is a Sentinel and holds no data (write redis+sentinel:// and the master's name in store.url)"))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// An ACL that lets us ask for PING and not for sessions is found here. Any other answer is as
    /// good as one: a node of a cluster knows none of most keys.
    async fn may_read(
        &self,
        connection: &mut PooledConnection,
        server: &Server,
    ) -> Result<(), ClientError> {
        let nobodys = format!("{}:s:{{readyz}}:nobody", self.prefix.as_str());
        match cmd("GET").arg(nobodys).exec_async(connection).await {
            Err(error) if error.code() == Some("NOPERM") => Err(server.error(&error)),
            _ => Ok(()),
        }
    }

    /// The first answer of a sentinel, in their order. They are not pooled: a pool sends UNWATCH,
    /// which sentinels do not know.
    async fn master(name: &str, sentinels: &[Server]) -> Result<NodeAddress, ClientError> {
        let mut silent = Vec::new();
        for sentinel in sentinels {
            match sentinel
                .within(STEP_TIMEOUT, master_of(sentinel, name))
                .await
            {
                Ok(address) => return Ok(address),
                Err(error) => silent.push(error),
            }
        }
        Err(joined(silent))
    }

    /// Every slot has a master, and every master answers.
    async fn ask_cluster(&self, seeds: &[NodeAddress], data: &Servers) -> Result<(), ClientError> {
        let map = self.map(seeds, data).await?;
        self.pools.keep(&[map.masters(), seeds].concat());
        let asked = map.masters().iter().map(|address| async {
            let server = data.at(address);
            let check = self.ask_server(&server, "the failover is under way");
            server.within(2 * STEP_TIMEOUT, check).await.err()
        });
        let mut wrong: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        if map.uncovered() > 0 {
            wrong.push(ClientError::new(format!(
                "redis cluster: {} slots have no master",
                map.uncovered()
            )));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(joined(wrong))
        }
    }

    /// The map as a node has it. All are asked, those of the last map too: the first nodes of a
    /// cluster may be long gone.
    async fn map(&self, seeds: &[NodeAddress], data: &Servers) -> Result<SlotMap, ClientError> {
        let mut addresses = seeds.to_vec();
        addresses.extend(
            self.masters
                .lock()
                .iter()
                .filter(|master| !seeds.contains(master))
                .cloned(),
        );
        let asked = addresses.iter().map(|address| async {
            let server = data.at(address);
            let answer = async {
                let mut connection = self.pools.connection(&server).await?;
                let answer: Value = cmd("CLUSTER")
                    .arg("SLOTS")
                    .query_async(&mut connection)
                    .await
                    .map_err(|error| server.error(&error))?;
                SlotMap::read(answer, &address.host).ok_or_else(|| {
                    server.trouble("it belongs to no cluster, or to one without slots")
                })
            };
            server.within(STEP_TIMEOUT, answer).await
        });
        let mut silent = Vec::new();
        let found = join_all(asked)
            .await
            .into_iter()
            .find_map(|outcome| outcome.map_err(|error| silent.push(error)).ok());
        let map = found.ok_or_else(|| joined(silent))?;
        *self.masters.lock() = map.masters().to_vec();
        Ok(map)
    }
}

fn joined(errors: Vec<ClientError>) -> ClientError {
    ClientError::new(
        errors
            .into_iter()
            .map(|error| error.reason)
            .collect::<Vec<_>>()
            .join("; "),
    )
}
