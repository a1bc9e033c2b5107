//! The limiter decides by the store's cells and remembers them. It refuses a call that has surely no
//! chance without asking the store. While the store does not answer, each process holds the quotas
//! for itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::monotonic_now;
use crate::limit::gcra::{Cell, Level, Micros};
use crate::limit::quota::Quota;
use crate::limit::recent::Recent;
use crate::limit::store::{CellName, CounterStore, Limit};
use crate::metrics::Metrics;

/// Cells remembered in a process at the least; at most twice as many, some 6 MB.
const REMEMBERED: usize = 32 * 1024;
/// After a failure the store is left alone for this long: each call would wait for its timeout.
const STORE_LEFT_ALONE: Duration = Duration::from_secs(1);

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Of a client's address.
    PerIp,
    /// Of a user.
    PerUser,
    /// Of all users of an app.
    PerApp,
    /// Of a user: what is asked about their session_key and under it.
    OpenData,
    /// Of a user: phone numbers.
    PhoneLimit,
}

impl Policy {
    /// The key in the configuration, where it has one, and its name in metrics and header fields.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerIp => "per_ip",
            Self::PerUser => "per_user",
            Self::PerApp => "per_app",
            Self::OpenData => "open_data",
            Self::PhoneLimit => "phone_limit",
        }
    }
}

/// A quota is used up.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {} quota is used up", policy.as_str())]
pub struct LimitRefusal {
    /// Whose.
    pub policy: Policy,
    /// Which.
    pub quota: Quota,
    /// How long until there is one more.
    pub retry_after: Duration,
}

/// A copy of the store's cells as last seen, shared by all workers of a process. Time empties a
/// cell here as in the store, and only other gateways fill it further. So a cell is never fuller
/// here than in the store.
#[derive(Debug)]
pub struct LocalLimits {
    started: Instant,
    remembered: Mutex<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    cells: Recent<CellName, Cell>,
    store_failed: Option<Instant>,
}

impl Default for LocalLimits {
    fn default() -> Self {
        let remembered = Remembered {
            cells: Recent::new(REMEMBERED),
            store_failed: None,
        };
        Self {
            started: monotonic_now(),
            remembered: Mutex::new(remembered),
        }
    }
}

impl LocalLimits {
    fn micros(&self, now: Instant) -> Micros {
        u64::try_from(now.saturating_duration_since(self.started).as_micros())
            .unwrap_or(u64::MAX / 2)
    }

    /// How long the cell has surely none left.
    fn refused_for(&self, limit: &Limit, now: Instant) -> Option<Duration> {
        self.remembered
            .lock()
            .cells
            .peek(&limit.cell)?
            .refused_for(limit.quota, self.micros(now))
    }

    /// What the store has answered to a question of this moment.
    fn learn(&self, cell: CellName, level: Level, started: Instant) {
        let until = self.micros(started + level.backlog);
        *self.remembered.lock().cells.entry(cell, Cell::default) = Cell(until);
    }

    fn take(&self, limit: &Limit, now: Instant) -> Level {
        let micros = self.micros(now);
        self.remembered
            .lock()
            .cells
            .entry(limit.cell, Cell::default)
            .take(limit.quota, micros)
    }

    fn store_is_left_alone(&self, now: Instant) -> bool {
        self.remembered
            .lock()
            .store_failed
            .is_some_and(|failed| now.saturating_duration_since(failed) < STORE_LEFT_ALONE)
    }

    fn store_failed(&self, now: Instant) {
        self.remembered.lock().store_failed = Some(now);
    }
}

/// The limiter of one worker.
#[derive(Clone)]
pub struct Limiter {
    store: Arc<dyn CounterStore>,
    local_limits: Arc<LocalLimits>,
    metrics: Arc<Metrics>,
}

impl Limiter {
    /// A limiter over a worker's store. All workers of a process share `local_limits`.
    pub const fn new(
        store: Arc<dyn CounterStore>,
        local_limits: Arc<LocalLimits>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            local_limits,
            metrics,
        }
    }

    /// Refuses what has surely no chance, without asking the store.
    pub fn refuse_early(&self, policy: Policy, limit: &Limit) -> Result<(), LimitRefusal> {
        match self.local_limits.refused_for(limit, monotonic_now()) {
            None => Ok(()),
            Some(retry_after) => {
                self.count(policy, "refused_early");
                Err(LimitRefusal {
                    policy,
                    quota: limit.quota,
                    retry_after,
                })
            }
        }
    }

    /// Takes one, and does not ask the store where there is surely none.
    pub async fn admit(&self, policy: Policy, limit: Limit) -> Result<(), LimitRefusal> {
        self.refuse_early(policy, &limit)?;
        self.take(policy, limit).await
    }

    /// Takes one.
    pub async fn take(&self, policy: Policy, limit: Limit) -> Result<(), LimitRefusal> {
        let started = monotonic_now();
        let answer = if self.local_limits.store_is_left_alone(started) {
            None
        } else {
            self.ask(&limit, started).await
        };
        let (level, of_store) = match answer {
            Some(level) => (level, true),
            None => (self.local_limits.take(&limit, monotonic_now()), false),
        };
        self.count(
            policy,
            match (level.admitted, of_store) {
                (true, true) => "admitted",
                (false, true) => "refused",
                (true, false) => "admitted_alone",
                (false, false) => "refused_alone",
            },
        );
        if level.admitted {
            return Ok(());
        }
        Err(LimitRefusal {
            policy,
            quota: limit.quota,
            retry_after: level.next_in(limit.quota),
        })
    }

    async fn ask(&self, limit: &Limit, started: Instant) -> Option<Level> {
        match self.store.take(limit).await {
            Ok(level) => {
                self.local_limits.learn(limit.cell, level, started);
                Some(level)
            }
            // The store logs what is wrong with it, and the metric shows that this process holds the
            // limits alone.
            Err(error) => {
                log::debug!("{error}");
                self.local_limits.store_failed(monotonic_now());
                None
            }
        }
    }

    /// Counts a refusal by a cell that the store looked at together with something else.
    pub fn count_refusal(&self, refusal: &LimitRefusal) {
        self.count(refusal.policy, "refused");
    }

    fn count(&self, policy: Policy, outcome: &'static str) {
        self.metrics.login.limit(policy.as_str(), outcome);
    }
}
