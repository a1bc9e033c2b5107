//! The parts of readiness.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::reloadable::Reloadable;
use crate::admin::{PartState, ReadinessPart};
use crate::edge::ConfigGeneration;
use crate::store::{InvalidationMode, StoreHandle, StoreProbe};

/// What a load of the configuration made, as a part of readiness.
pub(super) struct ReloadablePart {
    pub(super) name: &'static str,
    pub(super) generations: watch::Receiver<Arc<ConfigGeneration<Reloadable>>>,
    pub(super) trouble: fn(&Reloadable) -> Option<String>,
}

#[async_trait]
impl ReadinessPart for ReloadablePart {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn check(&self) -> PartState {
        let generation = self.generations.borrow().clone();
        state((self.trouble)(&generation.content))
    }
}

fn state(trouble: Option<String>) -> PartState {
    trouble.map_or(PartState::Up, |reason| PartState::Down { reason })
}

/// Which upstreams cannot be used.
pub(super) fn upstream_trouble(reloadable: &Reloadable) -> Option<String> {
    let unhealthy: Vec<&str> = reloadable
        .upstreams
        .iter()
        .filter(|upstream| upstream.state.has_no_healthy_endpoint())
        .map(|upstream| &*upstream.upstream().name)
        .collect();
    (!unhealthy.is_empty()).then(|| format!("no healthy endpoint: {}", unhealthy.join(", ")))
}

/// Why users cannot sign in.
pub(super) fn platform_trouble(reloadable: &Reloadable) -> Option<String> {
    let troubles: Vec<String> = reloadable
        .apps
        .iter()
        .filter_map(|app| Some(format!("apps.{}: {}", app.name, app.provider.trouble()?)))
        .collect();
    (!troubles.is_empty()).then(|| troubles.join("; "))
}

/// The store as a part of readiness.
pub(super) struct StorePart(pub(super) StoreProbe);

#[async_trait]
impl ReadinessPart for StorePart {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> PartState {
        state(self.0.check().await.err().map(|error| error.reason))
    }
}

/// The near cache as a part of readiness: how it hears of revocations.
pub(super) struct NearCachePart(pub(super) StoreHandle);

#[async_trait]
impl ReadinessPart for NearCachePart {
    fn name(&self) -> &'static str {
        "near_cache"
    }

    async fn check(&self) -> PartState {
        state(self.0.invalidation().and_then(|status| status.trouble))
    }

    fn mode(&self) -> Option<&'static str> {
        self.0.invalidation()?.mode.map(InvalidationMode::word)
    }
}
