//! Scripts whose writes replicas are waited for. Redis reads nothing from a connection on which it
//! waits. So a node has two connections for them that take turns: while one waits, the other runs
//! whatever comes, and all who come meanwhile share its next wait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, cmd};
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, RwLock};

use super::{Connections, Connector, LiveConnection};
use crate::clock::{millis, monotonic_now};
use crate::redis_client::error::ClientError;
use crate::redis_client::failure::{Failure, spoils_connection};
use crate::redis_client::opening::bounded;
use crate::redis_client::request::Request;
use crate::redis_client::write_place::{WritePlace, WrittenOn};

/// The two connections to a node.
pub(super) struct ReplicatedWrites {
    lanes: [Connector; 2],
    state: Mutex<LaneState>,
    /// Held by the one wait that is under way.
    waiting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct LaneState {
    /// The lane on which scripts run now.
    lane: usize,
    /// What they belong to.
    open: Option<Arc<WriteBatch>>,
}

/// Scripts on one connection that share a wait.
struct WriteBatch {
    lane: usize,
    live: LiveConnection,
    /// Held by each script until it is answered: the wait counts what was written before it.
    running: Arc<RwLock<()>>,
    replicas: OnceCell<Option<u32>>,
}

/// A script that has run.
struct BatchedWrite {
    writes: Arc<ReplicatedWrites>,
    batch: Arc<WriteBatch>,
}

impl Connector {
    /// Runs a script, and notes where.
    pub(super) async fn send_replicated(
        &self,
        request: &Request<'_>,
        place: &WritePlace,
        asking: bool,
    ) -> Result<Value, Failure> {
        let writes = self.replicated.get_or_init(|| {
            let lane = || {
                let (server, metrics) = (self.server.clone(), self.metrics.clone());
                Self::new(server, metrics, self.connections.for_writes())
            };
            Arc::new(ReplicatedWrites {
                lanes: [lane(), lane()],
                state: Mutex::default(),
                waiting: tokio::sync::Mutex::new(()),
            })
        });
        let (value, batch) = writes.run(request, place, asking).await?;
        self.state.lock().answered = Some(monotonic_now());
        place.note(BatchedWrite {
            writes: writes.clone(),
            batch,
        });
        Ok(value)
    }
}

impl Connections {
    /// Reads, which are observed, go elsewhere.
    fn for_writes(&self) -> Self {
        match self {
            Self::Worker | Self::Observed(_) => Self::Worker,
            Self::Pooled(pools) => Self::Pooled(pools.clone()),
        }
    }
}

impl Connector {
    /// Tries a connection of the process as its pool would: operators may use it so seldom that a
    /// firewall forgets it.
    async fn still_answers(&self, live: &LiveConnection) -> bool {
        if !matches!(self.connections, Connections::Pooled(_)) {
            return true;
        }
        let mut connection = live.connection.clone();
        let answer = async { cmd("PING").query_async::<()>(&mut connection).await };
        let answer = bounded(self.server.timeouts.connect, answer).await;
        let is_spoilt = answer.is_err_and(|error| spoils_connection(&error));
        if is_spoilt {
            self.discard(live.number);
        }
        !is_spoilt
    }
}

impl ReplicatedWrites {
    /// As [`Connector::send`], which says why it is sent twice.
    async fn run(
        &self,
        request: &Request<'_>,
        place: &WritePlace,
        asking: bool,
    ) -> Result<(Value, Arc<WriteBatch>), Failure> {
        let (result, fresh) = self.attempt(request, asking).await?;
        if result.is_err() {
            // Whoever repeats it may be another: a cluster, or sentinels that know a new master.
            place.note_failure();
        }
        let result = match result {
            Err(error) if error.is_connection_dropped() && !fresh => {
                self.attempt(request, asking).await?.0
            }
            result => result,
        };
        result.map_err(Failure::Request)
    }

    /// The outcome, and whether the connection was made for it.
    async fn attempt(
        &self,
        request: &Request<'_>,
        asking: bool,
    ) -> Result<(RedisResult<(Value, Arc<WriteBatch>)>, bool), Failure> {
        let (batch, running, fresh) = self.join().await.map_err(Failure::NoConnection)?;
        let lane = &self.lanes[batch.lane];
        let result = lane.attempt(batch.live.clone(), request, asking).await;
        if result.as_ref().is_err_and(spoils_connection) {
            // Those whose scripts have run wait on it all the same.
            self.state
                .lock()
                .open
                .take_if(|open| Arc::ptr_eq(open, &batch));
        }
        drop(running);
        Ok((result.map(|value| (value, batch)), fresh))
    }

    /// The batch that is open, or a new one.
    async fn join(&self) -> Result<(Arc<WriteBatch>, OwnedRwLockReadGuard<()>, bool), ClientError> {
        let mut made: Option<(usize, LiveConnection)> = None;
        let mut fresh = false;
        loop {
            let lane = {
                let mut state = self.state.lock();
                if let Some((lane, live)) = made.take()
                    && lane == state.lane
                {
                    state
                        .open
                        .get_or_insert_with(|| WriteBatch::new(lane, live));
                }
                // The wait closes the batch under the same lock, so an open one refuses nobody.
                if let Some(batch) = &state.open
                    && let Ok(running) = batch.running.clone().try_read_owned()
                {
                    return Ok((batch.clone(), running, fresh));
                }
                state.lane
            };
            let (live, is_new) = self.lanes[lane].live_or_connect().await?;
            if !is_new && !self.lanes[lane].still_answers(&live).await {
                continue;
            }
            fresh = is_new;
            made = Some((lane, live));
        }
    }

    /// Waits on the batch's connection. From now on scripts run on the other one, whose wait is over.
    async fn wait(&self, batch: &WriteBatch, wanted: u32, within: Duration) -> Option<u32> {
        let _turn = self.waiting.lock().await;
        {
            let mut state = self.state.lock();
            if state
                .open
                .take_if(|open| std::ptr::eq(&**open, batch))
                .is_some()
            {
                state.lane = 1 - batch.lane;
            }
        }
        let mut blocked = Blocked {
            lane: &self.lanes[batch.lane],
            number: batch.live.number,
            is_over: false,
        };
        let _answered = batch.running.write().await;
        let replicas = wait(&mut batch.live.connection.clone(), wanted, within).await;
        blocked.is_over = !replicas.as_ref().is_err_and(spoils_connection);
        replicas.ok()
    }
}

impl WriteBatch {
    fn new(lane: usize, live: LiveConnection) -> Arc<Self> {
        Arc::new(Self {
            lane,
            live,
            running: Arc::default(),
            replicas: OnceCell::new(),
        })
    }
}

#[async_trait]
impl WrittenOn for BatchedWrite {
    async fn wait_for_replicas(self: Box<Self>, wanted: u32, within: Duration) -> Option<u32> {
        let Self { writes, batch } = *self;
        let wait = || writes.wait(&batch, wanted, within);
        *batch.replicas.get_or_init(wait).await
    }
}

/// A connection that Redis may still be waiting on. If nobody listens to the answer any more, no
/// script is to queue up behind it.
struct Blocked<'a> {
    lane: &'a Connector,
    number: u64,
    is_over: bool,
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.lane.discard(self.number);
        }
    }
}

async fn wait(
    connection: &mut MultiplexedConnection,
    wanted: u32,
    within: Duration,
) -> RedisResult<u32> {
    cmd("WAIT")
        .arg(wanted)
        .arg(millis(within).max(1))
        .query_async(connection)
        .await
}
