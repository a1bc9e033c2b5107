//! Where sessions are kept: in this process or in Redis, sealed alike, under the same keys.
//!
//! - [`settings`]: what the configuration says; [`url`]: the store's URL
//! - [`handle`]: opens the store; each worker takes its own [`Stores`] from it, and there are those
//!   of the process
//! - [`record`], `keys`, `forward`, `sealed`, `generation`: the stored form, which both stores
//!   share
//! - [`memory`]: for the demo, for tests, and for a single process that may forget
//! - [`redis`]: for everything else; its scripts are the only writers
//! - [`near_cache`]: sessions that were looked up a moment ago; [`push`]: how their changes are
//!   heard of
//! - [`probe`]: whether the store answers, for readiness

pub mod handle;
pub mod memory;
pub mod probe;
pub mod record;
pub mod redis;
pub mod settings;
pub mod url;

mod forward;
mod generation;
mod keys;
mod meter;
pub mod near_cache;
pub mod push;
mod sealed;

pub use crate::redis_client::{
    NodeAddress, RedisLogin, RedisServers, RedisTls, RedisUrl, ServerAddress,
};
pub use handle::{StoreHandle, Stores, open};
pub use memory::{MemorySessionStore, StoredEntry};
pub use probe::StoreProbe;
pub use push::{PushChoice, PushMode, PushState};
pub use redis::{RedisSessionStore, diagnose};
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
