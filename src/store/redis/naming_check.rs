//! Whether sessions are named with the key that this process has.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::session::{SessionId, UserKey};
use crate::store::keys::Keys;

/// Which of the sessions that are read have their naming looked at: to make the name again is a
/// fifth of what a read costs where the processor has no instructions for SHA-256.
#[derive(Default)]
pub(super) struct NamingCheck {
    /// Whether a session of another naming key was met.
    told: AtomicBool,
    read: AtomicU32,
}

impl NamingCheck {
    /// So many at first: after a start with another key each of them shows it.
    const ALL: u32 = 1024;
    /// Then one of so many: another process with another key makes some of all sessions, and one
    /// will do.
    const ONE_OF: u32 = 16;

    /// Says, once, that the naming key is not the one under which a session was made: such a
    /// session works, but is in an index that this process does not find. Nothing else would show
    /// it before a user signs out everywhere and stays signed in.
    pub(super) fn see(&self, keys: &Keys, id: &SessionId, user: &UserKey) {
        if self.is_due() && keys.tag(user) != id.tag && !self.told.swap(true, Ordering::Relaxed) {
            log::error!(
                session = id.to_string().as_str();
                "a session was made with another secrets.naming_key: the key was changed, or another process has another one. logout/all, device lists and max_per_user miss older sessions. Restore the old key"
            );
        }
    }

    fn is_due(&self) -> bool {
        // Not in one step: a worker reads on one thread, and a number lost would not matter.
        let read = self.read.load(Ordering::Relaxed).wrapping_add(1);
        self.read.store(read, Ordering::Relaxed);
        (read < Self::ALL || read.is_multiple_of(Self::ONE_OF))
            && !self.told.load(Ordering::Relaxed)
    }
}
