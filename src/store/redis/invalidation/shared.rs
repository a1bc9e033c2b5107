//! What the near caches of all workers of a process have in common.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::registry::InvalidationRegistry;
use super::subscription::Subscription;
use crate::metrics::Metrics;
use crate::redis_client::{Deployment, Server, ServerAddress};
use crate::session::SessionId;
use crate::store::near_cache::NearCacheSettings;
use crate::store::near_cache::invalidation::{
    InvalidationChoice, InvalidationMode, InvalidationStatus,
};
use crate::store::settings::KeyPrefix;

/// How a process learns of changes and passes them on to its workers.
pub(crate) struct Invalidation {
    pub(super) settings: NearCacheSettings,
    pub(super) registry: Arc<InvalidationRegistry>,
    pub(super) subscription: Subscription,
    /// Servers that do not seem to push, and why: connections to them are not held up by another
    /// try.
    silent_servers: Mutex<HashMap<ServerAddress, String>>,
}

impl Invalidation {
    pub(crate) fn new(
        deployment: &Deployment,
        settings: NearCacheSettings,
        prefix: KeyPrefix,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let registry = Arc::new(InvalidationRegistry::new(settings.push, metrics.clone()));
        Self {
            settings,
            subscription: Subscription::new(
                deployment,
                &settings,
                prefix,
                registry.clone(),
                metrics,
            ),
            registry,
            silent_servers: Mutex::default(),
        }
    }

    /// What is in effect.
    pub(crate) fn status(&self) -> InvalidationStatus {
        self.registry.status()
    }

    /// This process has revoked these sessions: its workers know before anybody is answered.
    pub(crate) fn drop_from_near_caches(&self, ids: &[SessionId]) {
        self.subscription.shared.drop_from_near_caches(ids);
    }

    /// Whether other gateways may depend on what this one publishes. Under `auto` this one may have
    /// what another has not, as over another proxy.
    pub(crate) fn announces(&self) -> bool {
        self.registry.choice() != InvalidationChoice::Tracking
    }

    /// Whether Redis pushes to all connections of this process, and so probably to the other
    /// gateways too.
    pub(crate) fn is_pushed_by_redis(&self) -> bool {
        self.status().mode == Some(InvalidationMode::Tracking)
    }

    /// Why a server does not seem to push, where it was tried a while ago.
    pub(super) fn why_silent(&self, server: &Server) -> Option<String> {
        self.silent_servers.lock().get(&server.address).cloned()
    }

    pub(super) fn remember_silent(&self, server: &Server, why: &str) {
        let mut silent = self.silent_servers.lock();
        silent.insert(server.address.clone(), why.to_owned());
    }

    pub(super) fn forget_silent(&self, server: &Server) {
        self.silent_servers.lock().remove(&server.address);
    }
}
