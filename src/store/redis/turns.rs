//! Changes of one user in this process come one after the other: at the same time they would only
//! make each other repeat what they have read.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};

use crate::session::UserKey;

/// More than operators' changes at the same moment; users that share a place wait for each other.
const PLACES: usize = 64;

/// Whose turn it is.
pub(in crate::store) struct Turns([Mutex<()>; PLACES]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Turns {
    /// Waits until nobody else changes this user.
    pub(super) async fn of(&self, user: &UserKey) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let place = hasher.finish() % PLACES as u64;
        self.0[place as usize].lock().await
    }
}
