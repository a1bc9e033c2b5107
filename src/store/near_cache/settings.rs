//! What the configuration says about the near cache.

use std::time::Duration;

use super::invalidation::InvalidationChoice;

/// The bounds of a cache, and how it is to learn of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearCacheSettings {
    /// How changes become known (`session.near_cache.push`). The cache itself does not need it.
    pub push: InvalidationChoice,
    /// Entries at most; 0: nothing is kept.
    pub capacity: usize,
    /// How long after the last answered heartbeat was sent an entry counts as certain.
    pub max_stale: Duration,
    /// How long after it an entry may serve while Redis cannot be reached.
    pub outage_grace: Duration,
}
