//! How the connections of this process hear of changes: for the log, for `/readyz`, for the metric.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::metrics::Metrics;
use crate::redis_client::ConnectionId;
use crate::store::push::{PushChoice, PushMode, PushState};

/// What is known of all connections.
#[derive(Debug)]
pub(super) struct Hearing {
    choice: PushChoice,
    numbers: AtomicU64,
    known: Mutex<Known>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Known {
    connections: BTreeMap<ConnectionId, Way>,
    subscription: Subscribed,
    /// What was in effect when the log was last told.
    told: Option<PushMode>,
}

/// How a connection to a server that holds sessions hears of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// On itself.
    Tracking,
    /// By the process's subscription, and why not on itself, where that was tried.
    Pubsub(Option<String>),
    /// Not at all, and why.
    Off(String),
}

/// What has become of the process's subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Subscribed {
    /// Nobody knows yet.
    #[default]
    Starting,
    /// It stands.
    Yes,
    /// It does not, and why.
    No(String),
}

impl Hearing {
    pub(super) fn new(choice: PushChoice, metrics: Arc<Metrics>) -> Self {
        Self {
            choice,
            numbers: AtomicU64::new(0),
            known: Mutex::default(),
            metrics,
        }
    }

    pub(super) const fn choice(&self) -> PushChoice {
        self.choice
    }

    /// A number for a connection, never used again.
    pub(super) fn number(&self) -> ConnectionId {
        ConnectionId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// A connection was opened.
    pub(super) fn opened(&self, id: ConnectionId, way: Way) {
        self.update(|known| {
            known.connections.insert(id, way);
        });
    }

    /// A connection is out of use.
    pub(super) fn closed(&self, id: ConnectionId) {
        self.update(|known| {
            known.connections.remove(&id);
        });
    }

    /// The subscription has changed.
    pub(super) fn subscription(&self, subscribed: Subscribed) {
        self.update(|known| known.subscription = subscribed);
    }

    /// What is in effect.
    pub(super) fn state(&self) -> PushState {
        let known = self.known.lock();
        let mode = known.mode();
        let wanted = match self.choice {
            PushChoice::Auto => None,
            PushChoice::Tracking => Some(PushMode::Tracking),
            PushChoice::Pubsub => Some(PushMode::Pubsub),
        };
        let less = mode.zip(wanted).is_some_and(|(mode, wanted)| mode < wanted);
        PushState {
            mode,
            trouble: if less { known.why() } else { None },
        }
    }

    fn update(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock();
        change(&mut known);
        for mode in PushMode::ALL {
            let count = known
                .connections
                .values()
                .filter(|way| known.of(way) == Some(mode))
                .count();
            self.metrics.store_push(mode.word(), count);
        }
        let Some(mode) = known.mode() else { return };
        if known.told.replace(mode) != Some(mode) {
            self.tell(mode, known.why());
        }
    }

    fn tell(&self, mode: PushMode, why: Option<String>) {
        let why = why.unwrap_or_default();
        match (mode, self.choice) {
            (PushMode::Tracking, _) => {
                log::info!("near cache: push = tracking: Redis pushes changes");
            }
            (PushMode::Pubsub, PushChoice::Pubsub) => {
                log::info!("near cache: push = pubsub: gateways publish revocations");
            }
            (PushMode::Pubsub, _) => {
                log::info!(
                    "near cache: push = pubsub: gateways publish revocations, because {why}"
                );
            }
            (PushMode::Off, PushChoice::Auto) => {
                log::warn!("near cache: push = off: every lookup calls Redis, because {why}");
            }
            (PushMode::Off, _) => log::error!(
                "near cache: push = off instead of session.near_cache.push: every lookup calls Redis, because {why}; \"auto\" takes what the server supports"
            ),
        }
    }
}

impl Known {
    /// What a connection has of its way now.
    const fn of(&self, way: &Way) -> Option<PushMode> {
        match (way, &self.subscription) {
            (Way::Tracking, _) => Some(PushMode::Tracking),
            (Way::Pubsub(_), Subscribed::Yes) => Some(PushMode::Pubsub),
            (Way::Pubsub(_), Subscribed::Starting) => None,
            (Way::Pubsub(_), Subscribed::No(_)) | (Way::Off(_), _) => Some(PushMode::Off),
        }
    }

    /// The least of all.
    fn mode(&self) -> Option<PushMode> {
        self.connections
            .values()
            .map(|way| self.of(way))
            .min()
            .flatten()
    }

    /// Why it is no more than that: what the first connection says that has no more.
    fn why(&self) -> Option<String> {
        let least = self.connections.values().min_by_key(|way| self.of(way))?;
        match (least, &self.subscription) {
            (Way::Tracking, _) => None,
            (Way::Off(why), _) => Some(why.clone()),
            (Way::Pubsub(Some(refusal)), Subscribed::No(why)) => Some(format!("{refusal}; {why}")),
            (Way::Pubsub(None), Subscribed::No(why)) => Some(why.clone()),
            (Way::Pubsub(refusal), Subscribed::Starting | Subscribed::Yes) => refusal.clone(),
        }
    }
}
