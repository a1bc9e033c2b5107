//! What an audit line says of a change that failed.

use crate::session::StoreError;

/// A store that is silent may have carried it out.
pub(super) const fn outcome_of(error: &StoreError) -> &'static str {
    if error.answered { "failed" } else { "unknown" }
}
