//! The parts of readiness.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::reloadable::Reloadable;
use crate::admin::{PartState, ReadinessPart};
use crate::edge::ConfigGeneration;
use crate::store::{InvalidationMode, StoreHandle, StoreProbe};

/// The upstreams as a part of readiness.
pub(super) struct UpstreamsPart(pub(super) watch::Receiver<Arc<ConfigGeneration<Reloadable>>>);

#[async_trait]
impl ReadinessPart for UpstreamsPart {
    fn name(&self) -> &'static str {
        "upstreams"
    }

    async fn check(&self) -> PartState {
        let generation = self.0.borrow().clone();
        let unwell: Vec<&str> = generation
            .content
            .upstreams
            .iter()
            .filter(|upstream| upstream.state.has_no_healthy_endpoint())
            .map(|upstream| &*upstream.upstream().name)
            .collect();
        if unwell.is_empty() {
            PartState::Up
        } else {
            PartState::Down {
                reason: format!("no healthy endpoint: {}", unwell.join(", ")),
            }
        }
    }
}

/// The platforms as a part of readiness: whether users can sign in.
pub(super) struct PlatformsPart(pub(super) watch::Receiver<Arc<ConfigGeneration<Reloadable>>>);

#[async_trait]
impl ReadinessPart for PlatformsPart {
    fn name(&self) -> &'static str {
        "platforms"
    }

    async fn check(&self) -> PartState {
        let generation = self.0.borrow().clone();
        let troubles: Vec<String> = generation
            .content
            .apps
            .iter()
            .filter_map(|app| Some(format!("apps.{}: {}", app.name, app.provider.trouble()?)))
            .collect();
        if troubles.is_empty() {
            PartState::Up
        } else {
            PartState::Down {
                reason: troubles.join("; "),
            }
        }
    }
}

/// The store as a part of readiness.
pub(super) struct StorePart(pub(super) StoreProbe);

#[async_trait]
impl ReadinessPart for StorePart {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> PartState {
        match self.0.check().await {
            Ok(_) => PartState::Up,
            Err(error) => PartState::Down {
                reason: error.reason,
            },
        }
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
        self.0
            .invalidation()
            .and_then(|status| status.trouble)
            .map_or(PartState::Up, |reason| PartState::Down { reason })
    }

    fn mode(&self) -> Option<&'static str> {
        self.0.invalidation()?.mode.map(InvalidationMode::word)
    }
}
