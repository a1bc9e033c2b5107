//! The store, its connections, and the near cache.

use prometheus_client::encoding::EncodeLabelSet;

use super::labels::Outcome;
use super::registrar::{Registrar, Times};
use super::{Counter, Family, Gauge, gauged};

pub struct StoreMetrics {
    pub seconds: Times<Operation>,
    pub errors: Family<Operation, Counter>,
    connections: Family<StoreNode, Counter>,
    refreshes: Family<Outcome, Counter>,
    pub replica_waits: Family<Outcome, Counter>,
    push: Family<Mode, Gauge>,
    pub near_cache: Family<Outcome, Counter>,
}

impl StoreMetrics {
    pub(super) fn new(registrar: &mut Registrar) -> Self {
        Self {
            seconds: registrar.times("store_duration_seconds", "Store calls by operation"),
            errors: registrar.metric(
                "store_errors_total",
                "Store calls that failed, by operation",
            ),
            connections: registrar.metric(
                "store_connections_total",
                "Connections opened to servers of the store",
            ),
            refreshes: registrar.metric(
                "store_refreshes_total",
                "Searches for the store's masters, by outcome",
            ),
            replica_waits: registrar.metric(
                "store_replica_waits_total",
                "Revocations that waited for replicas, by outcome",
            ),
            push: registrar.metric(
                "store_push_mode",
                "Connections that read sessions for the near cache, by how they learn of changes",
            ),
            near_cache: registrar
                .metric("near_cache_total", "Lookups in the near cache, by outcome"),
        }
    }

    /// Counts a connection opened to a server of the store.
    pub fn connection(&self, node: &str) {
        let node = node.to_owned();
        self.connections.get_or_create(&StoreNode { node }).inc();
    }

    /// Counts a search for the store's masters.
    pub fn refresh(&self, found: bool) {
        let outcome = if found { "ok" } else { "failed" };
        self.refreshes.get_or_create(&Outcome { outcome }).inc();
    }

    /// Shows how many connections learn of changes in this way.
    pub fn push(&self, mode: &'static str, connections: usize) {
        self.push
            .get_or_create(&Mode { mode })
            .set(gauged(connections));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Operation {
    /// `load`, `create`, `renew`, `rotate`, `remove`, `remove_all`, `list`, `count`,
    /// `session_keys`, `take_session_keys`, `return_session_keys`, `reset_session_keys`, `reserve`,
    /// `settle`, `limit`, `publish`, `now`,
    /// `find_token`, `lease_token`, `keep_token`, `release_token`, `find_ticket`, `keep_ticket`,
    /// `authorizers`, `find_refresh_token`, `authorize`, `keep_refreshed`, `withdraw`, `reseal`, or
    /// one of the pushed messages' (docs/metrics.md).
    pub operation: &'static str,
}

/// How connections to the store learn of changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mode {
    /// `tracking`, `pubsub` or `off`.
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreNode {
    /// Its host and port.
    node: String,
}
