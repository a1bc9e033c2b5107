//! How the connections of this process learn of changes: for the log, for `/readyz`, for the metric.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::metrics::Metrics;
use crate::redis_client::ConnectionId;
use crate::store::near_cache::invalidation::{
    InvalidationChoice, InvalidationMode, InvalidationStatus,
};

/// The mode of every connection, and what is in effect over all of them.
pub(super) struct InvalidationRegistry {
    choice: InvalidationChoice,
    numbers: AtomicU64,
    state: Mutex<RegistryState>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct RegistryState {
    connections: BTreeMap<ConnectionId, ConnectionMode>,
    subscription: SubscriptionState,
    /// What the last line of the log says.
    logged: Option<InvalidationMode>,
}

/// What reports changes to the sessions that a connection reads.
#[derive(Debug)]
pub(super) enum ConnectionMode {
    /// Redis, on the connection itself.
    Tracking,
    /// The process's subscription; and why not Redis, where that was tried.
    Pubsub(Option<String>),
    /// Nothing, and why.
    Off(String),
}

/// What has become of the process's subscription.
#[derive(Debug, Default)]
pub(super) enum SubscriptionState {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// It receives what is published.
    Receiving,
    /// It does not, and why.
    Failed(String),
}

impl InvalidationRegistry {
    pub(super) fn new(choice: InvalidationChoice, metrics: Arc<Metrics>) -> Self {
        Self {
            choice,
            numbers: AtomicU64::new(0),
            state: Mutex::default(),
            metrics,
        }
    }

    pub(super) const fn choice(&self) -> InvalidationChoice {
        self.choice
    }

    /// A number for a connection, never used again.
    pub(super) fn number(&self) -> ConnectionId {
        ConnectionId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// A connection was opened.
    pub(super) fn opened(&self, id: ConnectionId, mode: ConnectionMode) {
        self.update(|registry| {
            registry.connections.insert(id, mode);
        });
    }

    /// A connection is out of use.
    pub(super) fn closed(&self, id: ConnectionId) {
        self.update(|registry| {
            registry.connections.remove(&id);
        });
    }

    /// The subscription has changed.
    pub(super) fn subscription(&self, state: SubscriptionState) {
        self.update(|registry| registry.subscription = state);
    }

    /// What is in effect.
    pub(super) fn status(&self) -> InvalidationStatus {
        let state = self.state.lock();
        let mode = state.mode();
        let wanted = match self.choice {
            InvalidationChoice::Auto => None,
            InvalidationChoice::Tracking => Some(InvalidationMode::Tracking),
            InvalidationChoice::Pubsub => Some(InvalidationMode::Pubsub),
        };
        let less = mode.zip(wanted).is_some_and(|(mode, wanted)| mode < wanted);
        InvalidationStatus {
            mode,
            trouble: if less { state.why() } else { None },
        }
    }

    fn update(&self, change: impl FnOnce(&mut RegistryState)) {
        let mut state = self.state.lock();
        change(&mut state);
        for mode in InvalidationMode::ALL {
            let count = state
                .connections
                .values()
                .filter(|connection| state.of(connection) == Some(mode))
                .count();
            self.metrics.store.push(mode.word(), count);
        }
        let Some(mode) = state.mode() else { return };
        if state.logged.replace(mode) != Some(mode) {
            self.log(mode, state.why());
        }
    }

    fn log(&self, mode: InvalidationMode, why: Option<String>) {
        let why = why.unwrap_or_default();
        match (mode, self.choice) {
            (InvalidationMode::Tracking, _) => {
                log::info!("near cache: push = tracking: Redis pushes changes");
            }
            (InvalidationMode::Pubsub, InvalidationChoice::Pubsub) => {
                log::info!("near cache: push = pubsub: gateways publish revocations");
            }
            (InvalidationMode::Pubsub, _) => {
                log::info!(
                    "near cache: push = pubsub: gateways publish revocations, because {why}"
                );
            }
            (InvalidationMode::Off, InvalidationChoice::Auto) => {
                log::warn!("near cache: push = off: every lookup calls Redis, because {why}");
            }
            (InvalidationMode::Off, _) => log::error!(
                "near cache: push = off instead of session.near_cache.push: every lookup calls Redis, because {why}; \"auto\" takes what the server supports"
            ),
        }
    }
}

impl RegistryState {
    /// What is in effect on a connection now.
    const fn of(&self, connection: &ConnectionMode) -> Option<InvalidationMode> {
        match (connection, &self.subscription) {
            (ConnectionMode::Tracking, _) => Some(InvalidationMode::Tracking),
            (ConnectionMode::Pubsub(_), SubscriptionState::Receiving) => {
                Some(InvalidationMode::Pubsub)
            }
            (ConnectionMode::Pubsub(_), SubscriptionState::Starting) => None,
            (ConnectionMode::Pubsub(_), SubscriptionState::Failed(_))
            | (ConnectionMode::Off(_), _) => Some(InvalidationMode::Off),
        }
    }

    /// The least of all.
    fn mode(&self) -> Option<InvalidationMode> {
        self.connections
            .values()
            .map(|connection| self.of(connection))
            .min()
            .flatten()
    }

    /// Why it is no more than that: what the first connection says that has no more.
    fn why(&self) -> Option<String> {
        let least = self
            .connections
            .values()
            .min_by_key(|connection| self.of(connection))?;
        match (least, &self.subscription) {
            (ConnectionMode::Tracking, _) => None,
            (ConnectionMode::Off(why), _) => Some(why.clone()),
            (ConnectionMode::Pubsub(Some(refusal)), SubscriptionState::Failed(why)) => {
                Some(format!("{refusal}; {why}"))
            }
            (ConnectionMode::Pubsub(None), SubscriptionState::Failed(why)) => Some(why.clone()),
            (
                ConnectionMode::Pubsub(refusal),
                SubscriptionState::Starting | SubscriptionState::Receiving,
            ) => refusal.clone(),
        }
    }
}
