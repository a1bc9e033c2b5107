//! The seam between limits and where their cells are kept.

use async_trait::async_trait;

use crate::limit::gcra::Level;
use crate::limit::quota::Quota;

/// The store could not answer: nothing is known about the cell.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the rate limit store is unavailable: {reason}")]
pub struct CounterError {
    /// For the log; never for a client.
    pub reason: String,
}

/// A cell's name in the store: a keyed hash, which tells no address to a reader of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CellName {
    /// The tag of the user whose cell it is: it lies where the user's other keys are. `None`: it is
    /// nobody's.
    pub tag: Option<[u8; 2]>,
    /// The hash.
    pub name: [u8; 16],
}

/// A cell and the quota that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub cell: CellName,
    pub quota: Quota,
}

/// Keeps cells, by its own clock. A cell goes when nothing is owed any more.
#[async_trait]
pub trait CounterStore: Send + Sync {
    /// Takes one. A call that is repeated because its answer was lost on the way takes two.
    async fn take(&self, limit: &Limit) -> Result<Level, CounterError>;
}
