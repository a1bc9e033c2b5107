//! The session store of one worker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, cmd};
use tokio::sync::Semaphore;

use super::affected::AffectedSessions;
use super::invalidation::server_clock::store_time;
use super::invalidation::{Invalidation, Tracker};
use super::naming_check::NamingCheck;
use super::replica_wait::Revocations;
use super::scripts::Scripts;
use super::turns::Turns;
use crate::clock::{UnixMillis, millis};
use crate::redis_client::{Connections, Deployment, Invocation, Pools, Request, Topology};
use crate::session::store::Created;
use crate::session::{
    LoadedSession, Lookup, NewSession, Rotated, Rotation, SessionCount, SessionId, SessionStore,
    StoreError, UnreadableState, UserKey, UserState, Written,
};
use crate::store::keys::Keys;
use crate::store::meter::Meter;
use crate::store::near_cache::CacheAnswer;
use crate::store::sealed::Sealer;

/// How many let go of codes at once. A store that is down for long is left alone.
const MOST_RELEASES: usize = 64;

/// The store in Redis, over the connections of a worker or of the process.
pub struct RedisStore {
    pub(super) connector: Arc<Topology>,
    pub(super) revocations: Revocations,
    pub(super) scripts: Arc<Scripts>,
    pub(super) turns: Arc<Turns>,
    /// Those that let go of codes; see `login_codes`.
    pub(super) releases: Arc<Semaphore>,
    pub(super) keys: Keys,
    pub(super) sealer: Sealer,
    pub(super) meter: Meter,
    pub(super) invalidation: Option<Arc<Invalidation>>,
    /// `None`: every lookup asks Redis.
    pub(super) tracker: Option<Arc<Tracker>>,
    pub(super) naming_check: NamingCheck,
}

/// How the stores of the process and of all workers are set up.
#[derive(Clone)]
pub(in crate::store) struct RedisSetup {
    pub(in crate::store) deployment: Deployment,
    pub(in crate::store) wait_replicas: u32,
    pub(in crate::store) invalidation: Option<Arc<Invalidation>>,
    pub(in crate::store) scripts: Arc<Scripts>,
    pub(in crate::store) turns: Arc<Turns>,
    pub(in crate::store) keys: Keys,
    pub(in crate::store) sealer: Sealer,
    pub(in crate::store) meter: Meter,
}

impl RedisStore {
    /// The store of one worker, with connections and a near cache of its own.
    pub(in crate::store) fn for_worker(setup: &RedisSetup) -> Self {
        let tracker = setup
            .invalidation
            .as_ref()
            .map(|shared| Tracker::new(shared, setup.keys.clone(), setup.meter.metrics().clone()));
        let connections = match &tracker {
            Some(tracker) => Connections::Observed(tracker.clone()),
            None => Connections::Worker,
        };
        Self::over(setup, connections, tracker)
    }

    /// The store of the process, over its pools.
    pub(in crate::store) fn for_process(setup: &RedisSetup, pools: Pools) -> Self {
        Self::over(setup, Connections::Pooled(pools), None)
    }

    fn over(setup: &RedisSetup, connections: Connections, tracker: Option<Arc<Tracker>>) -> Self {
        let RedisSetup {
            deployment,
            wait_replicas,
            invalidation,
            scripts,
            turns,
            keys,
            sealer,
            meter,
        } = setup.clone();
        let metrics = meter.metrics();
        Self {
            revocations: Revocations::new(wait_replicas, metrics),
            connector: Arc::new(Topology::new(&deployment, metrics, connections)),
            scripts,
            turns,
            releases: Arc::new(Semaphore::new(MOST_RELEASES)),
            keys,
            sealer,
            meter,
            invalidation,
            tracker,
            naming_check: NamingCheck::default(),
        }
    }

    /// Runs a script that ends no session.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Invocation<'_>,
    ) -> Result<T, StoreError> {
        Ok(self.connector.call(&Request::Script(script)).await?)
    }

    /// Several calls in a row share the time of one.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let outcome = tokio::time::timeout(self.connector.operation_timeout(), work).await;
        outcome.unwrap_or_else(|_| {
            Err(StoreError::new(
                "several calls in a row took too long together",
            ))
        })
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn now(&self) -> Result<UnixMillis, StoreError> {
        let time = async {
            let time = self.connector.call(&Request::Command(&cmd("TIME"))).await?;
            Ok(store_time(time))
        };
        self.meter.watch("now", time).await
    }

    async fn create(&self, new: NewSession<'_>) -> Result<Created, StoreError> {
        let affected = AffectedSessions::default();
        let create = self.create_with_answer(&new, &affected);
        self.announcing(&affected, self.meter.watch("create", create))
            .await
    }

    fn known(&self, id: &SessionId) -> Option<Lookup> {
        match self.tracker.as_ref()?.cache.look(id) {
            CacheAnswer::Known(lookup) => Some(lookup),
            CacheAnswer::Ask(_) => None,
        }
    }

    async fn load(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.find_session(id).await
    }

    async fn load_stored(&self, id: &SessionId) -> Result<Lookup, StoreError> {
        self.read_counted(id, None).await
    }

    async fn renew(
        &self,
        id: &SessionId,
        user: &UserKey,
        idle: Duration,
        absolute_deadline: UnixMillis,
    ) -> Result<Written, StoreError> {
        let renewed = async {
            let mut script = self.scripts.renew.key(self.keys.user(id.tag, user));
            script
                .key(self.keys.session(id))
                .arg(&id.hash)
                .arg(absolute_deadline.0)
                .arg(millis(idle));
            Ok(match self.run(&script).await? {
                0_u8 => Written::Gone,
                1 => Written::Done,
                _ => Written::Stale,
            })
        };
        let outcome = self.meter.watch("renew", renewed).await;
        self.forget(id);
        outcome
    }

    async fn remove(&self, id: &SessionId, user: &UserKey) -> Result<Written, StoreError> {
        let affected = AffectedSessions::default();
        let remove = self.in_time(self.remove_session(id, user, &affected));
        let outcome = self.announcing(&affected, self.meter.watch("remove", remove));
        let outcome = outcome.await;
        self.forget(id);
        outcome
    }

    async fn announce_end(&self, id: &SessionId) {
        self.announce_revocation(&[*id]).await;
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Rotated, StoreError> {
        let affected = AffectedSessions::default();
        let rotate = self.rotate_session(&rotation, &affected);
        let outcome = self.announcing(&affected, self.meter.watch("rotate", rotate));
        let outcome = outcome.await;
        self.forget(&rotation.from);
        outcome
    }

    async fn list(&self, user: &UserKey) -> Result<Vec<LoadedSession>, StoreError> {
        self.meter
            .watch("list", self.in_time(self.sessions_of(user)))
            .await
    }

    async fn remove_all(&self, user: &UserKey) -> Result<u64, StoreError> {
        let affected = AffectedSessions::default();
        let remove = self.in_time(self.remove_sessions_of(user, &affected));
        self.announcing(&affected, self.meter.watch("remove_all", remove))
            .await
    }

    async fn user_state(
        &self,
        user: &UserKey,
    ) -> Result<Result<UserState, UnreadableState>, StoreError> {
        self.meter
            .watch("user_state", self.read_user_state(user))
            .await
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        self.meter.watch("count", self.count_keys()).await
    }
}
