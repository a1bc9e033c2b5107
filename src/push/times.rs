//! How long messages and answers are kept, and when what failed is tried again.

use std::time::Duration;

/// For how long a message is known that the backend has.
pub const REPEATED_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How long a message is kept that the backend does not take.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long it stands in the store: so much longer that its end is noticed.
pub(super) const STORED_FOR: Duration = Duration::from_secs(KEPT_FOR.as_secs() + 3600);
/// When a message is tried again that has just failed.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest between two tries.
pub(super) const LAST_RETRY: Duration = Duration::from_secs(300);
