//! Opens the store that the configuration names.

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::identity::{ComponentStore, LoginCodes, PlatformTokens};
use crate::limit::CounterStore;
use crate::metrics::Metrics;
use crate::push::PushMessages;
use crate::redis_client::Pools;
use crate::session::{SessionKeys, SessionStore, Users};
use crate::store::keys::Keys;
use crate::store::memory::MemoryStore;
use crate::store::meter::Meter;
use crate::store::near_cache::invalidation::{InvalidationMode, InvalidationStatus};
use crate::store::probe::StoreProbe;
use crate::store::redis::{Invalidation, RedisSetup, RedisStore, Scripts};
use crate::store::sealed::Sealer;
use crate::store::settings::{BadStoreSettings, StoreSettings};
use crate::store::url::StoreUrl;

/// The store, as the process has it. Cheap to clone.
#[derive(Clone)]
pub struct StoreHandle(Kind);

#[derive(Clone)]
enum Kind {
    Memory(Arc<MemoryStore>),
    Redis(Arc<RedisParts>),
}

/// A store, by what it is used for: over the same connections.
#[derive(Clone)]
pub struct Stores {
    pub sessions: Arc<dyn SessionStore>,
    pub session_keys: Arc<dyn SessionKeys>,
    pub users: Arc<dyn Users>,
    pub login_codes: Arc<dyn LoginCodes>,
    /// The cells of limits.
    pub counters: Arc<dyn CounterStore>,
    pub tokens: Arc<dyn PlatformTokens>,
    /// What platforms give once.
    pub component: Arc<dyn ComponentStore>,
    /// Messages that platforms push.
    pub pushes: Arc<dyn PushMessages>,
}

/// What the stores of the process and of all workers have in common.
struct RedisParts {
    setup: RedisSetup,
    process: Arc<RedisStore>,
    probe: StoreProbe,
}

/// Opens the store. Nobody is asked yet: a Redis that is down when the gateway starts is found when
/// it comes. The connections of the process will live in the runtime of this call.
///
/// For `rediss` the process needs its rustls provider installed before the first call.
pub fn open(
    settings: &StoreSettings,
    keys: Arc<Keyring>,
    naming: Arc<NamingKey>,
    metrics: Arc<Metrics>,
) -> Result<StoreHandle, BadStoreSettings> {
    let prefix = settings.key_prefix.clone();
    let kind = match &settings.url {
        StoreUrl::Memory => Kind::Memory(Arc::new(MemoryStore::new(
            Arc::new(SystemClock),
            prefix,
            keys,
            naming,
            metrics,
        ))),
        StoreUrl::Redis(url) => {
            let deployment = settings.deployment(url)?;
            let pools = Pools::new(metrics.clone());
            let probe = StoreProbe::redis(&deployment, pools.clone(), prefix.clone());
            let invalidation = settings.near_cache.map(|near_cache| {
                let prefix = prefix.clone();
                Arc::new(Invalidation::new(&deployment, near_cache, prefix, &metrics))
            });
            let setup = RedisSetup {
                deployment,
                wait_replicas: settings.wait_replicas,
                invalidation,
                scripts: Arc::new(Scripts::new()),
                turns: Arc::default(),
                keys: Keys::new(prefix, naming.clone()),
                sealer: Sealer::new(keys, naming),
                meter: Meter::new(metrics),
            };
            let process = Arc::new(RedisStore::for_process(&setup, pools));
            Kind::Redis(Arc::new(RedisParts {
                setup,
                process,
                probe,
            }))
        }
    };
    Ok(StoreHandle(kind))
}

impl Stores {
    fn over<S>(store: Arc<S>) -> Self
    where
        S: SessionStore
            + SessionKeys
            + Users
            + LoginCodes
            + CounterStore
            + PlatformTokens
            + ComponentStore
            + PushMessages
            + 'static,
    {
        Self {
            sessions: store.clone(),
            session_keys: store.clone(),
            users: store.clone(),
            login_codes: store.clone(),
            counters: store.clone(),
            tokens: store.clone(),
            component: store.clone(),
            pushes: store,
        }
    }
}

impl StoreHandle {
    /// The store of one worker. Memory is shared; to Redis each worker has connections of its own,
    /// made on first use in the runtime that uses it.
    pub fn worker(&self) -> Stores {
        match &self.0 {
            Kind::Memory(store) => Stores::over(store.clone()),
            Kind::Redis(parts) => Stores::over(Arc::new(RedisStore::for_worker(&parts.setup))),
        }
    }

    /// The store of the process, for background work and for operators. What clients cause goes over
    /// their worker's. Any thread may use it. Its few connections are made on first use and live
    /// in the process's main runtime. It keeps no sessions, and every worker forgets what it
    /// revokes.
    pub fn process(&self) -> Stores {
        match &self.0 {
            Kind::Memory(store) => Stores::over(store.clone()),
            Kind::Redis(parts) => Stores::over(parts.process.clone()),
        }
    }

    /// Checks whether the store answers.
    pub fn probe(&self) -> StoreProbe {
        match &self.0 {
            Kind::Memory(_) => StoreProbe::memory(),
            Kind::Redis(parts) => parts.probe.clone(),
        }
    }

    /// How this process learns of revocations, over all connections that its workers have at
    /// present; so it is asked after one of them has been used. `None`: there is no store outside
    /// the process.
    pub fn invalidation(&self) -> Option<InvalidationStatus> {
        let Kind::Redis(parts) = &self.0 else {
            return None;
        };
        let off = InvalidationStatus {
            mode: Some(InvalidationMode::Off),
            trouble: None,
        };
        let status = parts.setup.invalidation.as_ref();
        Some(status.map_or(off, |invalidation| invalidation.status()))
    }

    /// The store in this process, when that is where it is: the demo shows what it holds.
    pub fn memory(&self) -> Option<&MemoryStore> {
        match &self.0 {
            Kind::Memory(store) => Some(store),
            Kind::Redis(_) => None,
        }
    }

    /// One worker's store in Redis, when that is where it is, by its own type.
    pub fn redis(&self) -> Option<RedisStore> {
        match &self.0 {
            Kind::Memory(_) => None,
            Kind::Redis(parts) => Some(RedisStore::for_worker(&parts.setup)),
        }
    }
}
