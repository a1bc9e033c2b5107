//! Removals that wait for replicas: what has ended must not be undone by a failover. Pushed messages
//! that were acknowledged wait in the same way.

use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, Value, from_redis_value};

use crate::metrics::{Metrics, Outcome};
use crate::redis_client::{Connections, Deployment, Invocation, Request, Topology};
use crate::session::StoreError;

/// How removals are sent.
pub(super) struct Revocations(Option<Waiting>);

/// A worker has connections of their own for them: while Redis waits for replicas, nothing else on
/// the same connection is answered.
struct Waiting {
    connections: Topology,
    replicas: u32,
    within: Duration,
    metrics: Arc<Metrics>,
}

impl Revocations {
    pub(super) fn new(
        deployment: &Deployment,
        replicas: u32,
        metrics: &Arc<Metrics>,
        connections: Connections,
    ) -> Self {
        Self((replicas > 0).then(|| {
            let connections = Topology::new(deployment, metrics, connections);
            // Redis gives up before the connection does, so that it says how many replicas there
            // were.
            let within = connections.answer_timeout().mul_f64(0.8);
            Waiting {
                connections,
                replicas,
                within,
                metrics: metrics.clone(),
            }
        }))
    }

    /// Runs the script of a removal, over `connections` if no replicas are waited for; `ended` says
    /// by its answer whether it has ended anything. With too few replicas in time the removal stands
    /// nevertheless, and the answer says so: only a failover in the same moment could undo it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connections: &Topology,
        script: &Invocation<'_>,
        ended: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        let Some(waiting) = &self.0 else {
            return Ok(connections.call(&Request::Script(script)).await?);
        };
        let request = Request::Replicated {
            script,
            replicas: waiting.replicas,
            within: waiting.within,
        };
        let (answer, reached): (Value, Option<u32>) = waiting.connections.call(&request).await?;
        let answer = from_redis_value(answer).map_err(|_| {
            StoreError::new("redis: the remove script returned an unexpected answer")
        })?;
        if ended(&answer) {
            waiting.count(reached);
        }
        Ok(answer)
    }
}

impl Waiting {
    fn count(&self, reached: Option<u32>) {
        let enough = reached.is_some_and(|reached| reached >= self.replicas);
        self.metrics
            .store
            .replica_waits
            .get_or_create(&Outcome {
                outcome: if enough { "replicated" } else { "short" },
            })
            .inc();
        if !enough {
            let had = reached.map_or_else(
                || "an unknown number".to_owned(),
                |reached| reached.to_string(),
            );
            log::warn!(
                "stored, but only {had} of {} replicas confirmed in time: a failover now could undo it",
                self.replicas
            );
        }
    }
}
