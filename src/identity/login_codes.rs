//! The seam between logins and where their codes are reserved.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::UnixMillis;
use crate::session::store::LoginKey;
use crate::session::{StoreError, Written};

/// What came of reserving a login code. All carry the store's time.
#[derive(Debug, Clone)]
pub enum Reservation {
    /// This caller exchanges the code; `ticket` settles it.
    Leader {
        /// The time that becomes the session's creation.
        now: UnixMillis,
        /// Proves the reservation when settling.
        ticket: [u8; 16],
    },
    /// Somebody else is exchanging the same code right now.
    Pending {
        /// The store's time.
        now: UnixMillis,
        /// When the reservation lapses, unless it is settled before.
        left: Duration,
    },
    /// The code was exchanged a moment ago; the sealed answer.
    Settled {
        /// The store's time.
        now: UnixMillis,
        /// What [`LoginCodes::settle`] or `SessionStore::create` was given.
        answer: Vec<u8>,
    },
}

/// Keeps codes while they are exchanged, and for a moment what came of it. The answer of a login
/// that worked is stored together with its session: `SessionStore::create` has it.
#[async_trait]
pub trait LoginCodes: Send + Sync {
    /// Reserves a login code for `lease`.
    async fn reserve(&self, login: &LoginKey, lease: Duration) -> Result<Reservation, StoreError>;

    /// Ends a reservation: with an answer that others find for a while, or without, so that the
    /// code may be tried again. `Stale`: the reservation had lapsed and somebody else holds it.
    async fn settle(
        &self,
        login: &LoginKey,
        ticket: &[u8; 16],
        answer: Option<(&[u8], Duration)>,
    ) -> Result<Written, StoreError>;

    /// Puts another answer in the place of this one, for as long as this one would have been kept.
    /// `Stale`: it is not there any more.
    async fn replace_answer(
        &self,
        login: &LoginKey,
        answer: &[u8],
        by: &[u8],
    ) -> Result<Written, StoreError>;
}
