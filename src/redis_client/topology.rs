//! Sends each request to the server that has its key, whatever the topology. Every call answers
//! within a bound, and what failed is found again by itself.

use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, RedisError, Value, from_redis_value};

use super::cluster::Cluster;
use super::connection::{Connections, Connector};
use super::error::ClientError;
use super::failure::Failure;
use super::request::Request;
use super::sentinel::Sentinels;
use super::server::{Deployment, Server, Timeouts};
use crate::metrics::Metrics;

/// The connections of one worker, or of the process.
pub(crate) enum Topology {
    /// A server that is always the same.
    One(Box<Connector>),
    Sentinel(Box<Sentinels>),
    Cluster(Box<Cluster>),
}

impl Topology {
    /// Opens no connection yet.
    pub(crate) fn new(
        deployment: &Deployment,
        metrics: &Arc<Metrics>,
        connections: Connections,
    ) -> Self {
        match deployment {
            Deployment::One(server) => Self::One(Box::new(Connector::new(
                server.clone(),
                metrics.clone(),
                connections,
            ))),
            Deployment::Sentinel {
                master,
                sentinels,
                data,
            } => Self::Sentinel(Box::new(Sentinels::new(
                master,
                sentinels,
                data,
                metrics,
                connections,
            ))),
            Deployment::Cluster { seeds, data } => {
                Self::Cluster(Box::new(Cluster::new(seeds, data, metrics, connections)))
            }
        }
    }

    /// How long an answer may take.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.waits().answer
    }

    /// The longest that several calls in a row may take that belong to one operation.
    pub(crate) fn operation_timeout(&self) -> Duration {
        let Timeouts { connect, answer } = self.waits();
        connect + 2 * answer
    }

    fn waits(&self) -> Timeouts {
        match self {
            Self::One(node) => node.server.timeouts,
            Self::Sentinel(sentinels) => sentinels.data.timeouts,
            Self::Cluster(cluster) => cluster.data.timeouts,
        }
    }

    /// Sends a request to the server that has its key, and reads the answer.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        request: &Request<'_>,
    ) -> Result<T, ClientError> {
        let value = match self {
            Self::One(node) => node
                .send(request, false)
                .await
                .map_err(|failure| node.error(&failure)),
            Self::Sentinel(sentinels) => Box::pin(sentinels.call(request)).await,
            Self::Cluster(cluster) => Box::pin(cluster.call(request)).await,
        };
        self.read(value?)
    }

    /// Sends a request without a key to every server that has keys of its own.
    pub(crate) async fn call_all<T: FromRedisValue>(
        &self,
        request: &Request<'_>,
    ) -> Result<Vec<T>, ClientError> {
        match self {
            Self::One(_) | Self::Sentinel(_) => Ok(vec![self.call(request).await?]),
            Self::Cluster(cluster) => cluster
                .call_all(request)
                .await?
                .into_iter()
                .map(|value| self.read(value))
                .collect(),
        }
    }

    /// The server that has a key at present.
    pub(crate) async fn server_of(&self, key: &[u8]) -> Result<Server, ClientError> {
        match self {
            Self::One(node) => Ok(node.server.clone()),
            Self::Sentinel(sentinels) => sentinels.master().await,
            Self::Cluster(cluster) => cluster.owner_of(key).await,
        }
    }

    fn read<T: FromRedisValue>(&self, value: Value) -> Result<T, ClientError> {
        from_redis_value(value).map_err(|error| {
            let error = RedisError::from(error);
            let ClientError { reason, .. } = match self {
                Self::One(node) => node.error(&Failure::Request(error)),
                Self::Sentinel(_) | Self::Cluster(_) => ClientError::new(format!("redis: {error}")),
            };
            ClientError {
                reason,
                answered: true,
            }
        })
    }
}
