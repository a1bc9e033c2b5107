//! Where sessions are kept: in this process or in Redis, sealed alike, under the same keys.
//!
//! - [`settings`]: what the configuration says; [`url`]: the store's URL
//! - [`handle`]: opens the store; each worker takes its own [`Stores`] from it, and there are those
//!   of the process
//! - [`record`], `keys`, `successor`, `sealed`, `generation`, `refresh_token`, `pushed`, `user_state`: the stored
//!   form, which both stores share
//! - `claims_change`: what a change of claims makes of it
//! - [`memory`]: for the demo, for tests, and for a single process that may forget
//! - [`redis`]: for everything else; its scripts are the only writers
//! - [`near_cache`]: sessions that were looked up a moment ago, and how their changes become known
//! - [`probe`]: whether the store answers, for readiness

pub mod handle;
pub mod memory;
pub mod near_cache;
pub mod probe;
pub mod record;
pub mod redis;
pub mod settings;
pub mod url;

mod claims_change;
mod generation;
mod keys;
mod meter;
mod pushed;
mod refresh_token;
mod sealed;
mod successor;
mod user_state;

pub use crate::redis_client::{
    NodeAddress, RedisLogin, RedisServers, RedisTls, RedisUrl, ServerAddress,
};
pub use handle::{StoreHandle, Stores, open};
pub use memory::{MemoryStore, StoredEntry};
pub use near_cache::invalidation::{InvalidationChoice, InvalidationMode, InvalidationStatus};
pub use probe::StoreProbe;
pub use redis::{RedisStore, diagnose};
pub use settings::{BadStoreSettings, KeyPrefix, StoreSettings};
pub use url::{BadStoreUrl, StoreUrl};

use crate::redis_client::ClientError;
use crate::session::StoreError;

impl From<ClientError> for StoreError {
    fn from(error: ClientError) -> Self {
        Self {
            reason: error.reason,
            answered: error.answered,
        }
    }
}
