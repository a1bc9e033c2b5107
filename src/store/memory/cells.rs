//! The cells of limits, of which only the lately used are kept.

use crate::clock::UnixMillis;
use crate::limit::{Cell, CellName, Level, Limit, Recent};

/// Cells kept at the least; at most twice as many.
const KEPT: usize = 64 * 1024;

pub(super) struct Cells(Recent<CellName, Cell>);

impl Default for Cells {
    fn default() -> Self {
        Self(Recent::new(KEPT))
    }
}

impl Cells {
    pub(super) fn take(&mut self, limit: &Limit, now: UnixMillis) -> Level {
        self.0
            .entry(limit.cell, Cell::default)
            .take(limit.quota, now.0.saturating_mul(1000))
    }
}
