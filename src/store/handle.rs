//! Opens the store that the configuration names.

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::crypto::keyring::{Keyring, NamingKey};
use crate::identity::LoginCodes;
use crate::limit::CounterStore;
use crate::metrics::Metrics;
use crate::session::SessionStore;
use crate::store::keys::Keys;
use crate::store::memory::MemorySessionStore;
use crate::store::meter::Meter;
use crate::store::probe::StoreProbe;
use crate::store::push::{PushMode, PushState};
use crate::store::redis::{Push, RedisSessionStore, RedisSetup, Scripts};
use crate::store::sealed::Sealer;
use crate::store::settings::{BadStoreSettings, StoreSettings};
use crate::store::url::StoreUrl;

/// The store, as the process has it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreHandle(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Memory(Arc<MemorySessionStore>),
    Redis(Arc<RedisParts>),
}

/// The store of one worker, by what it is used for: over the same connections.
pub struct WorkerStore {
    pub sessions: Arc<dyn SessionStore>,
    pub login_codes: Arc<dyn LoginCodes>,
    /// The cells of limits.
    pub counters: Arc<dyn CounterStore>,
}

/// What the stores of all workers have in common.
#[derive(Debug)]
struct RedisParts {
    setup: RedisSetup,
    probe: StoreProbe,
}

/// Opens the store. Nobody is asked yet: a Redis that is down when the gateway starts is found when
/// it comes.
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
        StoreUrl::Memory => Kind::Memory(Arc::new(MemorySessionStore::new(
            Arc::new(SystemClock),
            prefix,
            keys,
            naming,
            metrics,
        ))),
        StoreUrl::Redis(url) => {
            let place = settings.place(url)?;
            let probe = StoreProbe::redis(&place, prefix.clone());
            let push = settings.near_cache.map(|near_cache| {
                Arc::new(Push::new(&place, near_cache, prefix.clone(), &metrics))
            });
            let setup = RedisSetup {
                place,
                wait_replicas: settings.wait_replicas,
                push,
                scripts: Arc::new(Scripts::new()),
                keys: Keys::new(prefix, naming.clone()),
                sealer: Sealer::new(keys, naming.clone()),
                naming,
                meter: Meter::new(metrics),
            };
            Kind::Redis(Arc::new(RedisParts { setup, probe }))
        }
    };
    Ok(StoreHandle(kind))
}

impl StoreHandle {
    /// The store of one worker, by what it is used for. Memory is shared; to
    /// Redis each worker has connections of its own, made on first use in the runtime that uses it.
    #[must_use]
    pub fn worker(&self) -> WorkerStore {
        match &self.0 {
            Kind::Memory(store) => WorkerStore {
                sessions: store.clone(),
                login_codes: store.clone(),
                counters: store.clone(),
            },
            Kind::Redis(parts) => {
                let store = Arc::new(RedisSessionStore::new(&parts.setup));
                WorkerStore {
                    sessions: store.clone(),
                    login_codes: store.clone(),
                    counters: store,
                }
            }
        }
    }

    /// The same, where only sessions matter.
    #[must_use]
    pub fn for_worker(&self) -> Arc<dyn SessionStore> {
        self.worker().sessions
    }

    /// Asks whether the store is well.
    #[must_use]
    pub fn probe(&self) -> StoreProbe {
        match &self.0 {
            Kind::Memory(_) => StoreProbe::memory(),
            Kind::Redis(parts) => parts.probe.clone(),
        }
    }

    /// How this process hears of revocations: of all connections that its workers have at present,
    /// so it is asked after one of them has been used. `None`: there is no store outside the
    /// process.
    #[must_use]
    pub fn push(&self) -> Option<PushState> {
        let Kind::Redis(parts) = &self.0 else {
            return None;
        };
        let off = PushState {
            mode: Some(PushMode::Off),
            trouble: None,
        };
        Some(parts.setup.push.as_ref().map_or(off, |push| push.state()))
    }

    /// The store in this process, when that is where it is: the demo shows what it holds.
    #[must_use]
    pub fn memory(&self) -> Option<&MemorySessionStore> {
        match &self.0 {
            Kind::Memory(store) => Some(store),
            Kind::Redis(_) => None,
        }
    }

    /// One worker's store in Redis, when that is where it is, by its own type.
    #[must_use]
    pub fn redis(&self) -> Option<RedisSessionStore> {
        match &self.0 {
            Kind::Memory(_) => None,
            Kind::Redis(parts) => Some(RedisSessionStore::new(&parts.setup)),
        }
    }
}
