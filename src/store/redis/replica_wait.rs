//! Removals that wait for replicas: what has ended must not be undone by a failover. Pushed messages
//! that were acknowledged wait in the same way.

use std::sync::Arc;

use redis::FromRedisValue;

use crate::metrics::{Metrics, Outcome};
use crate::redis_client::{Invocation, Request, Topology, WritePlace};
use crate::session::StoreError;

/// How removals are sent.
pub(super) struct Revocations(Option<Waiting>);

struct Waiting {
    replicas: u32,
    metrics: Arc<Metrics>,
}

impl Revocations {
    pub(super) fn new(replicas: u32, metrics: &Arc<Metrics>) -> Self {
        Self((replicas > 0).then(|| Waiting {
            replicas,
            metrics: metrics.clone(),
        }))
    }

    pub(super) fn wait_for_replicas(&self) -> bool {
        self.0.is_some()
    }

    /// Runs a script and waits, if `is_done` says by its answer that it has written something. With
    /// too few replicas in time what it wrote stands nevertheless: only a failover in the same
    /// moment could undo it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connections: &Topology,
        script: &Invocation<'_>,
        is_done: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        let (answer, written) = self.start(connections, script).await?;
        if is_done(&answer) || written.was_repeated() {
            self.wait(connections, written).await;
        }
        Ok(answer)
    }

    /// The same for a caller that waits later.
    pub(super) async fn start<T: FromRedisValue>(
        &self,
        connections: &Topology,
        script: &Invocation<'_>,
    ) -> Result<(T, WritePlace), StoreError> {
        let place = WritePlace::default();
        let request = match &self.0 {
            None => Request::Script(script),
            Some(_) => Request::Replicated {
                script,
                place: &place,
            },
        };
        let answer = connections.call(&request).await?;
        Ok((answer, place))
    }

    pub(super) async fn wait(&self, connections: &Topology, written: WritePlace) {
        if let Some(waiting) = &self.0 {
            waiting.wait(connections, written).await;
        }
    }
}

impl Waiting {
    async fn wait(&self, connections: &Topology, place: WritePlace) {
        let longest = connections.answer_timeout();
        // Redis gives up before the connection does, so that it says how many replicas there were.
        let within = longest.mul_f64(0.8);
        // Another's wait may have to end first.
        let reached = place.wait_for_replicas(self.replicas, within);
        let reached = tokio::time::timeout(longest * 2, reached).await;
        self.count(reached.ok().flatten());
    }

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
