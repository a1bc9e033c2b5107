//! The near cache: sessions that a worker has looked up a moment ago, dropped when Redis or another
//! gateway says that they have changed.
//!
//! - `settings`: its bounds; [`invalidation`]: how changes become known
//! - `cache`: what may be served, as a state machine without I/O
//! - `worker_cache`: the cache of one worker, with the reads that are under way

pub mod invalidation;

mod cache;
mod settings;
mod worker_cache;

pub use cache::NearCache;
pub use settings::NearCacheSettings;

pub(super) use worker_cache::{CacheAnswer, JoinedRead, ReadOutcome, WorkerCache};
